"""``soak``: hours of steady traffic: does memory grow, does anything fail, does it stay fresh?

A worker and a service run as users run them, each in a process of its own, over a log of two
partitions. 5,000 events a second come from 20,000 customers; beside them people come to the
service, look at something, are offered something and respond; and one customer after the other
posts an event and looks its row up until that event is in it: freshness. All of the time the memory
of every process is looked at.

Growth is the slope of a line through the memory of each process after the warm-up, summed over the
processes, with a standard error that takes account of how alike neighbouring looks are. A quick run
is much too short for it: its standard error says so.

What is held on purpose (decisions that wait, examples that can be taken back, records) is full
before the warm-up is over: see `soak_shop`. How much of it there is, when the warm-up is over and
at the end, stands under ``held``.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import redis

from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.partitions import LINE_BITS
from nextbest.flows.publication import mark_key
from nextbest.flows.settings import Settings

from . import loop_traffic, soak_shop, soak_traffic
from .harness import Result
from .loop_processes import Service, loop
from .loop_shop import CATEGORIES
from .soak_held import free_port, held

RATE = 5000
JOURNEYS, PROBES = 20.0, 20.0
"""People who are offered something, and lookups until an event is in the row: a second."""
_LOOK_SECONDS = 2.0
_PROBED = 500
_FAILURES = (AssertionError, OSError, HTTPException)


def run(*, quick: bool, minutes: float | None = None) -> Result:
    """Measure; see the module's text."""
    seconds = 60.0 * (minutes if minutes is not None else 0.7 if quick else 60.0)
    warm_up = min(600.0, 0.35 * seconds)
    part = 60.0 if seconds >= 600.0 else 10.0
    with tempfile.TemporaryDirectory() as directory, _environ(soak_shop.ENVIRON):
        home = Path(directory)
        url = ensure_server(home)
        try:
            # By its module: it is imported relative to the others.
            catalog, shown = f"{soak_shop.__name__}:catalog", free_port()
            with loop(home / "loop", url, catalog, soak_shop.TEXT, metrics_port=shown) as [port]:
                found = _soak(url, port, shown, seconds, warm_up)
            dead = _dead_letters(home)
        finally:
            stop_server(home)
    growth = {name: slope(series, warm_up) for name, series in found.memory.items()}
    fresh = np.array(found.fresh)
    steady = fresh[fresh[:, 0] >= warm_up, 1] if len(fresh) else np.zeros(0)
    if not len(steady):
        raise RuntimeError(f"no event was ever seen in its row: {found.failures[:3]}")
    errors = len(found.failures) + dead
    return Result(
        "soak",
        figures={
            "growth_mb_per_hour": sum(value for value, _ in growth.values()),
            "growth_se": math.sqrt(sum(error**2 for _, error in growth.values())),
            "errors": float(errors),
            "freshness_p50_ms": float(np.quantile(steady, 0.5)),
            "freshness_p99_ms": float(np.quantile(steady, 0.99)),
        },
        detail={
            "minutes": seconds / 60.0,
            "events": found.events,
            "events_late_s": found.events_late,
            "journeys": found.journeys,
            "probes": len(found.fresh),
            "dead_letters": dead,
            "failures": found.failures[:10],
            "growth_of": {name: [round(v, 1), round(e, 1)] for name, (v, e) in growth.items()},
            "held": found.held,
            "lag_entries_most": max((lag for _, lag in found.lags), default=0),
            "series": _series(found, part),
        },
    )


