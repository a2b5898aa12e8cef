"""A decision is made again from its record alone, byte for byte, and a changed record is found."""

import msgspec
import numpy as np
import pytest

from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.errors import DecisionError
from nextbest.flows.decision.ids import id_of_cause
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.models import Models
from nextbest.flows.decision.reasons import reasons
from nextbest.flows.decision.record import event_of, record_of
from nextbest.flows.decision.request import Request
from nextbest.flows.decision.why import why
from tests.flows.decision.engine_cases import (
    ANN,
    AT,
    CATALOG,
    DAY,
    ENGINE,
    LOADED,
    TEXT,
    decide,
    row,
    taught,
)

AGAIN = Engine(load(TEXT, CATALOG), CATALOG)
"""Of the same strategy, but with models that have learned nothing."""


def random_decision(rng):
    """A decision of any customer, moment, channel, history and context, or a fallback."""
    at = AT + int(rng.integers(0, 30 * DAY))
    contacts = b""
    for _ in range(rng.integers(4)):
        action = ("tea", "mug", "sample")[rng.integers(3)]
        before = int(rng.integers(1, 9 * DAY))
        contacts = ENGINE.caps.offered(contacts, [action], "web", at - before).contacts
    context = {
        "page": ("a", "b", "neu & schön", None)[rng.integers(4)],
        "gift": bool(rng.random() < 0.3),
        "region": ("nord", 7, 0.5)[rng.integers(3)],
        "other": float(rng.normal()),
    }
    customer = f"c{rng.integers(50)}"
    asked = Request(
        customer=customer,
        channel=("web", "mail")[rng.integers(2)],
        n=int(rng.integers(1, 7)),
        context={name: value for name, value in context.items() if rng.random() < 0.7},
    )
    served = None
    if rng.random() < 0.9:
        values = [float(rng.integers(5)), float(rng.gamma(2.0, 400.0)), float(rng.integers(2))]
        served = row(*[np.nan if rng.random() < 0.2 else value for value in values])
    cause = f"e-{rng.integers(10**9)}"
    decision_id = id_of_cause(at, customer, cause, "t")
    if rng.random() < 0.1:
        known = None if rng.random() < 0.5 else contacts
        return ENGINE.fallback(asked, "store away", known, at, decision_id, cause=cause)
    persons = ANN if rng.random() < 0.5 else b""
    return ENGINE.decide(
        asked, served, contacts, persons, at, decision_id, cause=cause, trigger="t", stale=True
    )


def test_a_thousand_decisions_are_made_again_byte_for_byte():
    rng = np.random.default_rng(11)
    offered = 0
    for _ in range(1000):
        logged = record_of(event_of(random_decision(rng)))
        assert event_of(AGAIN.again(logged)) == event_of(logged)
        offered += len(logged.offers)
    assert offered > 1000


def changed(record, **changes):
    return msgspec.structs.replace(record, **changes)


def first_offer(record, **changes):
    return [msgspec.structs.replace(record.offers[0], **changes), *record.offers[1:]]


def nudged(data, byte=0):
    """The same numbers, but for a bit of the first: the last one, or one of another byte."""
    return data[:byte] + bytes([data[byte] ^ 1]) + data[byte + 1 :]


RECORD = decide(served=row(kind=1.0), page="a", gift=True, n=2, persons=ANN)
TAMPERED = {
    "scores": {"scores": nudged(RECORD.scores)},
    # Without the models, what is found is what changes a score: not a chance's last bit.
    "chances": {"chances": {**RECORD.chances, "accept": nudged(RECORD.chances["accept"], 2)}},
    "chances-cut": {"chances": {**RECORD.chances, "accept": RECORD.chances["accept"][:-8]}},
    "propensity": {"offers": first_offer(RECORD, propensity=RECORD.offers[0].propensity * 1.01)},
    "draw": {"offers": first_offer(RECORD, draw=0.5)},
    "offer": {"offers": RECORD.offers[::-1]},
    "offer-unknown": {"offers": first_offer(RECORD, action="boat")},
    "context": {"context": {"page": "b", "gift": True}},
    "customer": {"customer": "bob"},
    "time": {"at": RECORD.at + 1},
    "eligible": {"eligible": RECORD.eligible[1:]},
    "excluded": {"excluded": {}},
    "clock": {"clock": 7},
    "control": {"control": True},
    "policy": {"policy": "00000000"},
    "id": {"id": RECORD.id[:-1] + "0"},
    "no-id": {"id": "d-1"},
    "served": {"served": None},
    "served-cut": {"served": msgspec.structs.replace(RECORD.served, values=b"abc")},
    "served-word": {
        "served": msgspec.structs.replace(
            RECORD.served, values=np.array([3.0, 20.0, 1e9]).tobytes()
        )
    },
    "contacts": {"contacts": b"rubbish"},
}


