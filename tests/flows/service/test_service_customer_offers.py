"""Of what was offered to a customer that is listed which counts for a cap."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis

from nextbest.flows.decision.contact_bytes import Contacts, Offered, hashed
from tests.flows.service.loop_cases import KEYS, deciding
from tests.flows.service.world import Service, put_rows

HOUR = 3_600_000_000
TEXT = """
name: spring
objectives:
  accept: {response: accept}
channels:
  web: {caps: [{most: 4, per: 1h}, {most: 3, per: 1m}]}
  mail: {}
actions:
  tea: {channels: [web, mail]}
  mug: {channels: [web, mail], caps: [{most: 9, per: 1d}]}
exploration: {method: greedy}
fallback: [tea]
"""


@pytest.fixture(scope="module")
def service(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    put_rows(embedded_store)
    with deciding(embedded_store, tmp_path_factory.mktemp("offers"), text=TEXT) as service:
        yield service


def offered(client: httpx.Client, customer: str) -> Any:
    found = client.get(f"/v1/customers/{customer}")
    assert found.status_code == 200, found.text
    return found.json()["offered"]


@pytest.mark.parametrize(
    ("action", "channel", "ago", "listed"),
    [
        ("tea", "web", HOUR // 2, True),
        ("tea", "web", 2 * HOUR, False),
        ("tea", "mail", HOUR // 2, False),  # no cap counts it, whatever one did before
        ("mug", "web", 2 * HOUR, True),
        ("mug", "mail", 23 * HOUR, True),
        ("mug", "web", 25 * HOUR, False),
        ("tea", "web", -HOUR // 2, True),  # by a clock that is ahead
        ("tea", "mail", -HOUR // 2, False),
        ("gone", "web", HOUR // 2, True),
        ("gone", "web", 2 * HOUR, False),
    ],
)
def test_an_offer_is_listed_while_it_counts(
    client: httpx.Client, embedded_store: str, action: str, channel: str, ago: int, listed: bool
) -> None:
    customer, at = f"{action}-{channel}-{ago}", time.time_ns() // 1000 - ago
    known = Contacts([Offered(at, hashed(action), hashed(channel))])
    with redis.Redis.from_url(embedded_store) as store:
        store.set(KEYS.contacts(customer), known.pack())
    named = action if action != "gone" else None
    assert offered(client, customer) == [{"at": at, "action": named, "channel": channel}] * listed


def test_room_is_what_those_leave_that_are_listed(
    client: httpx.Client, embedded_store: str
) -> None:
    now = time.time_ns() // 1000
    ages = (90, 61, 30, 2)  # minutes
    known = Contacts([Offered(now - a * HOUR // 60, hashed("tea"), hashed("web")) for a in ages])
    with redis.Redis.from_url(embedded_store) as store:
        store.set(KEYS.contacts("room"), known.pack())
    found = client.get("/v1/customers/room").json()
    assert [one["at"] for one in found["offered"]] == [one.at for one in known.offers[2:]]
    assert found["channels"]["web"]["room"] == 2
