"""``recovery``: how long a snapshot holds events up, and how long a restart takes.

The reference is the engine's own recovery with one key a customer and a state of 48 bytes, with a
tenth of the customers: it would not get through more.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import numpy as np
import pyarrow as pa
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, run_main

from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.pipeline import Observers, build_flow
from nextbest.flows.run import run_flow
from nextbest.flows.settings import Settings

from .catalog import catalog
from .harness import Result
from .paced import PacedSource
from .scenario_kernel import warm_up
from .workload import shop_events

RATE = 10_000
"""Events a second while stalls are measured."""

INTERVAL = 0.005
_CHUNK = int(RATE * INTERVAL)
_SETTLE = 15.0
"""Seconds that do not count: the disk still writes what loading every customer left behind."""

Flow = tuple[Dataflow, Callable[[], float | None]]


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    customers = 100_000 if quick else 1_000_000
    keys = 10_000 if quick else 100_000
    seconds = _SETTLE + (8.0 if quick else 60.0)
    resumes = 3 if quick else 5
    warm_up()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        url = ensure_server(home / "server")
        try:
            ours = _measure(_Ours(home / "ours", url), customers, seconds, resumes)
        finally:
            stop_server(home / "server")
        native = _measure(_Native(home / "native"), keys, seconds, resumes)
    return Result(
        "recovery",
        figures={
            "stall_p99_ms": ours["stall_p99_ms"],
            "resume_s": ours["resume_s"],
            "native_stall_p99_ms": native["stall_p99_ms"],
            "native_resume_s": native["resume_s"],
        },
        detail={
            "customers": customers,
            "native_customers": keys,
            "events_per_s": RATE,
            "stall_median_ms": ours["stall_median_ms"],
            "native_stall_median_ms": native["stall_median_ms"],
            "epochs": int(seconds - _SETTLE),
            "resumes": resumes,
        },
    )


class _Ours:
    """Our dataflow, all of it: rows are stored and events archived."""

    def __init__(self, home: Path, url: str) -> None:
        self._settings = Settings(data_dir=home)
        self._url = url

    def run(self, source: PacedSource) -> float | None:
        """Run to the end; return when the first events had been applied."""
        first: list[float] = []
        watch = Observers(counted=lambda _: first or first.append(time.perf_counter()))
        run_flow(
            build_flow(source, catalog, self._settings, self._url, observers=watch), self._settings
        )
        return first[0] if first else None


class _Native:
    """The engine's own way: ``stateful_map``, a key a customer, epochs of a second too."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        init_db_dir(home, 1)  # type: ignore[no-untyped-call]  # the engine is untyped
        self._recovery = RecoveryConfig(home)  # type: ignore[no-untyped-call]  # as above

    def run(self, source: PacedSource) -> float | None:
        """Run to the end; return when the first events had been applied."""
        first: list[float] = []

        def update(state: Any, when: int) -> tuple[Any, None]:
            if not first:
                first.append(time.perf_counter())
            count, oldest, total, least, most, _ = state or (0, when, 0, when, when, 0)
            state = (count + 1, oldest, total + when, min(least, when), max(most, when), when)
            return state, None

        def pairs(chunk: Any) -> list[tuple[str, int]]:
            ids = chunk.payload["customer_id"].to_pylist()
            times = chunk.payload["event_timestamp"].cast(pa.int64()).to_pylist()
            return list(zip(ids, times, strict=True))

        flow = Dataflow("native")
        stream = op.input("in", flow, source)
        updated = op.stateful_map("update", op.flat_map("pairs", stream, pairs), update)
        none = op.filter("none", updated, lambda _: False)
        op.output("out", none, TestingSink([]))
        run_main(  # type: ignore[no-untyped-call]  # as above
            flow, epoch_interval=timedelta(seconds=1), recovery_config=self._recovery
        )
        return first[0] if first else None


def _measure(
    system: _Ours | _Native, customers: int, seconds: float, resumes: int
) -> dict[str, float]:
    known = _everyone(customers)
    at_once = [known.slice(i, 50_000) for i in range(0, len(known), 50_000)]
    events = shop_events(customers, int(RATE * seconds), 1.0, seed=3)
    paced = [events.slice(i, _CHUNK).combine_chunks() for i in range(0, len(events), _CHUNK)]
    source = PacedSource(at_once, paced, INTERVAL)
    system.run(source)
    stalls = source.stalls(after=_SETTLE)
    times = []
    for number in range(resumes):
        more = shop_events(customers, 1000, 1.0, seed=10 + number).combine_chunks()
        paced.append(more)
        began = time.perf_counter()
        applied = system.run(PacedSource(at_once, paced, 0.0))
        assert applied is not None
        times.append(applied - began)
    return {
        "stall_p99_ms": 1e3 * float(np.quantile(stalls, 0.99)),
        "stall_median_ms": 1e3 * statistics.median(stalls),
        "resume_s": statistics.median(times),
    }


def _everyone(customers: int) -> pa.Table:
    """Three events of each customer, on the day before the others."""
    events = shop_events(customers, 3 * customers, 1.0, seed=5)
    names = np.char.add("customer-", (np.arange(3 * customers) % customers).astype(str))
    ids = np.char.add("known-", np.arange(3 * customers).astype(str))
    events = events.set_column(2, "customer_id", pa.array(names))
    return events.set_column(0, "event_id", pa.array(ids)).combine_chunks()
