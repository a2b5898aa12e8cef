"""Deciding for many customers of one request: each as if they were asked for alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from nextbest.features.receipts import Receipt
from nextbest.flows.decision.contact_bytes import Contacts
from nextbest.flows.decision.ids import id_of_cause, new_id
from nextbest.flows.embedded import ensure_server, stop_server
from tests.flows.service.loop_cases import (
    KEYS,
    TEXT,
    decide,
    deciding,
    logged,
    outcome,
    problem,
    until,
)
from tests.flows.service.world import Service, put_rows

ROOM = 12


@pytest.fixture(scope="module")
def service(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    put_rows(embedded_store)
    text = TEXT.replace("most: 4", f"most: {ROOM}")
    patient = {"NEXTBEST_DECIDE_SECONDS": "60"}
    with deciding(embedded_store, tmp_path_factory.mktemp("b"), text=text, **patient) as service:
        yield service


def batch(client: httpx.Client, customers: list[Any], channel: str = "web", **more: Any) -> Any:
    asked = {"customers": customers, "channel": channel, **more}
    found = client.post("/v1/decide/batch", json=asked)
    assert found.status_code == 200, found.text
    answer = found.json()
    named = [one if isinstance(one, str) else one["customer"] for one in customers]
    assert [one["customer"] for one in answer["decisions"]] == named
    states = Counter(one["state"] for one in answer["decisions"])
    assert {name: count for name, count in answer["counts"].items() if count} == states
    return answer


def ranked(decision: Any) -> list[Any]:
    """What of a decision's offers does not follow from its id, which chooses between equals."""
    return [(offer["rank"], offer["score"], offer["propensity"]) for offer in decision["offers"]]


def test_each_is_decided_as_alone(client: httpx.Client, embedded_store: str) -> None:
    # More than are decided at a time, known and unknown, of contexts of their own.
    names = ["ann", "ben", "köln/ü", *(f"c{i}" for i in range(150))]
    customers = [
        {"customer": name, "context": {"cups": True, "page": "mine"}} if i % 3 else name
        for i, name in enumerate(names)
    ]
    shared = {"page": "home"}
    before = len(logged(embedded_store))
    dry = batch(client, customers, n=3, context=shared, commit=False, explain=True)
    assert not dry["committed"]
    assert len(logged(embedded_store)) == before
    plain = batch(client, customers, n=3, context=shared, commit=False)
    assert plain["counts"] == dry["counts"]
    for rehearsed, found in zip(plain["decisions"], dry["decisions"], strict=True):
        assert ranked(rehearsed) == ranked(found)
        assert rehearsed.get("control") == found.get("control")
    made = batch(client, customers, n=3, context=shared, explain=True)
    assert made["committed"]
    assert made["counts"]["logged"] == len(names)
    for rehearsed, found in zip(dry["decisions"], made["decisions"], strict=True):
        assert "decision_id" not in rehearsed
        assert ranked(rehearsed) == ranked(found)
        assert Receipt.parse(found["receipt"]).is_of(found["customer"])
    lines = logged(embedded_store)[before:]
    assert {line["event_id"] for line in lines} == {o["decision_id"] for o in made["decisions"]}
    with redis.Redis.from_url(embedded_store) as store:
        store.delete(*map(KEYS.contacts, names))
    for i in (0, 1, 2, 3, 4, 100):
        context = {"cups": True, "page": "mine"} if i % 3 else shared
        alone = decide(client, names[i], n=3, context=context, explain=True)
        assert ranked(alone) == ranked(made["decisions"][i])
    last = made["decisions"][-1]
    sent = outcome("of-a-batch", last, last["customer"], "accept")
    assert client.post("/v1/outcomes", json=sent).status_code == 202
    assert client.get(f"/v1/decisions/{last['decision_id']}/why").json()["reproduced"]


def test_caps_hold_within_a_batch_and_beside_others(
    client: httpx.Client, service: Service, embedded_store: str
) -> None:
    twice = batch(client, ["twice"] * (ROOM + 3), commit=False)["decisions"]
    assert [len(one["offers"]) for one in twice] == [1] * ROOM + [0] * 3
    twice = batch(client, ["twice"] * (ROOM + 3))["decisions"]
    assert [len(one["offers"]) for one in twice] == [1] * ROOM + [0] * 3
    assert len({one["receipt"] for one in twice}) == ROOM + 3

    def ask(number: int) -> list[Any]:
        with httpx.Client(base_url=service.url, timeout=60) as own:
            if number % 2:
                return [decide(own, "busy") for _ in range(8)]
            others = [f"other-{number}-{i}" for i in range(40)]
            found = batch(own, [*others, "busy", *others, "busy", "busy"])["decisions"]
            return [one for one in found if one["customer"] == "busy"]

    with ThreadPoolExecutor(6) as threads:
        found = [one for some in threads.map(ask, range(6)) for one in some]
    assert all(one["receipt"] for one in found)
    assert sum(len(one["offers"]) for one in found) == ROOM
    with redis.Redis.from_url(embedded_store) as store:
        kept: Any = store.get(KEYS.contacts("busy"))
    assert len(Contacts.unpack(kept).offers) == ROOM
    lines = Counter(e["event_id"] for e in logged(embedded_store) if e["customer_id"] == "busy")
    assert lines == Counter(one["decision_id"] for one in found)


