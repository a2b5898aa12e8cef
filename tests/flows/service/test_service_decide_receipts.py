"""Decisions that have seen the very last event, with a real worker in between."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

from tests.flows.service.loop_cases import decide, deciding
from tests.flows.service.test_service_receipts import CUSTOMERS, LOG, working

TEXT = """
name: carts
objectives: {accept: {response: accept}}
channels: {web: {}}
actions:
  reminder: {channels: [web], eligible: visits.spend >= 40 and visits.views >= 2}
exploration: {method: greedy}
"""


def test_a_decision_has_seen_what_was_published_before(store_url: str, tmp_path: Path) -> None:
    with (
        deciding(store_url, tmp_path / "home", *LOG, catalog=CUSTOMERS, text=TEXT) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
        working(tmp_path / "worker", store_url),
    ):
        for turn in range(5):
            customer = f"ann-{turn}"
            now = time.time_ns() // 1000
            bought: dict[str, Any] = {"value": 40.0, "category": "tea"}
            found = client.post(
                "/v1/events",
                json=[
                    {
                        "event_id": f"{customer}-{i}", "event_timestamp": now + i,
                        "customer_id": customer, "type": kind, "properties": properties,
                    }
                    for i, (kind, properties) in enumerate(
                        [("purchase", bought), ("view", {}), ("view", {})]
                    )
                ],
            )  # fmt: skip
            receipts = found.json()["receipts"]
            made = decide(client, customer, after=receipts, wait_seconds=30)
            assert made["stale"] is False
            assert [offer["action"] for offer in made["offers"]] == ["reminder"]
