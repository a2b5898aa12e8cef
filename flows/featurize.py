"""The shard step: events in, published rows, verdicts for the archive and read features out.

Knows no dataflow engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..features.batch import ACCEPTED, DUPLICATE, LATE
from ..features.state import FeatureRows
from .assemble import Verdict
from .decision.triggering import Marked, Occasions
from .decode import ShardEvents
from .shard import Published, Shard


@dataclass(frozen=True, slots=True)
class ReadFeatures:
    """Features as of the marked events of one shard's part of one chunk.

    ``positions`` (int64[m]) are the log positions of the rows; ``dropped`` (int64[d]) those of
    the part's duplicates. ``asking`` are the events themselves, if a strategy may decide at them.
    """

    seq: int
    positions: npt.NDArray[np.int64]
    rows: FeatureRows
    dropped: npt.NDArray[np.int64]
    asking: Marked | None = None

    def occasions(self) -> Occasions | None:
        """Return what a strategy is to decide at; None: nothing."""
        if self.asking is None:
            return None
        kept = ~np.isin(self.positions, self.dropped)
        return Occasions(self.asking, self.rows, kept)


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of the events of one part; ``evicted`` rows have left memory since the start."""

    accepted: int
    late: int
    duplicate: int
    customers: int
    partition: int = 0
    shard: int = 0
    evicted: int = 0


ShardOutput: TypeAlias = Published | Verdict | ReadFeatures | Counted


class ShardLogic(Shard):
    """One shard of customers: it decides which events are duplicates, and which are late."""

    names = ("accepted", "late", "duplicate")  # by ACCEPTED, LATE, DUPLICATE

    def on_events(self, part: ShardEvents) -> Iterator[ShardOutput]:
        """Apply events; yield what follows from them."""
        batch = part.batch
        self.trace(part.traced)
        flags, rows = yield from self._take(batch, part.marked, part.received)
        positions = batch.positions
        if part.marked is not None:
            dropped = positions[flags == DUPLICATE]
            marked = positions[part.marked].copy()
            yield ReadFeatures(part.seq, marked, rows, dropped.copy(), part.asking)
        counts = np.bincount(flags, minlength=3)
        self._count(counts)
        accepted, late, duplicate = (int(counts[kind]) for kind in (ACCEPTED, LATE, DUPLICATE))
        state, where = self.store.state, (part.partition, self.shard)
        yield Counted(accepted, late, duplicate, len(state), *where, state.evicted)
        if part.order is not None:
            yield Verdict(
                part.partition, part.seq, part.order[flags == DUPLICATE], part.order[flags == LATE]
            )
