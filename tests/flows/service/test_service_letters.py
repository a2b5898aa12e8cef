"""A worker that writes to customers and a service that hears how it went, as users run them."""

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
import msgspec
import redis

from tests.flows.decision import trigger_cases
from tests.flows.decision.trigger_cases import KEYS, SECOND, TEXT, now, visit
from tests.flows.service.world import served

REFERENCE = f"{trigger_cases.__file__}:catalog"


@contextlib.contextmanager
def working(store: str, home: Path, strategy: Path) -> Iterator[subprocess.Popen[str]]:
    words = [
        sys.executable, "-m", "nextbest.flows.cli", "run", "--stream", "events",
        "--catalog", REFERENCE, "--strategy", str(strategy), "--redis-url", store,
        "--data-dir", str(home),
    ]  # fmt: skip
    worker = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def sent(store: redis.Redis, channel: str) -> Any:
    """The first message of a channel, as soon as there is one."""
    end = time.monotonic() + 200
    while not (found := store.xrange(KEYS.outbound(channel))):
        assert time.monotonic() < end, f"nothing was sent through {channel}"
        time.sleep(0.01)
    ((_, fields),) = found
    return msgspec.json.decode(fields[b"decision"])


def test_a_cart_is_left_a_push_fails_and_an_sms_is_sent(store: redis.Redis, tmp_path: Path) -> None:
    url = f"unix://{store.connection_pool.connection_kwargs['path']}"
    strategy = tmp_path / "letters.yaml"
    strategy.write_text(TEXT)
    with (
        served(
            url, tmp_path / "service", "--strategy", str(strategy), catalog=REFERENCE
        ) as service,
        working(url, tmp_path / "worker", strategy) as worker,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        events = visit("ann", now() - 4 * SECOND)
        assert client.post("/v1/events", json=events).status_code == 202
        first = sent(store, "push")
        outcome = {
            "outcome_id": "o-1", "customer": "ann", "decision_id": first["decision_id"],
            "response": "fail",
        }  # fmt: skip
        assert client.post("/v1/outcomes", json=outcome).status_code == 202
        second = sent(store, "sms")
        assert second["cause"] == first["decision_id"]
        accepted = {**outcome, "outcome_id": "o-2", "decision_id": second["decision_id"]}
        taken = client.post("/v1/outcomes", json={**accepted, "response": "accept"})
        assert taken.status_code == 202, taken.text
        for one, action in ((first, "remind"), (second, "discount")):
            found = client.get(f"/v1/decisions/{one['decision_id']}/why").json()
            assert found["reproduced"] is True, found["differences"]
            assert [offer["action"] for offer in found["offers"]] == [action]
        worker.send_signal(signal.SIGTERM)
        said, _ = worker.communicate(timeout=200)
    assert "2 held, 1 sent, 1 rerouted, 0 too late, 1 nothing eligible" in said
