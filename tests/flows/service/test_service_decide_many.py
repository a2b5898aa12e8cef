"""Many requests at once, over several processes: what caps promise holds for all of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import redis

from nextbest.flows.decision.contact_bytes import Contacts
from tests.flows.service.loop_cases import KEYS, TEXT, deciding, logged, outcome
from tests.flows.service.world import put_rows

MANY = 64
PATIENT = {"NEXTBEST_DECIDE_SECONDS": "60"}
"""A machine that is busy with other things is not a store that is away."""


def ask_all(urls: list[str], customers: list[str], **more: Any) -> list[Any]:
    """Decide for each of some customers, all at once, at several services in turn."""

    async def ask() -> list[Any]:
        limits = httpx.Limits(max_connections=MANY * 2)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:
            made = await asyncio.gather(
                *(
                    client.post(
                        f"{urls[i % len(urls)]}/v1/decide",
                        json={"customer": customer, "channel": "web", **more},
                    )
                    for i, customer in enumerate(customers)
                )
            )
        assert {found.status_code for found in made} == {200}
        return [found.json() for found in made]

    return asyncio.run(ask())


def test_no_cap_is_exceeded_by_many_at_once(store_url: str, tmp_path: Path) -> None:
    put_rows(store_url)
    # As many offers as there are requests could be made, but for the cap.
    text = TEXT.replace("most: 4", "most: 20")
    with (
        deciding(store_url, tmp_path / "one", text=text, **PATIENT) as one,
        deciding(store_url, tmp_path / "two", text=text, **PATIENT) as two,
    ):
        made = ask_all([one.url, two.url], ["ann"] * MANY)
        offered = [offer["action"] for found in made for offer in found["offers"]]
        assert len(offered) == 20
        assert len({found["decision_id"] for found in made}) == MANY
        assert all(found["fallback"] is None for found in made)
        assert len({found["receipt"] for found in made}) == MANY
        with redis.Redis.from_url(store_url) as store:
            kept: Any = store.get(KEYS.contacts("ann"))
        assert len(Contacts.unpack(kept).offers) == 20
        lines = [e for e in logged(store_url) if e["customer_id"] == "ann"]
        assert Counter(e["event_id"] for e in lines) == Counter(
            found["decision_id"] for found in made
        )


def test_each_of_many_customers_gets_their_own(store_url: str, tmp_path: Path) -> None:
    put_rows(store_url)
    with (
        deciding(store_url, tmp_path / "one", **PATIENT) as one,
        deciding(store_url, tmp_path / "two", **PATIENT) as two,
    ):
        names = [f"c{i}" for i in range(MANY)]
        made = ask_all([one.url, two.url], names, n=2)
        assert [len(found["offers"]) for found in made] == [2] * MANY
        # Either service knows what the other decided.
        with httpx.Client(base_url=two.url, timeout=30) as client:
            sent = [
                outcome(f"o-{name}", found, name, "refuse")
                for name, found in zip(names, made, strict=True)
            ]
            assert client.post("/v1/outcomes", json=sent).status_code == 202
        again = ask_all([one.url, two.url], names, n=2)
        assert all([o["action"] for o in found["offers"]] == ["mug"] for found in again)
