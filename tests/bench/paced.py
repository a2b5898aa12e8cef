"""A source that emits chunks when they are due, and remembers how long each had to wait."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pyarrow as pa

from nextbest.flows.sources.base import EventSource, LogPartition
from nextbest.flows.sources.chunk import RawChunk


class PacedSource(EventSource[int]):
    """One partition of Arrow chunks: some at once, the others at a steady rate.

    Parameters
    ----------
    at_once
        Chunks that are emitted as fast as they are taken.
    paced
        Chunks that become due one after the other, from when the last of the others was taken.
    interval
        Seconds from one paced chunk to the next.

    Attributes
    ----------
    waits
        For each paced chunk: when it was due, and how many seconds later it was taken.
    """

    def __init__(
        self, at_once: Sequence[pa.Table], paced: Sequence[pa.Table], interval: float
    ) -> None:
        self.at_once = at_once
        self.paced = paced
        self.interval = interval
        self.waits: list[tuple[float, float]] = []

    def describe(self) -> str:
        """Say what this is."""
        return "a paced source"

    def partitions(self) -> int:
        """One."""
        return 1

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Partition:
        """Begin, or go on after so many chunks."""
        return _Partition(self, resume_state or 0)

    def stalls(self, *, after: float = 0.0) -> list[float]:
        """Return the longest wait of each whole second, leaving out the first ``after`` seconds."""
        if not self.waits:
            return []
        began = self.waits[0][0] + after
        worst: dict[int, float] = {}
        for due, wait in self.waits:
            if due >= began:
                second = int(due - began)
                worst[second] = max(worst.get(second, 0.0), wait)
        return [worst[second] for second in sorted(worst)][:-1]


class _Partition(LogPartition[int]):
    def __init__(self, source: PacedSource, done: int) -> None:
        super().__init__(stop=None)
        self._source = source
        self._done = done
        self._began = 0.0

    def read(self) -> list[RawChunk] | None:
        """The next chunk at once, or all that are due."""
        source, now = self._source, time.perf_counter()
        if self._done < len(source.at_once):
            self._done += 1
            return [self._chunk(self._done - 1, source.at_once[self._done - 1])]
        out: list[RawChunk] = []
        first = len(source.at_once)
        self._began = self._began or now - (self._done - first) * source.interval
        while self._done < first + len(source.paced):
            due = self._began + (self._done - first) * source.interval
            if due > now:
                return out
            source.waits.append((due, now - due))
            out.append(self._chunk(self._done, source.paced[self._done - first]))
            self._done += 1
        return out or None

    def _chunk(self, number: int, table: pa.Table) -> RawChunk:
        # Positions only have to ascend; no chunk here is longer than a million events.
        return RawChunk(0, number << 20, "arrow", table, "paced", 1, number, table.num_rows)

    def state(self) -> int:
        """How many chunks were taken."""
        return self._done
