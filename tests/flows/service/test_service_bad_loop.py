"""What is wrong with a decision or an outcome over HTTP, beside what the outcomes' own tests show.

Each is refused with its reason and path, or means something that is said here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from nextbest.flows.decision.ids import new_id
from nextbest.flows.decision.record import Offer, Record, Response, event_of, outcome_event
from tests.flows.service.loop_cases import TEXT, decide, deciding, logged, outcome, problem
from tests.flows.service.world import Service, put_rows

SECOND = 1_000_000
PATH = "/v1/outcomes"


def now() -> int:
    return time.time_ns() // 1000


def moment(us: int) -> str:
    return datetime.fromtimestamp(us // SECOND, UTC).isoformat()


@pytest.fixture(scope="module")
def service(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with an action that was valid until a minute ago, and one that never is."""
    put_rows(embedded_store)
    brief = f'  brief: {{channels: [kiosk], valid_until: "{moment(now() - 60 * SECOND)}"}}\n'
    never = "  never: {channels: [void], eligible: visits.spend < 0}\n"
    text = TEXT.replace("cool_downs:", f"{brief}{never}cool_downs:")
    text = text.replace("  shut:", "  kiosk: {}\n  void: {}\n  shut:")
    with deciding(embedded_store, tmp_path_factory.mktemp("bad"), text=text) as service:
        yield service


Sent = dict[str, Any]
Make = Callable[[httpx.Client, str], tuple[str, Sent | bytes]]


def _outcome(*before: tuple[str, str, Sent], response: str = "accept", **more: Any) -> Make:
    """An outcome of a decision of two offers, after others of it that were taken in."""

    def make(client: httpx.Client, name: str) -> tuple[str, Sent]:
        made = decide(client, name, n=2)
        for number, word, other in before:
            found = client.post(PATH, json=outcome(number, made, name, word, **other))
            assert found.status_code == 202, found.text
        return PATH, outcome("x", made, name, response, **more)

    return make


def _literal(value: str) -> Make:
    def make(client: httpx.Client, name: str) -> tuple[str, bytes]:
        _, sent = _outcome(response="buy", value=12345.5)(client, name)
        return PATH, json.dumps(sent).replace("12345.5", value).encode()

    return make


def _of_nothing(client: httpx.Client, name: str) -> tuple[str, Sent]:
    made = decide(client, name, channel="void")
    assert made["offers"] == []
    assert made["fallback"] is None
    return PATH, outcome("x", made, name, "accept")


def _from_the_future(client: httpx.Client, name: str) -> tuple[str, Sent]:
    made = {"decision_id": new_id(now() + 3600 * SECOND, name)}
    return PATH, outcome("x", made, name, "accept")


def _decide(**more: Any) -> Make:
    return lambda client, name: ("/v1/decide", {"customer": name, "channel": "web", **more})


def _decide_ahead(client: httpx.Client, name: str) -> tuple[str, Sent]:
    asked = {"customer": name, "channel": "web"}
    return "/v1/decide", {**asked, "decision_id": new_id(now() + 3600 * SECOND, name)}


def _event(client: httpx.Client, name: str) -> tuple[str, bytes]:
    offer = Offer(action="tea", score=0.0, propensity=1.0, draw=0.0)
    record = Record(id="d", customer=name, at=now(), channel="web", strategy="", offers=[offer])
    return "/v1/events", event_of(record)


def _event_of_outcome(client: httpx.Client, name: str) -> tuple[str, bytes]:
    own = Response(decision_id="d", response="accept")
    return "/v1/events", outcome_event("o", now(), name, "web", own)


