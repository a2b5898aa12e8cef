"""Chunks put together again: the events once, and what each shard of customers said of them.

The archive and the shards of other entities take what was accepted. A chunk's table goes past the
customers' shards, not through them: it is neither cut into parts nor sent anywhere. Only what the
shards found out follows: which events were duplicates, which were late.
Knows no dataflow engine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..features.decoded import Decoded, join_tables
from ..features.errors import StateError
from ..features.events import ADDED_COLUMNS

if TYPE_CHECKING:
    from .decision.loop_events import LoopEvent


@dataclass(frozen=True, slots=True)
class ChunkTable:
    """The good events of one chunk, before it is known which of them are duplicates.

    Attributes
    ----------
    partition, seq
        Of the log; which chunk of it.
    parts
        How many shards the chunk has events of: so many verdicts follow.
    events
        n events in log order.
    positions
        int64[n], log positions.
    received
        When the chunk entered the worker, ``time.perf_counter`` seconds.
    loop
        The loop's own events of the chunk, which are none of those above.
    logged
        int64[n], when the log took each event in, microseconds; None: it does not say.
    """

    partition: int
    seq: int
    parts: int
    events: Decoded
    positions: npt.NDArray[np.int64]
    received: float = 0.0
    loop: Sequence[LoopEvent] = ()
    logged: npt.NDArray[np.int64] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes as a table, without what else was scanned."""
        events = Decoded(self.events.table, self.events.index, [], self.events.records)
        same = (self.partition, self.seq, self.parts)
        return ChunkTable, (*same, events, self.positions, self.received, self.loop, self.logged)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one shard found out about its events of one chunk.

    ``dropped`` and ``late`` are int64 arrays of ordinals in the chunk's table.
    """

    partition: int
    seq: int
    dropped: npt.NDArray[np.int64]
    late: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class WholeChunk:
    """A chunk with all that is known of its events, of which no table has been made yet."""

    chunk: ChunkTable
    verdicts: Sequence[Verdict]

    @property
    def rows(self) -> int:
        """How many events it has, duplicates too."""
        return len(self.chunk.positions)

    @property
    def accepted(self) -> npt.NDArray[np.bool_]:
        """bool[rows]: which events are no duplicates."""
        accepted = np.ones(self.rows, np.bool_)
        for verdict in self.verdicts:
            accepted[verdict.dropped] = False
        return accepted


@dataclass(slots=True)
class _Waiting:
    chunk: ChunkTable
    verdicts: list[Verdict] = field(default_factory=list)


class Assembler:
    """Puts the chunks of one partition together, in log order.

    Examples
    --------
    >>> table = pa.table({"event_id": ["a", "b", "a"]})
    >>> events = Decoded(table, np.arange(3), [], 3)
    >>> chunk = ChunkTable(0, 7, 1, events, np.array([20, 21, 22]))
    >>> verdict = Verdict(0, 7, dropped=np.array([2]), late=np.array([1]))
    >>> whole = list(Assembler().on_items([chunk, verdict]))
    >>> archive_table(whole).to_pydict()
    {'event_id': ['a', 'b'], 'position': [20, 21], 'late': [False, True]}
    """

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._early: dict[int, list[Verdict]] = {}

    def on_items(self, items: Iterable[ChunkTable | Verdict]) -> Iterator[WholeChunk]:
        """Take what has come; yield every chunk that is complete."""
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
            done = self._waiting.popleft()
            yield WholeChunk(done.chunk, done.verdicts)

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


def archive_table(several: Sequence[WholeChunk]) -> pa.Table:
    """Make one table of whole chunks: accepted events, with what the archive adds to them."""
    positions = np.concatenate([whole.chunk.positions for whole in several])
    kept = np.concatenate([whole.accepted for whole in several])
    late = np.zeros(len(positions), np.bool_)
    start = 0
    for whole in several:
        for verdict in whole.verdicts:
            late[start + verdict.late] = True
        start += whole.rows
    table = join_tables([whole.chunk.events for whole in several])
    for name, values in zip(ADDED_COLUMNS, (positions, late), strict=True):
        table = table.append_column(name, pa.array(values))
    return table if kept.all() else table.filter(pa.array(kept))
