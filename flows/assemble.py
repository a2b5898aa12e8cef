"""Chunks put together again for the archive: the events once, and what each shard said of them.

A chunk's table goes past the shards, not through them: it is neither cut into parts nor sent
anywhere. Only what the shards found out follows: which events were duplicates, which were late.
Knows no dataflow engine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..features.errors import StateError

ADDED_COLUMNS = ("position", "late")
"""What the archive adds to an event: its log position, and whether it was late."""


@dataclass(frozen=True, slots=True)
class ChunkTable:
    """The good events of one chunk, before it is known which of them are duplicates.

    Attributes
    ----------
    partition, seq
        Of the log; which chunk of it.
    parts
        How many shards the chunk has events of: so many verdicts follow.
    table
        The events, n rows in log order.
    positions
        int64[n], log positions.
    """

    partition: int
    seq: int
    parts: int
    table: pa.Table
    positions: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one shard found out about its events of one chunk.

    ``dropped`` and ``late`` are int64 arrays of ordinals in the chunk's table.
    """

    partition: int
    seq: int
    dropped: npt.NDArray[np.int64]
    late: npt.NDArray[np.int64]


@dataclass(slots=True)
class _Waiting:
    chunk: ChunkTable
    verdicts: list[Verdict] = field(default_factory=list)


class Assembler:
    """Puts the chunks of one partition together, in log order.

    Examples
    --------
    >>> table = pa.table({"event_id": ["a", "b", "a"]})
    >>> chunk = ChunkTable(0, 7, 1, table, np.array([20, 21, 22]))
    >>> verdict = Verdict(0, 7, dropped=np.array([2]), late=np.array([1]))
    >>> [done] = Assembler().on_items([chunk, verdict])
    >>> done.to_pydict()
    {'event_id': ['a', 'b'], 'position': [20, 21], 'late': [False, True]}
    """

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._early: dict[int, list[Verdict]] = {}

    def on_items(self, items: Iterable[ChunkTable | Verdict]) -> Iterator[pa.Table]:
        """Take what has come; yield every table that is complete, without duplicates."""
        waiting = {waiting.chunk.seq: waiting for waiting in self._waiting}
        for item in items:
            if isinstance(item, ChunkTable):
                new = _Waiting(item, self._early.pop(item.seq, []))
                waiting[item.seq] = new
                self._waiting.append(new)
            elif item.seq in waiting:
                waiting[item.seq].verdicts.append(item)
            else:
                self._early.setdefault(item.seq, []).append(item)
        while self._waiting and self._is_complete(self._waiting[0]):
            yield _assemble(self._waiting.popleft())

    def check_empty(self) -> None:
        """Check that nothing waits, as at the end of an epoch.

        Raises
        ------
        StateError
            If something does: it would be missing from the archive.
        """
        if self._waiting or self._early:
            seqs = {waiting.chunk.seq for waiting in self._waiting} | set(self._early)
            raise StateError(f"chunk {min(seqs)} of the log is incomplete at the end of an epoch")

    @staticmethod
    def _is_complete(waiting: _Waiting) -> bool:
        return len(waiting.verdicts) == waiting.chunk.parts


def _assemble(waiting: _Waiting) -> pa.Table:
    chunk = waiting.chunk
    late = np.zeros(len(chunk.positions), np.bool_)
    kept = np.ones(len(chunk.positions), np.bool_)
    for verdict in waiting.verdicts:
        late[verdict.late] = True
        kept[verdict.dropped] = False
    table = chunk.table
    for name, values in zip(ADDED_COLUMNS, (chunk.positions, late), strict=True):
        table = table.append_column(name, pa.array(values))
    return table if kept.all() else table.filter(pa.array(kept))
