"""A columnar micro-batch of events, encoded for the kernels.

Each event is one fixed-width record of 8-byte words, so that a batch is one array: splitting by
shard copies rows, and a kernel call passes one argument.

    word   0            event timestamp, int64 microseconds
           1            event id, 64-bit hash
           2, 3         customer id, 128-bit hash
           4            log position, int64
           5            customer id text: start << 16 | length, in ``ids``
           6 ...        one word a categorical column: code, MISSING or UNKNOWN, int64
           ...          one word a numeric column: float64, NaN = missing
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .kernels.layout import (
    ACCEPTED,
    DUPLICATE,
    EVENT_ID,
    FIXED_WORDS,
    ID_TEXT,
    KEY_1,
    KEY_2,
    LATE,
    MISSING,
    POSITION,
    TIMESTAMP,
    UNKNOWN,
)
from .kernels.records import split_by_shard
from .kernels.words import LENGTH_BITS

__all__ = [
    "ACCEPTED",
    "DUPLICATE",
    "EVENT_ID",
    "FIXED_WORDS",
    "ID_TEXT",
    "KEY_1",
    "KEY_2",
    "LATE",
    "MISSING",
    "POSITION",
    "TIMESTAMP",
    "UNKNOWN",
    "EventBatch",
    "shard_of",
]


_LENGTH = np.uint64((1 << LENGTH_BITS) - 1)


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of one partition in log order.

    Attributes
    ----------
    records
        uint64[n, words], C-contiguous; see the module's text.
    ids
        uint8[m]: the UTF-8 text of the customer ids that ``ID_TEXT`` points into.
    """

    records: npt.NDArray[np.uint64]
    ids: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.records)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes with the texts of one's own customers only.

        The parts of a split batch share the texts of the whole.
        """
        words, which = np.unique(self.records[:, ID_TEXT], return_inverse=True)
        starts, lengths = words >> np.uint64(LENGTH_BITS), words & _LENGTH
        texts = [
            self.ids[at : at + n] for at, n in zip(starts.tolist(), lengths.tolist(), strict=True)
        ]
        ids = np.concatenate(texts) if texts else np.zeros(0, np.uint8)
        packed = (np.cumsum(lengths) - lengths) << np.uint64(LENGTH_BITS) | lengths
        records = self.records.copy()
        records[:, ID_TEXT] = packed[which]
        return EventBatch, (records, ids)

    @property
    def timestamps(self) -> npt.NDArray[np.int64]:
        """int64[n], microseconds."""
        return self.records[:, TIMESTAMP].view(np.int64)

    @property
    def positions(self) -> npt.NDArray[np.int64]:
        """int64[n], log positions."""
        return self.records[:, POSITION].view(np.int64)

    def split(self, shards: int) -> Iterator[tuple[int, EventBatch, npt.NDArray[np.int64]]]:
        """Yield shard, its events in log order, and their ordinals, for the shards with any."""
        records, order, bounds = split_by_shard(self.records, shards)
        for shard in range(shards):
            start, stop = int(bounds[shard]), int(bounds[shard + 1])
            if start < stop:
                yield shard, EventBatch(records[start:stop], self.ids), order[start:stop]


def shard_of(key: int, shards: int) -> int:
    """Return the shard of a customer from the first half of its hash."""
    return key % shards
