"""Receipts over HTTP, with a real worker between the log and the rows."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nextbest.features.receipts import Receipt
from tests.flows.service import shop
from tests.flows.service.loop_cases import until
from tests.flows.service.world import REFERENCE, Service, served

CUSTOMERS = f"{shop.__file__}:customers"
LOG = ("--stream", "clicks", "--partitions", "2")
NAMES = ("ann", "ben", "cy", "köln/ü")


@contextlib.contextmanager
def working(home: Path, url: str) -> Iterator[None]:
    run = [sys.executable, "-m", "nextbest.flows.cli", "run", *LOG, "--catalog", CUSTOMERS]
    run += ["--data-dir", str(home), "--redis-url", url]
    with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as worker:
        try:
            yield
            assert worker.poll() is None, "the worker has ended"
        finally:
            worker.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def place(
    embedded_store: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Path, str]]:
    home = tmp_path_factory.mktemp("receipts")
    with served(embedded_store, home / "service", *LOG, catalog=CUSTOMERS) as service:
        yield service, home, embedded_store


def publish(client: httpx.Client, run: str, customers: list[str]) -> list[str]:
    now = time.time_ns() // 1000
    events = [
        {
            "event_id": f"{run}-{i}", "event_timestamp": now + i, "customer_id": customer,
            "type": "purchase", "properties": {"value": 1.0, "category": "tea"},
        }
        for i, customer in enumerate(customers)
    ]  # fmt: skip
    found = client.post("/v1/events", json=events)
    assert found.status_code == 202, found.text
    receipts: list[str] = found.json()["receipts"]
    return receipts


def test_what_was_published_is_in_the_answer(place: tuple[Service, Path, str]) -> None:
    service, home, url = place
    with httpx.Client(base_url=service.url, timeout=60) as client:
        # While nobody works on the log the answer comes in time, and says what it lacks.
        first = publish(client, "early", ["ann"])
        began = time.monotonic()
        asked: dict[str, Any] = {"after": first[0], "wait_seconds": 0.3}
        late = client.get("/v1/features/ann", params=asked).json()
        assert time.monotonic() - began >= 0.3
        assert (late["stale"], late["rows"][0]["known"]) == (True, False)

        with working(home / "worker", url):
            asked["wait_seconds"] = 30
            # The worker may just be starting.
            until(lambda: not client.get("/v1/features/ann", params=asked).json()["stale"])
            found = client.get("/v1/features/ann", params=asked).json()
            assert found["stale"] is False
            assert found["rows"][0]["values"]["visits:spend"] == 1.0
            for turn in range(20):
                customers = [NAMES[i % 4] for i in range(turn + 1)]
                receipts = publish(client, f"turn-{turn}", customers)
                pairs = zip(receipts, customers, strict=True)
                assert all(Receipt.parse(text).is_of(customer) for text, customer in pairs)
                body = {"ids": list(NAMES), "after": receipts, "wait_seconds": 30}
                answer = client.post("/v1/features", json=body).json()
                assert answer["stale"] is False
                spent = [row["values"]["visits:spend"] or 0 for row in answer["rows"]]
                all_ = [NAMES[i % 4] for t in range(turn + 1) for i in range(t + 1)]
                counts = [all_.count(name) for name in NAMES]
                assert spent == [counts[0] + 1, *counts[1:]]


def test_a_receipt_of_a_stranger_is_refused(place: tuple[Service, Path, str]) -> None:
    service, _, _ = place
    body = {"ids": ["ann"], "after": str(Receipt.of(0, 7, "ben"))}
    found = httpx.post(f"{service.url}/v1/features", json=body)
    assert found.status_code == 422
    assert "is of none of the customers asked for" in found.json()["detail"]


def test_a_thing_without_a_customer_has_no_receipts(embedded_store: str, tmp_path: Path) -> None:
    with served(embedded_store, tmp_path / "home", catalog=REFERENCE) as service:
        body = {
            "ids": {"customer_id": ["ann"], "category": ["tea"]}, "features": ["pairs"],
            "after": str(Receipt.of(0, 7, "ann")),
        }  # fmt: skip
        found = httpx.post(f"{service.url}/v1/features", json=body)
        assert found.status_code == 422
        assert "a receipt is of a customer's event" in found.json()["detail"]