ACCEPTED = ("first", "accept", {"action": "tea"})
REFUSED: dict[str, tuple[Make, int, str, str, str]] = {
    "nan": (_literal("NaN"), 400, "malformed-request", "", ""),
    "infinity": (_literal("1e999"), 422, "invalid-request", "$.value", "out of range"),
    "value-missing": (
        _outcome(response="buy"), 422, "invalid-request", "$.value", "'spend' needs one",
    ),
    "value-list": (
        _outcome(response="buy", value=[1]), 422, "invalid-request", "$.value", "got `array`",
    ),
    "same-id-other-word": (
        _outcome(("x", "refuse", {})), 409, "outcome-id-taken", "$.outcome_id", "something else",
    ),
    "same-id-other-offer": (
        _outcome(("x", "accept", {"action": "mug"}), action="tea"),
        409, "outcome-id-taken", "$.outcome_id", "something else",
    ),
    "corrects-nothing": (
        _outcome(corrects="none"), 422, "invalid-request", "$.corrects", "no outcome 'none'",
    ),
    "corrects-another-offer": (
        _outcome(ACCEPTED, action="mug", corrects="first"),
        422, "invalid-request", "$.corrects", "is of another offer",
    ),
    "nothing-offered": (
        _of_nothing, 422, "invalid-request", "$.decision_id", "offered nothing",
    ),
    "decision-ahead": (_from_the_future, 404, "unknown-decision", "$.decision_id", "not known"),
    "decide-ahead": (
        _decide_ahead, 422, "invalid-request", "$.decision_id", "is of another time",
    ),
    "context-huge": (
        _decide(context={"page": "x" * 2000}), 422, "invalid-request", "$.context[...]", "1024",
    ),
    "context-nested": (
        _decide(context={"page": {"a": 1}}), 422, "invalid-request", "$.context[...]", "object",
    ),
    "body-huge": (_decide(context={"page": "x" * (9 << 20)}), 413, "too-large", "", ""),
    "a-decision-as-an-event": (_event, 422, "invalid-events", "$.type", "decision"),
    "an-outcome-as-an-event": (_event_of_outcome, 422, "invalid-events", "$.type", "outcome"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("make", "status", "kind", "path", "reason"), REFUSED.values(), ids=REFUSED
)
def test_it_is_refused(
    client: httpx.Client, embedded_store: str, request: pytest.FixtureRequest,
    make: Make, status: int, kind: str, path: str, reason: str,
) -> None:  # fmt: skip
    name = request.node.callspec.id
    where, sent = make(client, name)
    before = len([e for e in logged(embedded_store) if e["customer_id"] == name])
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    found = client.post(where, content=body, headers={"content-type": "application/json"})
    said = problem(found, status, kind)
    if path:
        assert said["errors"][0]["path"] == path
        assert reason in said["errors"][0]["reason"]
    assert len([e for e in logged(embedded_store) if e["customer_id"] == name]) == before


def test_an_action_that_ended_since_may_still_be_accepted(client: httpx.Client) -> None:
    then = new_id(now() - 300 * SECOND, "late")
    made = decide(client, "late", channel="kiosk", decision_id=then)
    assert [offer["action"] for offer in made["offers"]] == ["brief"]
    assert decide(client, "late", channel="kiosk")["offers"] == []
    assert client.post(PATH, json=outcome("o", made, "late", "accept")).status_code == 202


def test_corrections_may_follow_each_other_and_what_they_correct_at_once(
    client: httpx.Client, embedded_store: str
) -> None:
    made = decide(client, "chain")
    sent = [
        outcome("a", made, "chain", "buy", value=5),
        outcome("b", made, "chain", "buy", value=6, corrects="a"),
        outcome("c", made, "chain", "buy", value=7, corrects="a"),
        outcome("d", made, "chain", "buy", value=8, corrects="c"),
        outcome("b", made, "chain", "buy", value=6, corrects="a"),
    ]
    taken = client.post(PATH, json=sent)
    assert taken.status_code == 202, taken.text
    assert [one["repeated"] for one in taken.json()["outcomes"]] == [False] * 4 + [True]
    own = [e for e in logged(embedded_store) if e["customer_id"] == "chain"]
    assert [e["event_id"] for e in own] == [made["decision_id"], "a", "b", "c", "d"]
    twice = [outcome("e", made, "chain", "accept"), outcome("e", made, "chain", "refuse")]
    said = problem(client.post(PATH, json=twice), 422, "invalid-outcomes")
    assert [(e["index"], e["path"]) for e in said["errors"]] == [(1, "$.outcome_id")]
