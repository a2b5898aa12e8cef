"""A fleet that decides: each customer's member, its models and weights, and the record of it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import redis

from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.errors import ModelError
from nextbest.flows.decision.ids import id_of_cause
from nextbest.flows.decision.keys import Keys
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.models import Models
from nextbest.flows.decision.persons import pack_persons, unpack_persons
from nextbest.flows.decision.published import PublishedModels, read_models
from nextbest.flows.decision.record import event_of, record_of
from nextbest.flows.decision.roster import read_roster, roster_of
from nextbest.flows.decision.why import why
from nextbest.learners import Fleet, PublishedArms, Stamp
from tests.flows.decision.engine_cases import AT, CATALOG, DAY, TEXT, request, row, taught

LOADED = load(TEXT + "fleet: {challengers: {a: {}, b: {}}, share: 0.4, stay: 1h}\n", CATALOG)
STRATEGY = LOADED.strategy
KEYS = Keys("shop", "spring")
MEMBERS = {"base": taught(0), "a": taught(1), "b": taught(2)}
PERSONS = pack_persons(
    {
        f"{objective}:{member}": block
        for member, (_, own) in MEMBERS.items()
        for objective, block in unpack_persons(own).items()
    }
)


def publish(store: redis.Redis, members: tuple[str, ...], sequence: int = 1) -> None:
    for member in members:
        for name, model in MEMBERS[member][0].items():
            stamped = model.stamped(Stamp("0" * 16, sequence)).to_bytes()
            store.set(KEYS.model(f"{name}:{member}"), stamped)
            if member == "base":
                store.set(KEYS.model(name), stamped)


def followed(store: redis.Redis, engine: Engine, seen: PublishedModels) -> None:
    while read_models(store, seen):
        engine.models = seen.with_found(STRATEGY, {})


@pytest.fixture
def engine(store: redis.Redis) -> Engine:
    publish(store, ("base", "a", "b"))
    store.set(KEYS.fleet(), roster_of(Fleet("base", {"a": {}, "b": {}})))
    engine = Engine(LOADED, CATALOG)
    followed(store, engine, PublishedModels(KEYS, list(STRATEGY.objectives), fleet=True))
    return engine


def test_each_member_decides_by_its_own_models_and_weights_and_why_makes_it_again(
    engine: Engine,
) -> None:
    found = Counter[str]()
    alone = {
        name: Engine(LOADED, CATALOG, Models(STRATEGY, models))
        for name, (models, _) in MEMBERS.items()
    }
    for i in range(60):
        asked = request(f"c{i}", page="a", region="nord")
        identifier = id_of_cause(AT, f"c{i}", "e-1")
        record = engine.decide(asked, row(), b"", PERSONS, AT, identifier)
        found[record.member] += 1
        assert record_of(event_of(record)) == record
        named = engine.models.named(record.member)
        assert named is not None
        told = why(record, engine, models=named, persons=PERSONS)
        assert (told.reproduced, told.foretold, told.member) == (True, "reproduced", record.member)
        if record.control:
            assert record.member == ""
            continue
        own = MEMBERS[record.member][1]
        expected = alone[record.member].decide(asked, row(), b"", own, AT, identifier)
        assert (record.offers, record.chances) == (expected.offers, expected.chances)
    assert set(found) == {"", "base", "a", "b"}
    assert found["base"] > found["a"] + found["b"]


def test_many_at_once_are_decided_as_one_after_the_other(engine: Engine) -> None:
    rng = np.random.default_rng(4)
    n = 150
    requests = [request(f"c{rng.integers(40)}", n=int(rng.integers(1, 4))) for _ in range(n)]
    times = [AT + int(rng.integers(DAY)) for _ in range(n)]
    rows = [row(views=float(rng.integers(4))) for _ in range(n)]
    persons = [PERSONS if rng.random() < 0.5 else b"" for _ in range(n)]
    ids = [f"d-{i}" for i in range(n)]
    given = requests, rows, [b""] * n, persons, times, ids
    found = engine.decide_many(*given)
    assert found == [engine.decide(*each) for each in zip(*given, strict=True)]
    assert {record.member for record in found} == {"", "base", "a", "b"}
    answers = engine.answer_many(*given)
    assert answers.offers() == [
        [(offer.action, offer.score, offer.propensity) for offer in record.offers]
        for record in found
    ]
    assert answers.control == [record.control for record in found]
    bad = list(persons)
    bad[7] = PERSONS[:-1] + b"\1"
    with pytest.raises(ModelError) as error:
        engine.decide_many(requests, rows, [b""] * n, bad, times, ids)
    assert error.value.__notes__ == ["decision 7 of the batch"]


def test_a_customer_stays_with_a_member_and_is_drawn_anew_for_the_next_stay(engine: Engine) -> None:
    hour = 3_600_000_000
    start = AT // hour * hour
    changed = 0
    for i in range(80):
        first, same, later = (
            engine.decide(request(f"c{i}"), row(), b"", b"", at, "d").member
            for at in (start, start + hour - 1, start + hour)
        )
        assert first == same
        changed += first != later
    assert 20 < changed < 60


def test_members_come_and_go_as_the_roster_says(store: redis.Redis, engine: Engine) -> None:
    seen = PublishedModels(KEYS, list(STRATEGY.objectives), fleet=True)
    store.flushall()
    followed(store, engine, seen)
    publish(store, ("base",))
    followed(store, engine, seen)
    assert engine.models.split is None  # the fleet has not begun
    assert engine.models.versions == dict.fromkeys(STRATEGY.objectives, 120)
    fleet = Fleet("base", {"a": {}, "b": {}})
    store.set(KEYS.fleet(), roster_of(fleet))
    publish(store, ("a",))
    followed(store, engine, seen)
    assert engine.models.split is not None
    assert engine.models.split.challengers == ("a",)  # of b there is no model yet
    publish(store, ("b",))
    fleet.promote("a", at=5, note="ann")
    fleet.retire("b", at=6)
    store.set(KEYS.fleet(), roster_of(fleet))
    followed(store, engine, seen)
    assert (engine.models.member, engine.models.split.challengers) == ("a", ("base",))
    assert engine.models.named("b") is None
    assert set(seen.models) >= {"accept:a", "accept:base"}
    assert "accept:b" not in seen.models
    before = engine.models
    store.set(KEYS.fleet(), b"nonsense" * 10)
    with pytest.raises(ModelError, match="the fleet cannot be read"):
        read_models(store, seen)
    assert engine.models is before


def test_a_roster_tells_what_the_trials_say() -> None:
    fleet = Fleet("base", {"a": {"forgetting": [0.1]}})
    for at in range(80):
        fleet.outcome(("base", "a")[at % 2], float(at % 2), at)
    roster = read_roster(roster_of(fleet, late=3))
    assert [(m.name, m.role) for m in roster.members] == [("a", "champion"), ("base", "reserve")]
    promoted = roster.changes[-1]
    assert (promoted.what, promoted.by, roster.late) == ("promote", "evidence", 3)
    assert promoted.evidence is not None
    assert promoted.evidence.low > 0.0
    assert roster.members[0].spec == {"forgetting": [0.1]}
    assert isinstance(MEMBERS["a"][0]["accept"], PublishedArms)
