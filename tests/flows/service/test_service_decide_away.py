"""A store that is away, hangs, or comes back: there is always an answer."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nextbest.flows.embedded import ensure_server, stop_server
from tests.flows.server_cases import pid_of
from tests.flows.service.loop_cases import decide, deciding, outcome, problem, until
from tests.flows.service.world import put_rows


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[Path]:
    """A server that a test may stop."""
    yield tmp_path / "store"
    stop_server(tmp_path / "store")


def test_the_fallback_is_answered_while_the_store_is_away(own_store: Path, tmp_path: Path) -> None:
    url = ensure_server(own_store)
    put_rows(url)
    with deciding(url, tmp_path / "home") as service, httpx.Client(base_url=service.url) as client:
        made = decide(client, "ann", n=2)
        assert made["fallback"] is None
        stop_server(own_store)
        found = decide(client, "ann", n=2, explain=True, context={"cups": True})
        assert found["fallback"] == "the store does not answer"
        assert found["receipt"] is None
        # As declared: what needs no features, in that order.
        assert [offer["action"] for offer in found["offers"]] == ["gold", "tea"]
        assert found["offers"][0]["propensity"] == 1.0
        assert found["offers"][0]["reasons"][0]["code"] == "fallback"
        assert found["decision_id"] != made["decision_id"]
        assert decide(client, "ann", channel="shut")["offers"] == []
        sent = outcome("o-1", made, "ann", "accept")
        problem(client.post("/v1/outcomes", json=sent), 503, "store-away")
        problem(client.get(f"/v1/decisions/{made['decision_id']}/why"), 503, "store-away")
        problem(client.get("/v1/customers/ann"), 503, "store-away")
        ensure_server(own_store)
        until(lambda: decide(client, "ann")["fallback"] is None)
        # What was committed before is still known; what was not never was.
        assert client.post("/v1/outcomes", json=sent).status_code == 202
        sent = outcome("o-2", found, "ann", "accept", action="tea")
        problem(client.post("/v1/outcomes", json=sent), 404, "unknown-decision")


def test_a_store_that_hangs_is_not_waited_for(own_store: Path, tmp_path: Path) -> None:
    url = ensure_server(own_store)
    put_rows(url)
    pid = pid_of(url)
    # Whatever else asks the store would wait for longer than the test.
    seconds = {"NEXTBEST_DECIDE_SECONDS": "0.3", "NEXTBEST_REDIS_TIMEOUT_SECONDS": "600"}
    with (
        deciding(url, tmp_path / "home", **seconds) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        until(lambda: decide(client, "ann")["fallback"] is None)
        os.kill(pid, signal.SIGSTOP)
        try:
            found = decide(client, "ann")
            assert found["fallback"] == "the store does not answer"
            assert found["receipt"] is None
        finally:
            os.kill(pid, signal.SIGCONT)
        until(lambda: decide(client, "ann", channel="mail")["fallback"] is None)
