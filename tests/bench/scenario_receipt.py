"""``receipt``: an event is published, and its receipt awaited in the customer's row.

A worker runs as users run it, in a process of its own, over a stream of several partitions. This
process publishes one event, asks for its customer's features ``after`` its receipt, and counts
whether they include the event; then the next one. The time is from before publishing until the
answer. The figure beside is a bare round trip through the same server.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
import redis

from nextbest.features.online import FeatureClient
from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.publisher import Publisher
from nextbest.flows.settings import Settings

from . import catalog as declared
from .catalog import catalog
from .harness import Result
from .processes import worker
from .scenario_freshness import bare_round_trip

STREAM = "clicks"
PARTITIONS = 4
CUSTOMERS = 200
_FEATURE = "visitor:events"
_WARM_UP = 500
_SECONDS = 5.0
"""How long a receipt is waited for."""


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    pairs = 1000 if quick else 10_000
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        url = ensure_server(home)
        try:
            log = ["--stream", STREAM, "--partitions", str(PARTITIONS)]
            with (
                worker(*log, "--catalog", f"{declared.__file__}:catalog", "--data-dir", directory),
                Publisher(
                    url, STREAM, partitions=PARTITIONS, shards=Settings().shards
                ) as publisher,
                contextlib.closing(FeatureClient(url, catalog)) as client,
            ):
                load = _Load(publisher, client)
                load.run(_WARM_UP)
                publish, whole, missed = load.run(pairs)
            with redis.Redis.from_url(url) as bare_client:
                bare = bare_round_trip(bare_client)
        finally:
            stop_server(home)
    return Result(
        "receipt",
        figures={
            "p50_ms": float(np.quantile(whole, 0.5)),
            "p99_ms": float(np.quantile(whole, 0.99)),
            "missed": float(missed),
        },
        detail={
            "max_ms": max(whole),
            "publish_p50_ms": statistics.median(publish),
            "publish_p99_ms": float(np.quantile(publish, 0.99)),
            "bare_round_trip_p50_ms": bare,
            "pairs": pairs,
        },
    )


class _Load:
    """Pairs of one published event and one read that waits for it."""

    def __init__(self, publisher: Publisher, client: FeatureClient) -> None:
        self._publisher = publisher
        self._client = client
        self._sent = 0

    def run(self, pairs: int) -> tuple[list[float], list[float], int]:
        """Return the milliseconds of publishing and of the whole, and how many reads missed."""
        publish: list[float] = []
        whole: list[float] = []
        missed = 0
        for _ in range(pairs):
            customer = f"customer-{self._sent % CUSTOMERS}"
            event = {
                "event_id": f"e{self._sent}", "event_timestamp": time.time_ns() // 1000,
                "customer_id": customer, "type": "view", "properties": {"category": "category-01"},
            }  # fmt: skip
            wanted = self._sent // CUSTOMERS + 1
            self._sent += 1
            raw = msgspec.json.encode(event)
            began = time.perf_counter()
            (receipt,) = self._publisher.publish([raw], [customer])
            published = time.perf_counter()
            found = self._client.get([customer], after=receipt, wait_seconds=_SECONDS)
            ended = time.perf_counter()
            missed += found.stale or found.to_dict(customer)[_FEATURE] != wanted
            publish.append(1e3 * (published - began))
            whole.append(1e3 * (ended - began))
        return publish, whole, missed
