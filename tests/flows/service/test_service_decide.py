"""Deciding over HTTP: what is answered, logged and counted, and what is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis

from nextbest.features.receipts import Receipt
from nextbest.flows.decision.ids import id_of_cause, new_id
from tests.flows.service.loop_cases import KEYS, decide, deciding, logged, problem
from tests.flows.service.world import Service, put_rows

ASKED: dict[str, Any] = {"customer": "ann", "channel": "web"}


@pytest.fixture(scope="module")
def service(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    put_rows(embedded_store)
    with deciding(embedded_store, tmp_path_factory.mktemp("decide")) as service:
        yield service


def test_actions_are_answered_with_all_that_an_app_needs(client: httpx.Client) -> None:
    found = decide(client, "ann", n=3, explain=True, context={"page": "home"})
    tea, mug = found["offers"]
    assert [offer["action"] for offer in found["offers"]] == ["tea", "mug"]
    assert [offer["rank"] for offer in found["offers"]] == [0, 1]
    assert tea["content"] == {"title": "Tea", "stock": 3}
    assert mug["value"] == {"accept": 3, "spend": 1}
    assert mug["propensity"] == 1.0
    assert tea["score"] > mug["score"]
    codes = {reason["code"] for reason in mug["reasons"]}
    assert codes == {"best", "boost", "cost"}
    assert (found["control"], found["explored"], found["stale"]) == (False, False, False)
    assert (found["fallback"], found["repeated"]) == (None, False)
    assert abs(found["at"] - time.time_ns() // 1000) < 60_000_000
    assert Receipt.parse(found["receipt"]).is_of("ann")


def test_a_decision_is_in_the_log_and_counts_for_the_caps(
    client: httpx.Client, embedded_store: str
) -> None:
    made = [decide(client, "counted", n=1) for _ in range(6)]
    assert [len(found["offers"]) for found in made] == [1, 1, 1, 1, 0, 0]
    own = [event for event in logged(embedded_store) if event["customer_id"] == "counted"]
    assert [event["event_id"] for event in own] == [found["decision_id"] for found in made]
    assert {event["type"] for event in own} == {"decision"}
    record = own[4]["properties"]["nextbest"]
    assert record["excluded"]["tea"] == "cap of web: 4 per 1d"


def test_somebody_unknown_gets_what_needs_no_features(client: httpx.Client) -> None:
    found = decide(client, "stranger-ü/1", n=4, context={"cups": True})
    assert {offer["action"] for offer in found["offers"]} == {"tea", "mug", "cup"}
    assert found["receipt"] is not None
    assert found["fallback"] is None


def test_a_closed_channel_offers_nothing(client: httpx.Client) -> None:
    found = decide(client, "ann", channel="shut", context={"cups": True})
    assert found["offers"] == []
    assert found["receipt"] is not None


def test_features_decide_who_may_have_what(client: httpx.Client) -> None:
    offered = {offer["action"] for offer in decide(client, "köln/ü", n=4)["offers"]}
    assert "gold" in offered  # they spent 7
    assert "gold" not in {offer["action"] for offer in decide(client, "ben", n=4)["offers"]}


def test_what_goes_out_is_in_the_channels_stream(client: httpx.Client, embedded_store: str) -> None:
    found = decide(client, "post", channel="mail")
    with redis.Redis.from_url(embedded_store) as store:
        entries: Any = store.xrange(KEYS.outbound("mail"))
    sent = json.loads(entries[-1][1][b"decision"])
    assert (sent["decision_id"], sent["customer"]) == (found["decision_id"], "post")
    assert sent["offers"][0]["content"] == {"title": "Tea", "stock": 3}


def test_the_same_id_again_answers_what_was_decided(
    client: httpx.Client, embedded_store: str
) -> None:
    identifier = new_id(time.time_ns() // 1000, "again")
    first = decide(client, "again", decision_id=identifier)
    second = decide(client, "again", decision_id=identifier)
    assert first["decision_id"] == identifier
    assert second == {**first, "repeated": True}
    own = [event for event in logged(embedded_store) if event["customer_id"] == "again"]
    assert len(own) == 1


@pytest.mark.parametrize(
    ("late_us", "reason"),
    [(3_600_000_000, "of another time"), (-120_000_000, "of another time")],
    ids=["long-ago", "to-come"],
)
def test_an_id_of_another_time_is_refused(client: httpx.Client, late_us: int, reason: str) -> None:
    identifier = id_of_cause(time.time_ns() // 1000 - late_us, "ann", "e")
    found = client.post("/v1/decide", json={**ASKED, "decision_id": identifier})
    assert reason in problem(found, 422, "invalid-request")["detail"]


def test_an_id_of_another_customer_is_refused(client: httpx.Client) -> None:
    identifier = new_id(time.time_ns() // 1000, "ben")
    found = client.post("/v1/decide", json={**ASKED, "decision_id": identifier})
    assert "of another customer" in problem(found, 403, "not-theirs")["detail"]


BAD = {
    "no-customer": ({"channel": "web"}, "$", "missing required field"),
    "empty-customer": ({**ASKED, "customer": ""}, "$.customer", "length >= 1"),
    "long-customer": ({**ASKED, "customer": "é" * 200}, "$.customer", "longer than 256 bytes"),
    "no-such-channel": ({**ASKED, "channel": "fax"}, "$.channel", "'fax'"),
    "n-0": ({**ASKED, "n": 0}, "$.n", ">= 1"),
    "n-101": ({**ASKED, "n": 101}, "$.n", "<= 100"),
    "n-text": ({**ASKED, "n": "1"}, "$.n", "Expected `int`"),
    "context-list": ({**ASKED, "context": {"a": []}}, "$.context[...]", "got `array`"),
    "context-many": ({**ASKED, "context": {f"c{i}": 1 for i in range(65)}}, "$.context", "<= 64"),
    "context-long": ({**ASKED, "context": {"a": "x" * 1025}}, "$.context[...]", "<= 1024"),
    "context-huge": ({**ASKED, "context": {"a": 2**60}}, "$.context.a", "is beyond"),
    "receipt": ({**ASKED, "after": "7"}, "$.after", "regex"),
    "receipt-of-ben": ({**ASKED, "after": str(Receipt.of(0, 7, "ben"))}, "$.after", "none of the"),
    "wait": ({**ASKED, "wait_seconds": 31}, "$.wait_seconds", "<= 30"),
    "no-id": ({**ASKED, "decision_id": "7"}, "$.decision_id", "regex"),
    "unknown-field": ({**ASKED, "chanel": "web"}, "$", "chanel"),
}


@pytest.mark.parametrize(("body", "path", "reason"), BAD.values(), ids=BAD)
def test_a_wrong_request_is_refused_by_its_part(
    client: httpx.Client, body: Any, path: str, reason: str
) -> None:
    found = problem(client.post("/v1/decide", json=body), 422, "invalid-request")
    assert found["errors"][0]["path"] == path
    assert reason in found["errors"][0]["reason"]


def test_what_is_no_json_is_refused(client: httpx.Client) -> None:
    kind = {"content-type": "application/json"}
    problem(client.post("/v1/decide", content=b"{", headers=kind), 400, "malformed-request")
    problem(client.post("/v1/decide", content=b"{}"), 415, "unsupported-media-type")
    assert client.get("/v1/decide").headers["allow"] == "POST"


def test_an_event_that_was_not_seen_in_time_makes_a_decision_stale(client: httpx.Client) -> None:
    after = str(Receipt.of(0, 1 << 50, "ann"))
    found = decide(client, "ann", channel="mail", after=[after], wait_seconds=0.2)
    assert found["stale"] is True
    assert found["fallback"] is None
    assert found["offers"]


def test_a_damaged_row_makes_the_fallback_be_logged(
    client: httpx.Client, embedded_store: str
) -> None:
    with redis.Redis.from_url(embedded_store) as store:
        store.set("nextbest:shop:customer:broken", b"\0" * 64)
    found = decide(client, "broken")
    assert "row cannot be read" in found["fallback"]
    # What needs features is not asked then: the first of the declared ones.
    assert [offer["action"] for offer in found["offers"]] == ["gold"]
    assert found["receipt"] is not None


def test_damaged_contacts_make_an_unlogged_fallback(
    client: httpx.Client, embedded_store: str
) -> None:
    with redis.Redis.from_url(embedded_store) as store:
        store.set(KEYS.contacts("torn"), b"\1" * 40)
    found = decide(client, "torn")
    assert "contacts cannot be read" in found["fallback"]
    assert found["receipt"] is None


def test_damaged_weights_make_the_fallback_be_logged(
    client: httpx.Client, embedded_store: str
) -> None:
    with redis.Redis.from_url(embedded_store) as store:
        store.set(KEYS.person("odd"), b"\xc1")
    found = decide(client, "odd")
    assert found["fallback"].startswith("models: ")
    assert found["receipt"] is not None


def test_an_answer_has_the_same_head_however_it_is_sent(client: httpx.Client) -> None:
    kept = client.post("/v1/decide", json=ASKED)
    # The server's own way, as the connection is not kept.
    closed = client.post("/v1/decide", json=ASKED, headers={"connection": "close"})
    heads = [dict(found.headers) for found in (kept, closed)]
    for head, found in zip(heads, (kept, closed), strict=True):
        assert head.pop("content-length") == str(len(found.content))
        head.pop("date")
    assert heads[1].pop("connection") == "close"
    assert heads[0] == heads[1]
    assert heads[0]["cache-control"] == "no-store"
