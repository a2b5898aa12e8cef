"""Requests that report one outcome at the same time: one is taken in, and the others hear of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import redis

from tests.flows.service.loop_cases import decide, deciding, logged, outcome, problem
from tests.flows.service.world import Service, put_rows

PATH = "/v1/outcomes"


@pytest.fixture(scope="module")
def service(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    put_rows(embedded_store)
    with deciding(embedded_store, tmp_path_factory.mktemp("races")) as service:
        yield service


def at_once(client: httpx.Client, url: str, sent: list[Any]) -> list[httpx.Response]:
    """Post bodies so that all are checked before any is taken in: the store is silent meanwhile."""
    with redis.Redis.from_url(url) as store, ThreadPoolExecutor(len(sent)) as pool:
        store.client_pause(1_500, all=True)
        found = [pool.submit(client.post, PATH, json=one) for one in sent]
        return [one.result() for one in found]


def test_of_two_that_say_something_else_one_is_refused(
    client: httpx.Client, embedded_store: str
) -> None:
    made = decide(client, "two")
    sent = [outcome("t-1", made, "two", said) for said in ("accept", "refuse")]
    found = sorted(at_once(client, embedded_store, sent), key=lambda one: one.status_code)
    assert found[0].status_code == 202
    assert not found[0].json()["outcomes"][0]["repeated"]
    fault = problem(found[1], 409, "outcome-id-taken")["errors"][0]
    assert fault == {
        "reason": "'t-1' was taken in before, and said something else", "path": "$.outcome_id",
    }  # fmt: skip
    own = [e for e in logged(embedded_store) if e["event_id"] == "t-1"]
    assert len(own) == 1


def test_two_that_say_the_same_are_both_taken(client: httpx.Client, embedded_store: str) -> None:
    made = decide(client, "same")
    sent = [outcome("s-1", made, "same", "accept")] * 2
    found = at_once(client, embedded_store, sent)
    assert [one.status_code for one in found] == [202, 202]
    taken = [one.json()["outcomes"][0] for one in found]
    assert sorted(one["repeated"] for one in taken) == [False, True]
    assert taken[0]["receipt"] == taken[1]["receipt"]


def test_of_many_those_are_named_that_were_not_taken(
    client: httpx.Client, embedded_store: str
) -> None:
    names = ["one", "contended", "other"]
    made = {name: decide(client, name, n=2) for name in names}
    sent = [
        [
            *(outcome(f"{who}-{name}", made[name], name, "accept") for name in names),
            outcome("m-1", made["contended"], "contended", said),
            outcome(f"{who}-end", made["contended"], "contended", "accept", corrects="m-1"),
        ]
        for who, said in enumerate(("refuse", "deliver"))
    ]
    found = at_once(client, embedded_store, sent)
    lost = [one.status_code for one in found].index(409)
    assert found[1 - lost].status_code == 202
    body = problem(found[lost], 409, "outcome-id-taken")
    assert [(e["index"], e["path"]) for e in body["errors"]] == [(3, "$.outcome_id")]
    assert body["detail"] == (
        "1 of 5 outcomes are wrong; others may have been taken in: send them again"
    )
    ids = {e["event_id"] for e in logged(embedded_store)}
    assert {f"{who}-{name}" for who in range(2) for name in names} < ids
    assert (f"{lost}-end" in ids, f"{1 - lost}-end" in ids) == (False, True)
    again = [*sent[lost][:3], outcome("m-2", made["contended"], "contended", "deliver")]
    repeated = [one["repeated"] for one in client.post(PATH, json=again).json()["outcomes"]]
    assert repeated == [True, True, True, False]
