"""``freshness``: from publishing an event to its row being readable in the store, recovery on.

A worker runs as users run it, in a process of its own. This process publishes at a steady rate to
a stream of the same server; now and then the event is of a customer never seen before, and the
time counts from before it was published until a look at the store finds its row. The figure beside
is a bare round trip through the same server: what no design could be faster than. The same again
from two partitions, read by two processes, which end their epochs together.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import redis

from nextbest.features.online import key_prefix
from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.settings import Settings
from nextbest.flows.sources.valkey_stream import publish, publish_events

from . import catalog as declared
from .catalog import catalog
from .harness import Result
from .processes import worker
from .workload import shop_events

STREAM = "clicks"
WARM_UP = 4.0
_LOOK = 0.0002
"""Seconds between two looks at the store."""


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs = 3 if quick else 5
    seconds = 5.0 if quick else 20.0
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        url = ensure_server(home)
        try:
            words = ["--stream", STREAM, "--catalog", f"{declared.__file__}:catalog"]
            with worker(*words, "--data-dir", str(home)), redis.Redis.from_url(url) as client:
                _Load(client, 0, 1000, 1).run(WARM_UP)
                slow = [_Load(client, 1 + i, 1000, 1).run(seconds) for i in range(runs)]
                fast = [_Load(client, 101 + i, 50_000, 50).run(seconds) for i in range(runs)]
                bare = bare_round_trip(client)
        finally:
            stop_server(home)
    two = _of_two(1 if quick else runs, seconds)
    return Result(
        "freshness",
        figures={
            "p50_ms_1k": _median(slow, 0.5),
            "p99_ms_1k": _median(slow, 0.99),
            "p99_ms_50k": _median(fast, 0.99),
            "p50_ms_two": _median(two, 0.5),
        },
        detail={
            "p50_ms_50k": _median(fast, 0.5),
            "p99_ms_two": _median(two, 0.99),
            "max_ms_1k": max(max(part) for part in slow),
            "max_ms_50k": max(max(part) for part in fast),
            "bare_round_trip_p50_ms": bare,
            "probes_1k": sum(len(part) for part in slow),
            "probes_50k": sum(len(part) for part in fast),
            "runs": runs,
        },
    )


def _of_two(runs: int, seconds: float) -> list[list[float]]:
    """Latencies of the probes, milliseconds, of two processes for two partitions."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        url = ensure_server(home)
        try:
            words = ["--stream", STREAM, "--catalog", f"{declared.__file__}:catalog"]
            words += ["--partitions", "2", "--processes", "2", "--data-dir", str(home)]
            with worker(*words), redis.Redis.from_url(url) as client:
                _Load(client, 0, 1000, 10, partitions=2).run(WARM_UP)
                loads = (_Load(client, 1 + i, 1000, 10, partitions=2) for i in range(runs))
                return [load.run(seconds) for load in loads]
        finally:
            stop_server(home)


def _median(runs: list[list[float]], q: float) -> float:
    return statistics.median(float(np.quantile(part, q)) for part in runs)


class _Load:
    """Blobs of events at a steady rate; one in so many holds a probe, a customer never seen."""

    def __init__(
        self, client: redis.Redis, seed: int, rate: int, blob: int, *, partitions: int = 1
    ) -> None:
        self._client = client
        self._seed = seed
        self._name = f"load-{seed}"
        self._interval = blob / rate
        self._blob = blob
        self._partitions = partitions
        self._every = max(1, int(0.02 / self._interval))
        self._waiting: dict[bytes, float] = {}
        self._latencies: list[float] = []
        self._ended = threading.Event()

    def run(self, seconds: float) -> list[float]:
        """Publish for so long; return the latencies of the probes, milliseconds."""
        blobs = self._blobs(int(seconds / self._interval))
        watch = threading.Thread(target=self._watch)
        watch.start()
        began = time.perf_counter()
        for number, (blob, probe) in enumerate(blobs):
            rest = began + number * self._interval - time.perf_counter()
            if rest > 0:
                time.sleep(rest)
            if probe is not None:
                self._waiting[probe] = time.perf_counter()
            if self._partitions == 1:
                publish(self._client, STREAM, blob)
            else:
                publish_events(self._client, STREAM, blob, self._partitions, Settings().shards)
        end = time.monotonic() + 30
        while self._waiting:
            assert time.monotonic() < end, f"{len(self._waiting)} rows never came"
            time.sleep(0.01)
        self._ended.set()
        watch.join()
        return self._latencies

    def _watch(self) -> None:
        client = redis.Redis(connection_pool=self._client.connection_pool)
        while not self._ended.is_set():
            for key, began in list(self._waiting.items()):
                if client.exists(key):
                    self._latencies.append(1e3 * (time.perf_counter() - began))
                    del self._waiting[key]
            time.sleep(_LOOK)

    def _blobs(self, count: int) -> list[tuple[bytes, bytes | None]]:
        events = shop_events(10_000, count * self._blob, 1.0, seed=self._seed)
        stamps = events["event_timestamp"].cast("int64").to_pylist()
        columns = {k: events[k].to_pylist() for k in ("customer_id", "type", "category", "value")}
        lines = [
            {
                "event_id": f"{self._name}-{i}", "event_timestamp": stamps[i],
                "customer_id": columns["customer_id"][i], "type": columns["type"][i],
                "properties": {"category": columns["category"][i], "value": columns["value"][i]},
            }
            for i in range(len(stamps))
        ]  # fmt: skip
        out: list[tuple[bytes, bytes | None]] = []
        for number in range(count):
            part = lines[number * self._blob : (number + 1) * self._blob]
            probe = None
            if number % self._every == 0:
                customer = f"probe-{self._name}-{number}"
                part[-1]["customer_id"] = customer
                probe = key_prefix(catalog) + customer.encode()
            out.append((msgspec.json.Encoder().encode_lines(part), probe))
        return out


def bare_round_trip(client: redis.Redis) -> float:
    """Return the median milliseconds of a write and a look at it."""
    times = []
    for number in range(500):
        began = time.perf_counter()
        client.set("bare", number)
        client.exists("bare")
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)