def test_a_record_without_the_tags_of_its_actions_is_reproduced():
    """As they were logged before records told tags; one wrong tag is found."""
    logged = decide(served=row(), n=3)
    told = {offer.action: offer.tags for offer in logged.offers}
    assert told == {a: {"sort": "5% off"} if a == "sample" else {} for a in told}
    assert "sample" in told
    bare = [msgspec.structs.replace(offer, tags={}) for offer in logged.offers]
    assert why(changed(logged, offers=bare), AGAIN).reproduced
    other = [msgspec.structs.replace(offer, tags={"sort": "x"}) for offer in logged.offers]
    assert not why(changed(logged, offers=other), AGAIN).reproduced


def test_a_record_as_it_was_logged_is_reproduced():
    found = why(record_of(event_of(RECORD)), AGAIN)
    assert found.reproduced
    assert found.differences == []


@pytest.mark.parametrize("name", TAMPERED)
def test_a_record_that_was_tampered_with_is_found(name):
    found = why(changed(RECORD, **TAMPERED[name]), AGAIN)
    assert not found.reproduced
    assert found.differences
    msgspec.json.encode(found.to_dict())


def test_why_says_what_a_person_asks():
    found = why(RECORD, ENGINE, models=ENGINE.models, persons=ANN).to_dict()
    assert found["features"] == [
        {"name": "visits:views", "value": 3, "state": "present"},
        {"name": "visits:spend", "value": 20.0, "state": "present"},
        {"name": "visits:kind", "value": "mug", "state": "present"},
    ]
    assert [one["action"] for one in found["candidates"]] == RECORD.eligible
    assert {"action": "old", "rule": "expired"} in found["excluded"]
    assert found["foretold"] == "reproduced"
    codes = {reason["code"] for offer in found["offers"] for reason in offer["reasons"]}
    assert {"boost", "model", "personal"} <= codes
    assert found["models"] == {"accept": 120, "spend": 120}


def test_the_models_chances_are_compared_where_the_models_are_at_hand():
    assert why(RECORD, ENGINE).foretold.startswith("not made again: the models are not")
    fresh = Models(LOADED.strategy)
    assert "have learned since" in why(RECORD, ENGINE, models=fresh).foretold
    assert "weights have changed" in why(RECORD, ENGINE, models=ENGINE.models).foretold
    others = Models(LOADED.strategy, taught(seed=5)[0])  # of the same versions
    assert why(RECORD, ENGINE, models=others, persons=ANN).foretold == "differ"


def test_another_version_of_the_strategy_is_refused():
    other = Engine(load(TEXT.replace("cost: 0.2", "cost: 0.3"), CATALOG), CATALOG)
    with pytest.raises(DecisionError, match="was made by version"):
        why(RECORD, other)


def test_reasons_tell_how_an_action_was_chosen():
    codes = set()
    for i in range(60):
        record = decide(served=row(), page="a", cause=f"c-{i}")
        said = reasons(ENGINE, record)[0]
        best = record.offers[0].score == np.frombuffer(record.scores).max()
        assert said[0].code == ("best" if best else "explored")
        codes.add(said[0].code)
    assert codes == {"best", "explored"}
    control = next(r for i in range(200) if (r := decide(customer=f"c{i}", served=row())).control)
    assert reasons(ENGINE, control)[0][0].code == "control"
    fallback = ENGINE.fallback(Request(customer="a", channel="web"), "store away", None, AT, "d")
    assert reasons(ENGINE, fallback)[0][0].text == "the declared fallback: store away"


def test_reasons_name_the_strategys_own_factors():
    record = decide(served=row(kind=1.0), gift=True, n=4)
    said = {
        offer.action: {(r.code, r.value) for r in own if r.code in ("boost", "lever", "cost")}
        for offer, own in zip(record.offers, reasons(ENGINE, record), strict=True)
    }
    assert said["mug"] == {("boost", 2.0), ("boost", 1.25), ("cost", 0.2)}
    assert said["kettle"] == {("boost", 2.0), ("boost", 1.25), ("lever", 1.5)}
    assert said["tea"] == {("boost", 1.25)}
