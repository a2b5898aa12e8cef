"""What became of offers, over HTTP: taken in once, or refused with the reason."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from nextbest.features.receipts import Receipt
from nextbest.flows.decision.ids import new_id
from tests.flows.service.loop_cases import DAY, decide, deciding, logged, outcome, problem
from tests.flows.service.world import Service, put_rows

PATH = "/v1/outcomes"


@pytest.fixture(scope="module")
def service(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    put_rows(embedded_store)
    with deciding(embedded_store, tmp_path_factory.mktemp("outcomes")) as service:
        yield service


def now() -> int:
    return time.time_ns() // 1000


def test_an_outcome_is_logged_and_counts_once(client: httpx.Client, embedded_store: str) -> None:
    made = decide(client, "once", n=2)
    first = client.post(PATH, json=outcome("o-1", made, "once", "refuse"))
    assert first.status_code == 202
    (taken,) = first.json()["outcomes"]
    assert (taken["outcome_id"], taken["repeated"]) == ("o-1", False)
    assert Receipt.parse(taken["receipt"]).is_of("once")
    again = client.post(PATH, json=outcome("o-1", made, "once", "refuse"))
    assert again.json()["outcomes"] == [{**taken, "repeated": True}]
    own = [e for e in logged(embedded_store) if e["customer_id"] == "once"]
    assert [e["type"] for e in own] == ["decision", "outcome"]
    assert own[1]["properties"]["response"] == "refuse"
    assert own[1]["properties"]["action"] == made["offers"][0]["action"]


def test_a_refused_action_is_not_offered_again(client: httpx.Client) -> None:
    made = decide(client, "rest", n=1)
    assert made["offers"][0]["action"] == "tea"
    client.post(PATH, json=outcome("o-1", made, "rest", "refuse"))
    assert decide(client, "rest", n=1)["offers"][0]["action"] == "mug"
    # What corrects it takes its effects back.
    better = outcome("o-2", made, "rest", "accept", corrects="o-1")
    assert client.post(PATH, json=better).status_code == 202
    assert decide(client, "rest", n=1)["offers"][0]["action"] == "tea"


@pytest.mark.parametrize("lines", [False, True], ids=["list", "ndjson"])
def test_many_come_at_once_in_their_order(client: httpx.Client, lines: bool) -> None:
    names = [f"many-{lines}-{i}" for i in range(6)]
    made = [decide(client, name, n=2) for name in names]
    sent = [
        outcome(f"o-{i}-{turn}", made[i], name, response)
        for turn, response in enumerate(("deliver", "accept"))
        for i, name in enumerate(names)
    ]
    if lines:
        text = "\n".join(json.dumps(one) for one in sent) + "\n\n"
        kind = {"content-type": "application/x-ndjson"}
        found = client.post(PATH, content=text, headers=kind)
    else:
        found = client.post(PATH, json=sent)
    assert found.status_code == 202, found.text
    taken = found.json()["outcomes"]
    assert [one["outcome_id"] for one in taken] == [one["outcome_id"] for one in sent]
    receipts = [Receipt.parse(one["receipt"]) for one in taken]
    assert all(r.is_of(one["customer"]) for r, one in zip(receipts, sent, strict=True))


def test_one_wrong_outcome_keeps_all_out(client: httpx.Client, embedded_store: str) -> None:
    made = decide(client, "whole")
    sent = [
        outcome("w-1", made, "whole", "accept"),
        outcome("w-2", made, "whole", "shrug"),
        outcome("w-3", made, "somebody", "accept"),
    ]
    found = problem(client.post(PATH, json=sent), 422, "invalid-outcomes")
    assert "2 of 3 outcomes are wrong; none was taken in" in found["detail"]
    assert [(e["index"], e["path"]) for e in found["errors"]] == [
        (1, "$.response"), (2, "$.customer"),
    ]  # fmt: skip
    own = [e for e in logged(embedded_store) if e["customer_id"] == "whole"]
    assert [e["type"] for e in own] == ["decision"]


BAD: dict[str, tuple[dict[str, Any], int, str, str, str]] = {
    "another-customer": ({"customer": "eve"}, 403, "not-theirs", "$.customer", "of another cust"),
    "no-id": ({"decision_id": "d-1"}, 422, "invalid-request", "$.decision_id", "regex"),
    "action": ({"action": "gold"}, 422, "invalid-request", "$.action", "did not offer 'gold'"),
    "channel": ({"channel": "mail"}, 422, "invalid-request", "$.channel", "made for 'web'"),
    "response": ({"response": "shrug"}, 422, "invalid-request", "$.response", "deliver, fail"),
    "value-high": (
        {"response": "buy", "value": 50.5}, 422, "invalid-request", "$.value", "'spend', 0 to 50"
    ),
    "value-low": ({"response": "buy", "value": -1}, 422, "invalid-request", "$.value", "0 to 50"),
    "value-text": ({"value": "7"}, 422, "invalid-request", "$.value", "Expected `float"),
    "too-early": ({"at": now() - DAY}, 422, "invalid-request", "$.at", "before the decision"),
    "too-late": ({"at": now() + DAY}, 422, "invalid-request", "$.at", "ahead of the clock"),
    "no-time": ({"at": "soon"}, 422, "invalid-request", "$.at", "ISO 8601"),
    "corrects-itself": ({"corrects": "b"}, 422, "invalid-request", "$.corrects", "itself"),
    "empty-id": ({"outcome_id": ""}, 422, "invalid-request", "$.outcome_id", "length >= 1"),
    "long-id": ({"outcome_id": "é" * 200}, 422, "invalid-request", "$.outcome_id", "256 bytes"),
    "unknown-field": ({"reward": 1}, 422, "invalid-request", "$", "reward"),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "status", "kind", "path", "reason"), BAD.values(), ids=BAD)
def test_a_wrong_outcome_is_refused(
    client: httpx.Client, changed: dict[str, Any], status: int, kind: str, path: str, reason: str
) -> None:
    made = decide(client, f"bad-{path}-{reason}"[:40])
    sent = outcome("b", made, f"bad-{path}-{reason}"[:40], "accept") | changed
    found = problem(client.post(PATH, json=sent), status, kind)
    assert found["errors"][0]["path"] == path
    assert reason in found["errors"][0]["reason"]


def test_decisions_that_are_not_known_are_refused(client: httpx.Client) -> None:
    never = {"decision_id": new_id(now() - 1_000_000, "ann")}
    found = client.post(PATH, json=outcome("u", never, "ann", "accept"))
    assert "is not known" in problem(found, 404, "unknown-decision")["detail"]
    long_ago = {"decision_id": new_id(now() - 2 * DAY, "ann")}
    found = client.post(PATH, json=outcome("u", long_ago, "ann", "accept"))
    assert "older than 24 h" in problem(found, 410, "no-longer-kept")["detail"]


def test_a_decision_without_offers_has_no_outcome(client: httpx.Client) -> None:
    made = decide(client, "ann", channel="shut")
    found = client.post(PATH, json=outcome("n", made, "ann", "accept"))
    assert "offered nothing" in problem(found, 422, "invalid-request")["detail"]


def test_times_and_values_that_are_good_are_kept(client: httpx.Client, embedded_store: str) -> None:
    made = decide(client, "good", n=2)
    at = made["at"] - 5_000_000  # the app's clock is a little behind
    sent = outcome("g", made, "good", "buy", value=49.5, at=at, action="mug", channel="web")
    assert client.post(PATH, json=sent).status_code == 202
    own = next(e for e in logged(embedded_store) if e["event_id"] == "g")
    assert own["event_timestamp"] == made["at"]
    assert (own["properties"]["value"], own["properties"]["action"]) == (49.5, "mug")


def test_bodies_that_hold_no_outcomes_are_refused(client: httpx.Client) -> None:
    lines = {"content-type": "application/x-ndjson"}
    problem(client.post(PATH, json=[]), 422, "invalid-request")
    problem(client.post(PATH, content=b"\n \n", headers=lines), 422, "invalid-request")
    problem(client.post(PATH, json=7), 422, "invalid-request")
    problem(client.post(PATH, content=b"{}"), 415, "unsupported-media-type")
    found = problem(client.post(PATH, content=b"{}\n{", headers=lines), 422, "invalid-request")
    assert found["errors"][0]["index"] == 0
    made = decide(client, "lots")
    sent = [outcome(f"l-{i}", made, "lots", "accept") for i in range(1001)]
    problem(client.post(PATH, json=sent), 413, "too-large")
    assert client.get(PATH).headers["allow"] == "POST"
