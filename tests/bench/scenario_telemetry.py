"""``telemetry``: what metrics cost a run and a decision: processor time with them over without.

The reference is ours without them, in the same run, one after the other in turns. A ratio of 1.00
is no cost, of 1.02 two hundredths more. A decision is without HTTP and the store around it: there
the share is less.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import redis

from nextbest.flows.commands.measures import Measures
from nextbest.flows.decision.record import event_of
from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.pipeline import build_flow
from nextbest.flows.run import run_flow
from nextbest.flows.settings import Settings
from nextbest.flows.sources.files import FileSource
from nextbest.flows.telemetry.exposition import shown
from nextbest.flows.telemetry.observing import metered
from nextbest.flows.telemetry.policies import explored
from nextbest.flows.telemetry.running import RunMeter
from nextbest.flows.telemetry.serving import SERVICE, STATUS, MeteredApp

from .catalog import catalog
from .decide_world import World
from .harness import Result
from .scenario_decide_inprocess import Ours
from .scenario_ingest_parquet import CUSTOMERS, DICTIONARY
from .scenario_kernel import warm_up
from .workload import shop_events

_REQUESTS = 1_000


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs = 5 if quick else 11
    events = 500_000 if quick else 1_000_000
    warm_up()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        url = ensure_server(home / "server")
        try:
            path = home / "events.parquet"
            pq.write_table(shop_events(CUSTOMERS, events, 30.0), path, row_group_size=131_072)
            _ingest(home / "warm", path, url, on=True)
            ingest, ingest_seconds = _interleaved(
                lambda i, on: _ingest(home / f"run-{i}-{on}", path, url, on=on), runs
            )
        finally:
            stop_server(home / "server")
    ours = Ours(World())
    _decide(ours, 100, on=True)
    decide, decide_seconds = _interleaved(lambda _, on: _decide(ours, _REQUESTS, on=on), 3 * runs)
    return Result(
        "telemetry",
        figures={"overhead_ingest": ingest, "overhead_decide": decide},
        detail={
            "events": events,
            "ingest_cpu_seconds": ingest_seconds,
            "overhead_ingest_percent": 100.0 * (ingest - 1.0),
            "overhead_decide_percent": 100.0 * (decide - 1.0),
            "decide_cpu_us": decide_seconds / _REQUESTS * 1e6,
            "runs": runs,
        },
    )


def _interleaved(once: Callable[[int, bool], float], runs: int) -> tuple[float, float]:
    """Return the median of the ratios of pairs, and the median without."""
    ratios, plain = [], []
    for i in range(runs):
        order = (False, True) if i % 2 else (True, False)
        seconds = {on: once(i, on) for on in order}
        ratios.append(seconds[True] / seconds[False])
        plain.append(seconds[False])
    return statistics.median(ratios), statistics.median(plain)


def _ingest(home: Path, path: Path, url: str, *, on: bool) -> float:
    """Return the seconds of a processor; with metrics they are read once at the end."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
    settings = Settings(data_dir=home, archive=False, batch_rows=65_536)
    source = FileSource([path], batch_rows=settings.batch_rows, dictionary_columns=DICTIONARY)
    meter = RunMeter() if on else None
    began = time.process_time()
    observers = metered(Measures().observers(), meter)
    run_flow(
        build_flow(source, catalog, settings, url, observers=observers), settings, recover=False
    )
    if meter is not None:
        with shown("127.0.0.1", 0, meter, [meter.refresh]) as port:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).close()
    return time.process_time() - began


def _decide(ours: Ours, requests: int, *, on: bool) -> float:
    """Return the seconds of a processor of decisions, without HTTP and store around them."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        record = ours.record(scope["number"], ours.world.persons, ours.contacts)
        event_of(record)
        SERVICE.decided(record, tried=explored(record), repeated=False)
        scope[STATUS] = 200

    app: Any = answer
    if on:
        SERVICE.turn_on()
        app = MeteredApp(answer, SERVICE)

    async def ask() -> float:
        began = time.thread_time()
        for number in range(requests):
            await app({"path": "/v1/decide", "method": "POST", "number": number}, None, None)
        return time.thread_time() - began

    try:
        return asyncio.run(ask())
    finally:
        SERVICE.on = False
