"""Decisions made again, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
import redis

from nextbest.flows.decision.ids import new_id
from nextbest.flows.decision.record import event_of, record_of
from tests.flows.kept_cases import whole
from tests.flows.service.loop_cases import DAY, KEYS, decide, deciding, problem
from tests.flows.service.world import Service, put_rows


@pytest.fixture(scope="module")
def service(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    put_rows(embedded_store)
    with deciding(embedded_store, tmp_path_factory.mktemp("why")) as service:
        yield service


def why(client: httpx.Client, identifier: str) -> httpx.Response:
    return client.get(f"/v1/decisions/{identifier}/why")


@pytest.mark.parametrize("n", [1, 3], ids=["one", "three"])
def test_a_decision_is_made_again_and_explained(client: httpx.Client, n: int) -> None:
    asked: dict[str, Any] = {"n": n, "context": {"page": "home", "cups": n == 3}}
    made = decide(client, "ann", **asked)
    found = why(client, made["decision_id"]).json()
    assert found["reproduced"] is True
    assert found["foretold"] == "reproduced"
    assert found["differences"] == []
    assert (found["customer"], found["at"], found["channel"]) == ("ann", made["at"], "web")
    assert [o["action"] for o in found["offers"]] == [o["action"] for o in made["offers"]]
    features = {one["name"]: one for one in found["features"]}
    assert features["visits:spend"]["value"] == 2.5
    every = {one["action"] for one in found["candidates"] + found["excluded"]}
    assert every == {"tea", "mug", "cup", "gold"}
    assert {"action": "gold", "rule": "eligible"} in found["excluded"]


def test_a_record_that_was_changed_is_told(client: httpx.Client, embedded_store: str) -> None:
    made = decide(client, "cy", n=2)
    key = KEYS.decision(made["decision_id"])
    with redis.Redis.from_url(embedded_store) as store:
        kept: Any = whole(store, key)
        place, _, line = kept.partition(b" ")
        record = record_of(line)
        offers = [msgspec.structs.replace(record.offers[0], score=1e6), *record.offers[1:]]
        forged = event_of(msgspec.structs.replace(record, offers=offers))
        store.set(key, place + b" " + forged, keepttl=True)
    found = why(client, made["decision_id"]).json()
    assert found["reproduced"] is False
    assert [one["part"] for one in found["differences"]] == ["offers"]


def test_what_is_not_there_is_told(client: httpx.Client) -> None:
    now = time.time_ns() // 1000
    problem(why(client, new_id(now, "ann")), 404, "unknown-decision")
    problem(why(client, new_id(now - 2 * DAY, "ann")), 410, "no-longer-kept")
    assert problem(why(client, "d-1"), 422, "invalid-request")["errors"][0]["path"] == "$.id"
    problem(why(client, "%ff"), 400, "malformed-request")
    made = decide(client, "ann", channel="mail")
    problem(client.get(f"/v1/decisions/{made['decision_id']}"), 404, "not-found")
    problem(client.get(f"/v1/decisions/{made['decision_id']}/why?n=1"), 422, "invalid-request")
    found = client.post(f"/v1/decisions/{made['decision_id']}/why")
    assert problem(found, 405, "method-not-allowed")


def test_a_version_that_is_lost_is_told(client: httpx.Client, embedded_store: str) -> None:
    made = decide(client, "dee")
    key = KEYS.decision(made["decision_id"])
    with redis.Redis.from_url(embedded_store) as store:
        kept: Any = whole(store, key)
        place, _, line = kept.partition(b" ")
        other = msgspec.structs.replace(record_of(line), strategy="0" * 16)
        store.set(key, place + b" " + event_of(other), keepttl=True)
    detail = problem(why(client, made["decision_id"]), 410, "no-longer-kept")["detail"]
    assert "which the store does not have" in detail
