"""The event that a customer just made is always seen: nobody who has its receipt misses it.

A worker runs as users run it, in a process of its own. Threads publish events of customers whom
they share, and each is read with its receipt, by turns from this process and from others.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import msgspec
import pytest

from nextbest.features.online import FeatureClient
from nextbest.flows.publisher import Publisher
from nextbest.flows.settings import Settings
from tests.laws import receipt_shop
from tests.laws.driver import LONG, patience
from tests.laws.receipt_shop import WAIT_SECONDS, WRITERS, begin, catalog, read

pytestmark = patience
PARTITIONS = 2
PAIRS = 40_000 if LONG else 1000
CUSTOMERS = 23
READERS = 2


@pytest.fixture
def worker(store_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command, following a stream of two partitions."""
    arguments = ["run", "--stream", "notes", "--partitions", str(PARTITIONS)]
    arguments += ["--catalog", f"{receipt_shop.__file__}:catalog", "--data-dir", str(tmp_path)]
    with open(tmp_path / "worker.err", "wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "nextbest.flows.cli", *arguments],
            stdout=errors, stderr=errors, env={**os.environ, "NEXTBEST_REDIS_URL": store_url},
        )  # fmt: skip
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, (tmp_path / "worker.err").read_text()


class Writer:
    """Publishes numbered events of shared customers, and reads each back."""

    def __init__(
        self, name: str, publisher: Publisher, client: FeatureClient, others: ProcessPoolExecutor
    ) -> None:
        self.name = name
        self.publisher = publisher
        self.client = client
        self.others = others
        self.random = random.Random(name)

    def run(self, pairs: int) -> list[str]:
        """Return what was missed."""
        missed = []
        for number in range(pairs):
            customer = f"kunde {self.random.randrange(CUSTOMERS)}"
            event = {
                "event_id": f"{self.name}-{number}", "event_timestamp": time.time_ns() // 1000,
                "customer_id": customer, "type": "note",
                "properties": {"writer": self.name, "number": number},
            }  # fmt: skip
            (receipt,) = self.publisher.publish([msgspec.json.encode(event)], [customer])
            if number % 2:
                found = self.others.submit(read, customer, self.name, str(receipt)).result()
            else:
                answer = self.client.get([customer], after=receipt, wait_seconds=WAIT_SECONDS)
                value = answer.to_dict(customer)[f"v:latest[{self.name}]"]
                found = answer.stale, value  # type: ignore[assignment]
            if found != (False, number):
                missed.append(f"{self.name} {number} of {customer}, {receipt}: {found}")
        return missed


def test_nobody_misses_an_event_whose_receipt_they_have(
    worker: subprocess.Popen[bytes], store_url: str
) -> None:
    shards = Settings().shards
    with (
        Publisher(store_url, "notes", partitions=PARTITIONS, shards=shards) as publisher,
        FeatureClient(store_url, catalog) as client,
        ProcessPoolExecutor(READERS, get_context("spawn"), begin, (store_url,)) as others,
        ThreadPoolExecutor(len(WRITERS)) as threads,
    ):
        writers = [Writer(name, publisher, client, others) for name in WRITERS]
        running = [threads.submit(each.run, PAIRS // len(WRITERS)) for each in writers]
        missed = [line for done in running for line in done.result()]
        assert missed == []
        assert worker.poll() is None
        found = client.get([f"kunde {n}" for n in range(CUSTOMERS)], features=["v:all"])
    assert found.values.sum() == PAIRS // len(WRITERS) * len(WRITERS)
