"""What a run reports, gathered for a screen and a summary."""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..dead_letters import DeadLetter
from ..entities import EntityCounted
from ..featurize import Counted
from ..learn import Progress
from ..pipeline import Observers

_STEP = math.log(1.02)
_LEAST = 1e-5


class Freshness:
    """Seconds from receiving an event to its row in the store, in buckets 2% wide.

    Examples
    --------
    >>> fresh = Freshness()
    >>> for rows, seconds in ((90, 0.010), (10, 0.500)):
    ...     fresh.add(rows, seconds)
    >>> round(fresh.quantile(0.5), 3), round(fresh.quantile(0.99), 2)
    (0.01, 0.5)
    """

    def __init__(self) -> None:
        self._rows = np.zeros(1000, np.int64)

    def add(self, rows: int, seconds: float) -> None:
        """Count rows that became visible so many seconds after their oldest event came."""
        bucket = int(math.log(max(seconds, _LEAST) / _LEAST) / _STEP)
        self._rows[min(bucket, len(self._rows) - 1)] += rows

    def buckets(self) -> dict[int, int]:
        """Return the rows of each bucket that has any."""
        return {int(b): int(self._rows[b]) for b in np.flatnonzero(self._rows)}

    def add_buckets(self, rows: dict[int, int]) -> None:
        """Add what `buckets` returned elsewhere."""
        for bucket, count in rows.items():
            self._rows[bucket] += count

    def quantile(self, q: float) -> float:
        """Seconds within which the share ``q`` of all rows were stored; NaN without any."""
        total = int(self._rows.sum())
        if not total:
            return math.nan
        bucket = int(np.searchsorted(np.cumsum(self._rows), q * total))
        return _LEAST * math.exp((bucket + 0.5) * _STEP)


class Measures:
    """Counts, speed and freshness of one run; written by the worker, read by a screen.

    Compiling, which happens once on a machine, counts neither as time that events took nor
    as staleness.
    """

    def __init__(self) -> None:
        self.accepted = self.late = self.duplicates = self.dead = self.rows = 0
        self.reasons: Counter[str] = Counter()
        self.too_long: Counter[str] = Counter()  # by entity
        self.loop: Counter[str] = Counter()  # see `Counts` of the loop
        self.acted: Counter[str] = Counter()  # see `Actor`
        self.fresh = Freshness()
        self.progress: Progress | None = None
        self.away: str | None = None
        self.away_seconds = 0.0
        self.compiling: str | None = None
        self.compiled = 0
        self.compiled_seconds = 0.0
        self._last_compiled = 0.0
        self._began = time.perf_counter()
        self._ended: float | None = None

    def observers(self) -> Observers:
        """Return what a dataflow reports to."""
        return Observers(
            counted=self._count, stored=self._store, refused=self._refuse, progress=self._learn,
            outage=self.outage, keyed=self._count_keyed, looped=self.loop.update,
            acted=self.acted.update,
        )  # fmt: skip

    @property
    def events(self) -> int:
        """Events applied in this run: the late ones too, duplicates not."""
        return self.accepted + self.late

    @property
    def seconds(self) -> float:
        """How long the run has taken, without compiling."""
        end = time.perf_counter() if self._ended is None else self._ended
        return max(1e-9, end - self._began - self.compiled_seconds)

    @property
    def events_per_second(self) -> float:
        """Events applied a second."""
        return self.events / self.seconds

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Measure a run."""
        from numba.core import event

        listener = _Compiling(self)
        event.register("numba:compile", listener.listener)  # type: ignore[no-untyped-call]  # no types
        self._began = time.perf_counter()
        try:
            yield
        finally:
            self._ended = time.perf_counter()
            event.unregister("numba:compile", listener.listener)  # type: ignore[no-untyped-call]  # as above

    def outage(self, reason: str, seconds: float | None) -> None:
        """Note that a server went away, or that it is back after so many seconds."""
        self.away = reason if seconds is None else None
        self.away_seconds += seconds or 0.0

    def compile_begins(self, kernel: str) -> None:
        """Note that a kernel is being compiled."""
        self.compiling = kernel
        self.compiled += 1

    def compile_ends(self, seconds: float) -> None:
        """Note that it took so many seconds."""
        self.compiling = None
        self.compiled_seconds += seconds
        self._last_compiled = time.perf_counter()

    def _count(self, counted: Counted) -> None:
        self.accepted += counted.accepted
        self.late += counted.late
        self.duplicates += counted.duplicate

    def _count_keyed(self, counted: EntityCounted) -> None:
        if counted.too_long:
            self.too_long[counted.entity] += counted.too_long

    def _store(self, rows: int, seconds: float) -> None:
        self.rows += rows
        if time.perf_counter() - seconds > self._last_compiled:
            self.fresh.add(rows, seconds)

    def _refuse(self, letter: DeadLetter) -> None:
        self.dead += 1
        where = f" - at `{letter.path}`" if letter.path else ""
        self.reasons[f"{letter.reason}{where}"] += 1

    def _learn(self, progress: Progress) -> None:
        self.progress = progress


class _Compiling:
    """Hears of the compiler's outermost compilations."""

    def __init__(self, measures: Measures) -> None:
        from numba.core import event

        depth = 0
        began = 0.0

        class Listener(event.Listener):
            def on_start(self, event: Any) -> None:
                nonlocal depth, began
                if depth == 0:
                    began = time.perf_counter()
                depth += 1
                function = event.data["dispatcher"].py_func
                if function.__module__.startswith("nextbest."):
                    measures.compile_begins(str(function.__name__))

            def on_end(self, event: Any) -> None:
                nonlocal depth
                depth -= 1
                if depth == 0:
                    measures.compile_ends(time.perf_counter() - began)

        self.listener = Listener()