@dataclass
class _Found:
    """What was seen; times are seconds from the beginning."""

    memory: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    fresh: list[tuple[float, float]] = field(default_factory=list)
    lags: list[tuple[float, int]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    held: dict[str, Any] = field(default_factory=dict)
    events: int = 0
    events_late: float = 0.0
    journeys: int = 0


def slope(series: list[tuple[float, float]], after: float) -> tuple[float, float]:
    """Return MB an hour and its standard error, of (seconds, MB) from some time on.

    Neighbours are alike: looks count as so many as an autoregressive series of their correlation
    would be worth.
    """
    kept = np.array([pair for pair in series if pair[0] >= after], float).reshape(-1, 2)
    if len(kept) < 4:
        return 0.0, math.inf
    hours, values = kept[:, 0] / 3600.0, kept[:, 1]
    centred = hours - hours.mean()
    spread = float(centred @ centred)
    found = float(centred @ values) / spread
    rest = values - values.mean() - found * centred
    power = float(rest @ rest)
    alike = float(rest[1:] @ rest[:-1]) / power if power else 0.0
    worth = max(2.0, len(rest) * (1 - alike) / (1 + alike)) if alike > 0 else len(rest)
    error = math.sqrt(power / max(1.0, worth - 2.0) / (spread * worth / len(rest)))
    return found, error


def _soak(url: str, port: int, shown: int, seconds: float, warm_up: float) -> _Found:
    found = _Found()
    began = time.perf_counter()
    ended = threading.Event()
    watching = threading.Thread(target=_watch, args=(url, shown, began, warm_up, ended, found))
    probing = threading.Thread(target=_probe, args=(port, began, ended, found))
    with _process(soak_traffic, url, str(RATE)) as events:
        people = str(soak_shop.PEOPLE)
        with _process(loop_traffic, str(port), str(JOURNEYS), people) as journeys:
            watching.start()
            probing.start()
            while (left := began + seconds - time.perf_counter()) > 0:
                for name, process in (("events", events), ("journeys", journeys)):
                    if process.poll() is not None:
                        found.failures.append(f"{name} ended by themselves")
                        left = 0.0
                if left <= 0:
                    break
                time.sleep(min(left, 0.5))
            ended.set()
            probing.join()
            watching.join()
            found.journeys = int((_end(journeys) or "0").strip() or 0)
        count, late = (_end(events) or "0 0").split() or ("0", "0")
        found.events, found.events_late = int(count), float(late)
    return found


def _probe(port: int, began: float, ended: threading.Event, found: _Found) -> None:
    """Post an event and look it up, again and again."""
    service = Service(port)
    number = 0
    while not ended.is_set():
        rest = began + number / PROBES - time.perf_counter()
        if rest > 0:
            time.sleep(rest)
        customer = f"probe-{number % _PROBED}"
        event = {
            "event_id": f"probe-{number}", "event_timestamp": time.time_ns() // 1000,
            "customer_id": customer, "type": "view",
            "properties": {"category": CATEGORIES[0], "value": 1.0},
        }  # fmt: skip
        posted = time.perf_counter()
        number += 1
        try:
            receipt = service.post("/v1/events", event)["receipts"][0]
            path = f"/v1/features/{customer}?after={receipt}&wait_seconds=30"
            assert not service.ask("GET", path)["stale"], "stale after 30 s"
        except _FAILURES as error:
            found.failures.append(f"probe: {type(error).__name__}: {error}"[:200])
            service.close()
            service = Service(port)
            ended.wait(0.5)
        else:
            now = time.perf_counter()
            found.fresh.append((now - began, 1e3 * (now - posted)))
        # Those that were missed while one waited are not made up for.
        number = max(number, int((time.perf_counter() - began) * PROBES))
    service.close()


def _watch(
    url: str, shown: int, began: float, warm_up: float, ended: threading.Event, found: _Found
) -> None:
    """Look at the memory of every process, at how far the worker is, and at what is held."""
    with redis.Redis.from_url(url) as client:
        store = int(client.info("server")["process_id"])
        while not ended.wait(_LOOK_SECONDS):
            at = time.perf_counter() - began
            for name, mb in _memory(store):
                found.memory.setdefault(name, []).append((at, mb))
            found.lags.append((at, _lag(client)))
            if at >= warm_up and not found.held:
                found.held["warm"] = held(client, shown)
        found.held["end"] = held(client, shown)


def _memory(store: int) -> Iterator[tuple[str, float]]:
    """Yield the resident MB of our processes by name."""
    asked = ["ps", "-axo", "pid=,ppid=,rss=,args="]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    for line in said.splitlines():
        pid, parent, kilobytes, words = line.split(None, 3)
        name = None
        if int(pid) == store:
            name = "store"
        elif int(parent) == os.getpid():
            name = next(
                (k for k, w in (("worker", " run "), ("service", " serve ")) if w in words), None
            )
        if name is not None:
            yield name, int(kilobytes) / 1024


def _lag(client: redis.Redis) -> int:
    """Return how many entries of the log are not in the rows yet, over both partitions."""
    shards = Settings().shards
    keys = [mark_key(soak_shop.catalog, shard) for shard in range(shards)]
    marks: Any = client.mget(keys)
    lag = 0
    for partition in range(2):
        places = [int(m.split(b":")[2]) for m in marks[partition::2] if m is not None]
        reached = (max(places) >> LINE_BITS) + 1 if places else 0
        stream = f"clicks:{partition}"
        if client.exists(stream):
            info: Any = client.xinfo_stream(stream)
            lag += max(0, int(info["entries-added"]) - reached)
    return lag


def _series(found: _Found, part: float) -> list[dict[str, Any]]:
    """Return what was seen, minute by minute."""
    out: list[dict[str, Any]] = []
    last = max((series[-1][0] for series in found.memory.values()), default=0.0)
    for number in range(max(1, math.ceil(last / part))):
        low, high = number * part, (number + 1) * part
        fresh = [ms for at, ms in found.fresh if low <= at < high]
        lags = [lag for at, lag in found.lags if low <= at < high]
        row: dict[str, Any] = {"from_s": low}
        if fresh:
            row |= {f"p{q}_ms": round(float(np.percentile(fresh, q)), 1) for q in (50, 99)}
        if lags:
            row["lag_entries"] = max(lags)
        for name, series in found.memory.items():
            own = [mb for at, mb in series if low <= at < high]
            if own:
                row[f"{name}_mb"] = round(sum(own) / len(own), 1)
        out.append(row)
    return out


def _dead_letters(home: Path) -> int:
    files = (home / "loop").glob("*/dead_letters/*.ndjson")
    return sum(len(file.read_bytes().splitlines()) for file in files)


@contextlib.contextmanager
def _process(module: Any, *words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(module.__file__), *words], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> str | None:
    """Let a process end, and return what it said."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    if process.stdout is None or process.stdout.closed:
        process.wait(30)
        return None
    said, _ = process.communicate(timeout=30)
    return said


@contextlib.contextmanager
def _environ(settings: Mapping[str, str]) -> Iterator[None]:
    """Let processes that are started in the block have these settings."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
