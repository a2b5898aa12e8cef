"""``decide-http``: a decision over HTTP, on loopback; 50 features, 30 actions, caps, all logged.

The service runs as users run it, in a process of its own, and so does what asks it: at 1,000
requests a second whatever comes back, and then as fast as 16 connections get answers. Each request
is for the next of 20,000 customers, half of whom have weights of their own. It reads a row,
contacts and weights, decides among 30 actions with two learned objectives, and commits contacts,
the event in the log and the record. The reference is a lookup of the same 50 features in the same
service.

A batch is of 1,000 of the customers, and one is asked for when the one before it is answered: with
commit (``batch_per_s``), and as a dry run (``dry_per_s``), in decisions a second.

After that the same is asked of two processes at one address (``_by_two``), batches over four
connections. What asks and the store have the same cores.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path
from typing import Any

import redis

from nextbest.flows.decision.keys import Keys
from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.sources.valkey_stream import publish

from . import lookup_catalog
from .decide_world import World
from .harness import Result
from .processes import drain, service
from .scenario_lookup_http import _LOAD, CONNECTIONS, RATE, _request

CUSTOMERS = 20_000
BATCH = 1000
_BATCHES = 4
"""At a time, where two processes answer."""
_KNOWN = 200
"""Customers with events of their own; the others have a copy of their rows."""
_EVENTS = 60
_CATALOG = f"{lookup_catalog.__name__}:catalog"
_KEYS = Keys("lookup", "bench")
_NOBODY = "########"


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs = 3 if quick else 5
    seconds = 2.0 if quick else 5.0
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        url = ensure_server(home)
        try:
            world = World()
            _fill(home, url, world)
            strategy = home / "strategy.yaml"
            strategy.write_text(world.loaded.text)
            context = {"page": "p1", "region": "r2"}
            asked = {"customer": _NOBODY, "channel": "web", "context": context}
            decide = _request("/v1/decide", asked)
            lookup = _request("/v1/features", {"ids": [_NOBODY]})
            many = {"customers": [_NOBODY] * BATCH, "channel": "web", "context": context}
            batch = _request("/v1/decide/batch", many)
            dry = _request("/v1/decide/batch", {**many, "commit": False})
            where = ["--catalog", _CATALOG, "--data-dir", str(home)]
            with service(*where, "--strategy", str(strategy)) as port:
                _ask(port, lookup, 0, 0.5)
                _ask(port, decide, 0, 1.0)
                _ask(port, batch, 0, 1.0, 1)
                _trim(url)
                steady, most, lookups, batches, rehearsed = [], [], [], [], []
                logged = asked_of = 0.0
                for _ in range(runs):  # interleaved, so that all see the same machine
                    for rate, found in ((RATE, steady), (0, most)):
                        found.append(_ask(port, decide, rate, seconds))
                        logged += _trim(url)
                        asked_of += found[-1]["asked"]
                    lookups.append(_ask(port, lookup, 0, seconds))
                    batches.append(_ask(port, batch, 0, seconds, 1))
                    logged += _trim(url)
                    asked_of += BATCH * batches[-1]["asked"]
                    rehearsed.append(_ask(port, dry, 0, seconds, 1))
            two: dict[str, list[dict[str, float]]] = {"max": [], "batch": [], "dry": []}
            with service(*where, "--strategy", str(strategy), "--processes", "2") as port:
                for warming in (decide, batch):
                    _ask(port, warming, 0, 1.0)
                _trim(url)
                for _ in range(runs):
                    two["max"].append(_ask(port, decide, 0, seconds))
                    two["batch"].append(_ask(port, batch, 0, seconds, _BATCHES))
                    _trim(url)
                    two["dry"].append(_ask(port, dry, 0, seconds, _BATCHES))
        finally:
            stop_server(home)
    by_two = {name: statistics.median(part["rps"] for part in parts) for name, parts in two.items()}
    everything = (*steady, *most, *lookups, *batches, *rehearsed, *chain(*two.values()))
    failed = sum(part["failed"] for part in everything)
    assert not failed, f"{failed} requests failed"
    rps = statistics.median(part["rps"] for part in most)
    lookup_rps = statistics.median(part["rps"] for part in lookups)
    return Result(
        "decide-http",
        figures={
            "p99_ms": statistics.median(part["p99_ms"] for part in steady),
            "max_rps": rps,
            "ratio_lookup": rps / lookup_rps,
            "batch_per_s": BATCH * statistics.median(part["rps"] for part in batches),
            "dry_per_s": BATCH * statistics.median(part["rps"] for part in rehearsed),
            "max_rps_by_two": by_two["max"],
            "batch_per_s_by_two": BATCH * by_two["batch"],
            "dry_per_s_by_two": BATCH * by_two["dry"],
        },
        detail={
            "p50_ms": statistics.median(part["p50_ms"] for part in steady),
            "late_p99_ms": statistics.median(part["late_p99_ms"] for part in steady),
            "rps": statistics.median(part["rps"] for part in steady),
            "p50_ms_at_most": statistics.median(part["p50_ms"] for part in most),
            "lookup_max_rps": lookup_rps,
            "logged_share": logged / asked_of,  # what was answered by the fallback is not logged
            "customers": CUSTOMERS,
            "runs": runs,
            "load_average": os.getloadavg()[0],
        },
    )


def _fill(home: Path, url: str, world: World) -> None:
    """Put rows, weights and models into the store; the rows by the worker that users run."""
    now = time.time_ns() // 1000
    events = [
        {
            "event_id": f"{c}-{i}", "event_timestamp": now - (_EVENTS - i) * 60_000_000,
            "customer_id": f"{c:08d}", "type": ("view", "cart", "search", "purchase")[i % 4],
            "properties": {"category": f"category-{(c + i) % 30:02d}", "value": 1.37 * i},
        }
        for c in range(_KNOWN)
        for i in range(_EVENTS)
    ]  # fmt: skip
    with redis.Redis.from_url(url) as client:
        publish(client, "clicks", [json.dumps(event).encode() for event in events])
    drain("--stream", "clicks", "--catalog", _CATALOG, "--data-dir", str(home))
    prefix = "nextbest:lookup:customer:"
    with redis.Redis.from_url(url) as client:
        rows: list[Any] = client.mget([f"{prefix}{c:08d}" for c in range(_KNOWN)])
        assert all(rows), "the worker has written no rows"
        pipe = client.pipeline(transaction=False)
        for c in range(CUSTOMERS):
            pipe.set(f"{prefix}{c:08d}", rows[c % _KNOWN])
            if c % 2:
                pipe.set(_KEYS.person(f"{c:08d}"), world.persons)
        for name, model in world.engine.models.published.items():
            pipe.set(_KEYS.model(name), model.to_bytes())
        pipe.execute()


def _ask(
    port: int, request: bytes, rate: float, seconds: float, connections: int = CONNECTIONS
) -> dict[str, float]:
    command = [sys.executable, str(_LOAD), str(port), str(rate), str(seconds), str(connections)]
    command.append(str(CUSTOMERS))
    done = subprocess.run(command, input=request, capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _trim(url: str) -> int:
    """Free what the decisions take, the log and their records; return how many there were."""
    with redis.Redis.from_url(url) as client:
        client.xtrim("events", maxlen=1, approximate=False)
        names = list(client.scan_iter(f"{_KEYS.prefix}decision:*", count=5000))
        for begin in range(0, len(names), 5000):
            client.unlink(*names[begin : begin + 5000])
    return len(names)