def test_the_same_batch_again_is_answered_as_it_was(
    client: httpx.Client, embedded_store: str
) -> None:
    at = time.time_ns() // 1000
    named, own = f"{at:016x}-{7:016x}", id_of_cause(at, "cid", "mine")
    customers = ["ada", "bob", {"customer": "cid", "decision_id": own}, "ada"]
    first = batch(client, customers, batch_id=named)["decisions"]
    before = len(logged(embedded_store))
    again = batch(client, [*customers, "dan"], batch_id=named)["decisions"]
    assert len(logged(embedded_store)) == before + 1
    assert [one | {"repeated": True} for one in first] == again[:4]
    assert "repeated" not in again[4]
    assert {one["at"] for one in again} == {at}
    assert again[2]["decision_id"] == own
    assert len({one["decision_id"] for one in again}) == 5
    past = at - 3_600_000_000
    gone = batch(client, ["ada"], batch_id=f"{past:016x}-{7:016x}")["decisions"]
    gone += batch(client, [{"customer": "ada", "decision_id": new_id(past, "ada")}])["decisions"]
    assert [one["state"] for one in gone] == ["refused", "refused"]
    assert all("no longer kept" in one["error"] for one in gone)


def test_what_is_wrong_is_told_and_nothing_is_decided(
    client: httpx.Client, embedded_store: str
) -> None:
    before = len(logged(embedded_store))

    def refused(customers: Any, **more: Any) -> Any:
        asked = {"customers": customers, "channel": "web", **more}
        return problem(client.post("/v1/decide/batch", json=asked), 422, "invalid-request")

    foreign = {"customer": "ben", "decision_id": new_id(time.time_ns() // 1000, "ann")}
    large = {"customer": "cid", "context": {"size": 2**60}}
    found = refused(["ann", foreign, "ü" * 200, large])
    assert found["detail"] == "3 of 4 customers are wrong; none was decided"
    assert [(e["index"], e["path"]) for e in found["errors"]] == [
        (1, "$.decision_id"), (2, "$.customer"), (3, "$.context.size"),
    ]  # fmt: skip
    assert refused(["ann"], channel="fax")["errors"][0]["path"] == "$.channel"
    assert refused(["ann", 7])["errors"][0]["path"] == "$.customers[1]"
    assert refused([])["errors"][0]["path"] == "$.customers"
    assert refused(["ann"] * 1001)["errors"][0]["path"] == "$.customers"
    assert refused(["ann"], n=0)["errors"][0]["path"] == "$.n"
    dry = refused(["ann"], commit=False, batch_id=f"{1:016x}-{2:016x}")
    assert dry["errors"][0]["path"] == "$.batch_id"
    assert len(logged(embedded_store)) == before


def test_what_one_lacks_is_not_missed_by_others(client: httpx.Client, embedded_store: str) -> None:
    with redis.Redis.from_url(embedded_store) as store:
        store.set("nextbest:shop:customer:torn", b"no row")
        store.set(KEYS.person("odd"), b"no weights")
        store.set(KEYS.contacts("cut"), b"no contacts")
    names = ["ann", "torn", "odd", "cut", "bea"]
    for commit in (True, False):
        found = batch(client, names, commit=commit)["decisions"]
        whole = "logged" if commit else "dry"
        assert [one["state"] for one in found] == [
            whole, whole, whole, "unlogged" if commit else "dry", whole,
        ]  # fmt: skip
        told = [one.get("fallback", "").partition(":")[0] for one in found]
        assert told == [
            "", "the customer's row cannot be read", "models",
            "the customer's contacts cannot be read", "",
        ]  # fmt: skip


def test_a_store_that_is_away_makes_fallbacks_and_no_dry_run(tmp_path: Path) -> None:
    store = tmp_path / "store"
    url = ensure_server(store)
    try:
        put_rows(url)
        with (
            deciding(url, tmp_path / "home") as service,
            httpx.Client(base_url=service.url, timeout=60) as client,
        ):
            stop_server(store)
            at = time.time_ns() // 1000
            for more in ({}, {"batch_id": f"{at:016x}-{7:016x}"}):
                found = batch(client, ["ann"] * 200, n=2, **more)["decisions"]
                assert {one["state"] for one in found} == {"unlogged"}
                assert {one["fallback"] for one in found} == {"the store does not answer"}
                assert [o["action"] for o in found[199]["offers"]] == ["gold", "tea"]
                assert len({one["decision_id"] for one in found}) == 200
            asked = {"customers": ["ann"], "channel": "web", "commit": False}
            problem(client.post("/v1/decide/batch", json=asked), 503, "store-away")
            ensure_server(store)
            until(lambda: batch(client, ["ann"])["counts"]["logged"] == 1)
    finally:
        stop_server(store)
