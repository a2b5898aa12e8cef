"""All of a customer at one glance: nothing is decided by looking."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import redis

from nextbest.flows.decision import recent
from nextbest.flows.decision.record import Record, Response, record_of
from tests.flows.kept_cases import whole
from tests.flows.loop_archive_cases import decided, event_of, told
from tests.flows.service.loop_cases import DAY, KEYS, decide, deciding, logged, outcome, problem
from tests.flows.service.world import Service, put_rows


@pytest.fixture(scope="module")
def service(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    put_rows(embedded_store)
    with deciding(embedded_store, tmp_path_factory.mktemp("customers")) as service:
        yield service


def kept(url: str, decision: str) -> Record:
    with redis.Redis.from_url(url) as store:
        value: Any = whole(store, KEYS.decision(decision))
    return record_of(value.partition(b" ")[2])


def show(client: httpx.Client, path: str) -> Any:
    found = client.get(f"/v1/customers/{path}")
    assert found.status_code == 200, found.text
    return found.json()


def test_features_have_values_states_and_age(client: httpx.Client) -> None:
    found = show(client, "ann")
    assert (found["known"], found["strategy"], found["control"]) == (True, "spring", False)
    assert found["age_ms"] > 0
    features = {one["name"]: one for one in found["features"]}
    assert features["visits:spend"] == {"name": "visits:spend", "value": 2.5, "state": "present"}
    assert features["visits:category"]["value"] == "tea"
    assert features["visits:last_values[1]"]["state"] == "missing"
    assert features["visits:views"]["state"] == "expired"


def test_actions_are_ranked_by_score_and_excluded_by_rule(client: httpx.Client) -> None:
    found = show(client, "ann")["channels"]
    assert list(found) == ["web", "mail", "shut"]
    web = found["web"]
    assert [one["action"] for one in web["ranked"]] == ["tea", "mug"]
    assert web["ranked"][0]["score"] > web["ranked"][1]["score"]
    assert {reason["code"] for reason in web["ranked"][1]["reasons"]} == {"best", "boost", "cost"}
    assert {one["action"]: one["rule"] for one in web["excluded"]} == {
        "cup": "eligible", "gold": "eligible",
    }  # fmt: skip
    assert (web["room"], found["mail"]["room"]) == (4, None)
    rules = {one["action"]: one["rule"] for one in found["shut"]["excluded"]}
    assert rules["cup"] == "closed channel"
    made = decide(client, "ann", n=2)
    scores = [one["score"] for one in web["ranked"]]
    assert [offer["score"] for offer in made["offers"]] == pytest.approx(scores)


def test_looking_counts_for_nothing(client: httpx.Client, embedded_store: str) -> None:
    before = len(logged(embedded_store))
    for _ in range(10):
        show(client, "looked-at")
    assert len(logged(embedded_store)) == before
    with redis.Redis.from_url(embedded_store) as store:
        assert store.get(KEYS.contacts("looked-at")) is None
        assert not list(store.scan_iter(f"{KEYS.prefix}outbound:*"))


def test_contacts_say_what_was_offered_and_what_rests(client: httpx.Client) -> None:
    made = decide(client, "often", n=2)
    refused = outcome("r-1", made, "often", "refuse", action="mug")
    annoyed = outcome("r-2", made, "often", "annoyed")
    assert client.post("/v1/outcomes", json=[refused]).status_code == 202
    found = show(client, "often")
    assert found["offered"] == [
        {"at": made["at"], "action": "tea", "channel": "web"},
        {"at": made["at"], "action": "mug", "channel": "web"},
    ]
    (rest,) = found["resting"]
    assert (rest["what"], rest["after"]) == ("action mug", "refuse")
    assert rest["until"] - rest["since"] == 7 * 86_400_000_000
    assert found["channels"]["web"]["room"] == 2
    assert [one["action"] for one in found["channels"]["web"]["ranked"]] == ["tea"]
    assert client.post("/v1/outcomes", json=annoyed).status_code == 202
    found = show(client, "often")
    assert {one["what"] for one in found["resting"]} == {"action mug", "all"}
    assert found["channels"]["web"]["ranked"] == []


def test_recent_decisions_say_what_came_of_them(client: httpx.Client, embedded_store: str) -> None:
    """As a run keeps them in the store."""
    made = [decide(client, "past", n=2), decide(client, "past")]
    records = [kept(embedded_store, one["decision_id"]) for one in made]
    events = [decided(one, place) for place, one in enumerate(records)]
    record = records[0]
    refuse = Response(decision_id=record.id, response="refuse", action="mug")
    events.append(event_of(refuse, record.at + 9, "past", "r-9", 2))
    learned = [
        told(record, 1.0, after=99, revision=1), told(record, 0.0, after=DAY, silence=True),
        told(record, 0.0, after=9, rank=1, withdrawn=True),
    ]  # fmt: skip
    with redis.Redis.from_url(embedded_store) as store:
        for found in (recent.of_events(events), recent.of_credits(learned)):
            for customer, members in recent.additions(found).items():
                store.execute_command("ZADD", KEYS.recent(customer), *members)
    answer = show(client, "past")["recent"]
    assert [one["decision_id"] for one in answer] == [made[1]["decision_id"], record.id]
    assert answer[0]["offers"] == [
        {"action": offer["action"], "rank": 0, "came": []} for offer in made[1]["offers"]
    ]
    assert (answer[1]["at"], answer[1]["channel"], answer[1]["trigger"]) == (record.at, "web", "")
    assert answer[1]["responses"] == [
        {"outcome_id": "r-9", "at": record.at + 9, "response": "refuse", "action": "mug"}
    ]
    assert [offer["came"] for offer in answer[1]["offers"]] == [
        [{"objective": "accept", "reward": 1.0, "silence": False, "at": record.at + 99}],
        [{"objective": "accept", "reward": None, "silence": False, "at": record.at + 9}],
    ]
    assert show(client, "past?recent=1")["recent"] == answer[:1]
    assert show(client, "past?recent=0")["recent"] == []


def test_actions_are_ranked_by_what_is_known_of_the_moment(client: httpx.Client) -> None:
    known = urlencode({"context": json.dumps({"page": "home", "cups": True}), "channel": "web"})
    found = show(client, f"moment?{known}")
    assert found["context"] == {"page": "home", "cups": True}
    assert "cup" in [one["action"] for one in found["channels"]["web"]["ranked"]]
    without = show(client, "moment?channel=web")
    assert without["context"] == {}
    assert {"action": "cup", "rule": "eligible"} in without["channels"]["web"]["excluded"]


def test_parameters_choose_channel_and_length(client: httpx.Client) -> None:
    found = show(client, "ann?channel=web&n=1")["channels"]
    assert list(found) == ["web"]
    assert (len(found["web"]["ranked"]), found["web"]["more"]) == (1, 1)


def test_somebody_unknown_is_shown_as_such(client: httpx.Client) -> None:
    found = show(client, "k%C3%B6ln%2F%20nobody")
    assert (found["customer"], found["known"], found["age_ms"]) == ("köln/ nobody", False, None)
    assert {one["state"] for one in found["features"]} == {"missing"}
    assert found["channels"]["web"]["ranked"]


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("ann?n=0", "$.n"), ("ann?n=101", "$.n"), ("ann?n=1&n=2", "$.n"), ("ann?n=x", "$.n"),
        ("ann?recent=21", "$.recent"), ("ann?context=[]", "$.context"),
        ('ann?context={"a":{}}', "$.context"), ('ann?context={"a":1e300000}', "$.context"),
        ("ann?channel=fax", "$.channel"), ("ann?what=1", "$.what"), ("é" * 200, "$.id"),
    ],
    ids=["n-0", "n-101", "n-twice", "n-word", "recent-21", "context-list", "context-deep",
         "context-inf", "no-channel", "no-parameter", "long-id"],
)  # fmt: skip
def test_a_wrong_query_is_refused(client: httpx.Client, path: str, where: str) -> None:
    found = client.get(f"/v1/customers/{path}")
    assert problem(found, 422, "invalid-request")["errors"][0]["path"] == where


def test_damaged_weights_are_told_where_actions_would_be(
    client: httpx.Client, embedded_store: str
) -> None:
    with redis.Redis.from_url(embedded_store) as store:
        store.set(KEYS.person("odd"), b"\xc1")
    found = show(client, "odd")["channels"]["web"]
    assert found["ranked"] == []
    assert "weights" in found["fault"]
