"""What a run counts for those who operate it: a few numbers a chunk, a flush and an epoch."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from ..dead_letters import DeadLetter
from ..partitions import NO_TIME
from ..sinks.rows import RowSink
from ..sources.chunk import RawChunk
from . import names as n
from .meter import Meter
from .outbound import OUTBOUND

X = TypeVar("X")

_REMEMBERED = 4096
"""Chunks whose time in the log is remembered until their rows are stored."""
_APART = 0.2
"""Of an epoch: after so long without a snapshot the next one is another epoch's."""


class RunMeter(Meter):
    """Counts what a worker does; called in its thread.

    Parameters
    ----------
    epoch_seconds
        Between two snapshots.
    clock
        Seconds since 1970.
    """

    def __init__(self, epoch_seconds: float = 1.0, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._apart = _APART * epoch_seconds
        self._clock = clock
        self._received: deque[float] = deque(maxlen=_REMEMBERED)
        self._waited: deque[float] = deque(maxlen=_REMEMBERED)
        self.newest: dict[int, float] = {}
        """By partition: when the log took in the newest entry that was read, unix time."""
        self._resident: dict[tuple[str, int], tuple[int, int]] = {}
        self._stall, self._stalled_at = 0.0, 0.0
        self._away, self._away_since = 0, 0.0
        self._waiting = threading.Lock()
        for metric in (n.FRESHNESS, n.PROCESSING, n.SNAPSHOT, n.FLUSH, n.ROWS_WRITTEN, n.OUTAGES):
            self.begin(metric)
        for metric in (n.OUTAGE_SECONDS, n.COMPILE_SECONDS, n.EXAMPLES_LATE, n.LOOP_DUPLICATES):
            self.begin(metric)
        self.set(n.OUTAGE_ACTIVE, 0)
        self._fresh = self.histogram(n.FRESHNESS)
        self._processing = self.histogram(n.PROCESSING)
        self._flush = self.histogram(n.FLUSH)

    def begin_partitions(self, numbers: Sequence[int]) -> None:
        """Show the partitions that are read here, from the beginning."""
        for number in map(str, numbers):
            for metric in (n.LOG_READ_RECORDS, n.LOG_READ_BYTES, n.EVENTS_APPLIED, n.EVENTS_LATE):
                self.begin(metric, number)
            self.begin(n.EVENTS_DUPLICATE, number)
            for reason in n.DEAD_REASONS:
                self.begin(n.DEAD_LETTERS, number, reason)

    def decoding(self, decode: Callable[[RawChunk], Iterator[X]]) -> Callable[[Any], Iterator[X]]:
        """Return a decoder whose chunks and dead letters are counted."""

        def counted(chunk: RawChunk) -> Iterator[X]:
            self.read(chunk)
            partition = str(chunk.partition)
            for item in decode(chunk):
                if isinstance(item, DeadLetter):
                    self.refused(partition, item)
                yield item

        return counted

    def read(self, chunk: RawChunk) -> None:
        """Count a chunk as it comes from the log."""
        partition = str(chunk.partition)
        payload = chunk.payload
        size = len(payload) if isinstance(payload, bytes) else payload.nbytes
        self.add(n.LOG_READ_RECORDS, chunk.records, partition)
        self.add(n.LOG_READ_BYTES, chunk.size or size, partition)
        times = None if chunk.entries is None else chunk.entries.times
        if times is None or times[0] == NO_TIME:
            return
        now = self._clock()
        self.newest[chunk.partition] = int(times[-1]) / 1e6
        self._received.append(time.perf_counter())
        self._waited.append(max(0.0, now - int(times[0]) / 1e6))

    def refused(self, partition: str, letter: DeadLetter, *, loop: bool = False) -> None:
        """Count a dead letter."""
        reason = "loop" if loop else reason_class(letter.reason, letter.path)
        self.add(n.DEAD_LETTERS, 1, partition, reason)

    def applied(self, partition: int, accepted: int, late: int, duplicates: int) -> None:
        """Count what became of events of one part of a chunk."""
        number = str(partition)
        self.add(n.EVENTS_APPLIED, accepted + late, number)
        if late:
            self.add(n.EVENTS_LATE, late, number)
        if duplicates:
            self.add(n.EVENTS_DUPLICATE, duplicates, number)

    def held(self, entity: str, shard: int, resident: int, evicted: int) -> None:
        """Note how many rows of a shard are in memory, and how many have left it."""
        self._resident[entity or "customer", shard] = resident, evicted

    def stored(self, rows: int, seconds: float) -> None:
        """Count rows that the store acknowledged so many seconds after they were read."""
        self.add(n.ROWS_WRITTEN, rows)
        self._processing.add(seconds, rows)
        if self._received:
            # Of the chunks, received one after the other, the last one that began before.
            place = bisect_right(self._received, time.perf_counter() - seconds) - 1
            if place >= 0:
                self._fresh.add(seconds + self._waited[place], rows)

    def outage(self, reason: str, seconds: float | None) -> None:
        """Note that a server went away, or that it is back."""
        with self._waiting:
            self._count_waiting()
            # The log and the rows may be away at once, and of one store.
            self._away = max(0, self._away + (1 if seconds is None else -1))
            self.set(n.OUTAGE_ACTIVE, self._away > 0)
        self.add(n.OUTAGES, seconds is None)

    def looped(self, counts: Mapping[str, int]) -> None:
        """Count what became of the loop's events."""
        self.add(n.LOOP_DUPLICATES, counts.get("duplicates", 0))
        self.add(n.EXAMPLES_LATE, counts.get("too_late", 0))

    def acted(self, counts: Mapping[str, int]) -> None:
        """Count what came of triggers."""
        for name, times in counts.items():
            if name in n.TRIGGER_RESULTS:
                self.add(n.TRIGGERS, times, name)

    def snapshots(self, build: Callable[..., X]) -> Callable[..., X]:
        """Return a builder of steps, or parts of sinks, whose snapshots are timed."""

        def built(*args: Any) -> X:
            made: Any = build(*args)
            made.snapshot = partial(self._timed, made.snapshot)
            return made  # type: ignore[no-any-return]  # what was built

        return built

    def watch(self, sink: Any) -> None:
        """Time the snapshots of a sink's parts; of rows also their writing."""
        build = self.snapshots(sink.build_part)
        sink.build_part = self._writing(build) if isinstance(sink, RowSink) else build

    def _writing(self, build: Callable[..., Any]) -> Callable[..., Any]:
        def built(*args: Any) -> Any:
            part: Any = build(*args)
            part.write_batch = partial(self._write, part.write_batch)
            return part

        return built

    def refresh(self) -> None:
        """Set what is summed up when it is asked for."""
        with self._waiting:
            self._count_waiting()
        totals: dict[str, list[int]] = {}
        for (entity, _), (resident, evicted) in list(self._resident.items()):
            total = totals.setdefault(entity, [0, 0])
            total[0] += resident
            total[1] += evicted
        for entity, (resident, evicted) in totals.items():
            self.set(n.ROWS_RESIDENT, resident, entity)
            self.set(n.ROWS_EVICTED, evicted, entity)
        for (channel, rerouted), sent in list(OUTBOUND.items()):
            self.set(n.OUTBOUND, sent, channel, str(rerouted).lower())

    def _count_waiting(self) -> None:
        """Count the time since this was called last, if somebody waited then."""
        now = time.monotonic()
        if self._away:
            self.add(n.OUTAGE_SECONDS, now - self._away_since)
        self._away_since = now

    def _timed(self, snapshot: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        if began - self._stalled_at > self._apart:
            self._epoch_ends()
        try:
            return snapshot()
        finally:
            self._stalled_at = time.perf_counter()
            self._stall += self._stalled_at - began

    def _epoch_ends(self) -> None:
        stall, self._stall = self._stall, 0.0
        if stall:
            self.histogram(n.SNAPSHOT).add(stall)

    def _write(self, write: Callable[[Any], None], items: Any) -> None:
        began = time.perf_counter()
        write(items)
        self._flush.add(time.perf_counter() - began)


def reason_class(reason: str, path: str | None) -> str:
    """Return the class of a dead letter's reason.

    >>> reason_class("Expected `float | null`, got `str`", "$.properties.value")
    'type'
    >>> reason_class("timestamp is 90000 s in the future", "$.event_timestamp")
    'timestamp'
    >>> reason_class("JSON is malformed: invalid character (byte 3)", None)
    'json'
    """
    where = path or ""
    text = reason.lower()
    if "bytes" in text and ("more than" in text or "at most" in text):
        return "id" if where.endswith("_id") else "size"
    if where == "$.event_timestamp":
        return "timestamp"
    if where in ("$.event_id", "$.customer_id"):
        return "id"
    if "missing required" in text:
        return "missing"
    if "json" in text or "utf-8" in text or "truncated" in text or "malformed" in text:
        return "json"
    if any(word in text for word in ("unknown", "not declared", "invalid enum", "is none of")):
        return "unknown"
    if text.startswith("expected"):
        return "type"
    return n.OTHER
