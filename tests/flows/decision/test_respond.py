"""An outcome is logged once, and what it changes of the contacts is changed with it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import redis

from nextbest.features.errors import EventError, StoreError
from nextbest.flows.decision.commit import Committed, Committer, Conflict, Log
from nextbest.flows.decision.committing import TRIES, Called, Committing
from nextbest.flows.decision.contacts import CapRules
from nextbest.flows.decision.record import Record, Response, record_of
from nextbest.flows.decision.scripts import CONFLICT
from tests.flows.decision.cap_cases import HOUR, KEYS, NOW, decide, record, strategy

LOG = Log("log", None, 16)
RULES = CapRules.compile(strategy())


def made(committer: Committer, at: int = NOW, number: int = 1) -> Record:
    return record_of(decide(committer, RULES, "ann", at, number)[0].event)


def outcome(decision: Record, response: str, **more: Any) -> Response:
    return Response(decision_id=decision.id, response=response, **more)


def responses(store: redis.Redis) -> list[str]:
    entries: Any = store.xrange("log")
    events = [msgspec.json.decode(fields[b"events"]) for _, fields in entries]
    return [e["properties"]["response"] for e in events if e["type"] == "outcome"]


def test_a_refusal_is_logged_and_begins_its_cool_down(store: redis.Redis, store_url: str) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        decision = made(committer)
        refused = outcome(decision, "refuse")
        done = committer.respond("o-1", NOW + 1, refused, RULES)
        assert (done.receipt.position >> 20, done.repeated) == (1, False)
        contacts = committer.contacts("ann")
        reasons = RULES.check(contacts, "web", NOW + 2).reasons
        assert reasons == {"green": "cool-down after refuse until 2026-09-28T14:13:21Z"}
        assert store.pttl(KEYS.contacts("ann")) > 6 * 24 * HOUR // 1000
        again = committer.respond("o-1", NOW + 5, refused, RULES)
        assert again == done._replace(repeated=True)
        assert committer.contacts("ann") == contacts
    assert responses(store) == ["refuse"]


def test_an_outcome_without_an_effect_leaves_the_contacts_alone(
    store: redis.Redis, store_url: str
) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        decision = made(committer)
        contacts = committer.contacts("ann")
        committer.respond("o-1", NOW + 1, outcome(decision, "accept", value=3.5), RULES, decision)
        assert committer.contacts("ann") == contacts
    assert responses(store) == ["accept"]


def test_a_failed_delivery_blocks_its_channel_and_frees_the_cap(store_url: str) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        decision = made(committer)
        committer.respond("o-1", NOW + 1, outcome(decision, "fail"), RULES)
        contacts = committer.contacts("ann")
        blocked = RULES.check(contacts, "web", NOW + 2)
        assert set(blocked.reasons.values()) == {"channel blocked after a failed delivery"}
        assert RULES.check(contacts, "web", NOW + 2 * HOUR).room == 3
        correction = outcome(decision, "deliver", corrects="o-1")
        committer.respond("o-2", NOW + 2, correction, RULES)
        assert RULES.check(committer.contacts("ann"), "web", NOW + 3).room == 2


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"decision_id": "none"}, "no such decision is known"),
        ({"action": "cake"}, "did not offer 'cake'"),
    ],
    ids=["decision", "action"],
)
def test_an_outcome_must_be_of_an_offer(
    change: dict[str, str], match: str, store: redis.Redis, store_url: str
) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        decision = made(committer)
        wrong = msgspec.structs.replace(outcome(decision, "refuse"), **change)
        with pytest.raises(EventError, match=match):
            committer.respond("o-1", NOW, wrong, RULES)
        with pytest.raises(EventError, match="event_id"):
            committer.respond("", NOW, outcome(decision, "refuse"), RULES)
        with pytest.raises(EventError, match="0 is no time"):
            committer.respond("o-1", 0, outcome(decision, "refuse"), RULES)
        nothing = record("ann", NOW + 1, 2, [], committer.contacts("ann"))
        update = RULES.offered(nothing.contacts, [], "web", NOW + 1)
        assert isinstance(committer.commit(nothing, update), Committed)
        with pytest.raises(EventError, match="offered nothing"):
            committer.respond("o-1", NOW, outcome(nothing, "refuse"), RULES)
    assert responses(store) == []


def test_an_outcome_meets_a_decision_and_is_tried_again(store: redis.Redis, store_url: str) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        decision = made(committer)
        steps = Committing(KEYS, LOG, 100.0, 10)
        running = steps.respond("o-1", NOW + 1, outcome(decision, "refuse"), RULES, decision)
        asked: Any = next(running)
        reply = committer._ask(asked)  # the contacts as they are
        called = running.send(reply)
        made(committer, NOW + 2, 2)  # and now they are others
        conflict = committer._ask(called)
        assert conflict == [[0], [1, CONFLICT, committer.contacts("ann")]]
        again = running.send(conflict)
        assert isinstance(again, Called)
        with pytest.raises(StopIteration):
            running.send(committer._ask(again))
        contacts = committer.contacts("ann")
        assert RULES.check(contacts, "web", NOW + 3).room == 1
        assert "refuse" in RULES.check(contacts, "web", NOW + 3).reasons["green"]
    assert responses(store) == ["refuse"]


def test_trying_again_ends(store_url: str) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        decision = made(committer)
    steps = Committing(KEYS, LOG, 100.0, 10)
    running = steps.respond("o-1", NOW + 1, outcome(decision, "refuse"), RULES, decision)
    next(running)
    running.send(b"")
    for _ in range(TRIES - 1):
        assert isinstance(running.send([[0], [1, CONFLICT, b""]]), Called)
    with pytest.raises(StoreError, match="changed 100 times"):
        running.send([[0], [1, CONFLICT, b""]])


def test_a_customers_keys_are_found_and_erased(store: redis.Redis, store_url: str) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        decisions = [made(committer, NOW + n, n) for n in range(3)]
        committer.respond("o-1", NOW + 5, outcome(decisions[0], "refuse"), RULES)
        store.set(KEYS.person("ann"), b"weights")
        decide(committer, RULES, "ben", NOW, 9)
        names = {KEYS.contacts("ann"), KEYS.person("ann"), KEYS.outcome("ann", "o-1")}
        names |= {KEYS.decision(decision.id) for decision in decisions}
        assert {key.decode() for key in committer.keys_of("ann")} == names
        assert committer.erase("ann") == len(names) == 6
        assert committer.keys_of("ann") == []
        assert committer.erase("ann") == 0
        assert len(committer.keys_of("ben")) == 2


def test_a_decision_made_from_nothing_conflicts_with_what_is_there(store_url: str) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        made(committer)
        empty = record("ann", NOW + 1, 5, [], b"")
        found = committer.commit(empty, RULES.offered(b"", [], "web", NOW + 1))
        assert found == Conflict(committer.contacts("ann"))
