"""A fleet that learns: the same promotions and bits whatever the order, the cuts and restarts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

import msgspec
import pytest

from nextbest.features import SettingsError, StateError
from nextbest.flows.decision.fleet_learning import FleetLearning
from nextbest.flows.decision.fleet_orders import order_credit
from nextbest.flows.decision.learning import Learning
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.open_decisions import Credit
from nextbest.flows.decision.record import Order
from nextbest.flows.decision.roster import read_roster
from nextbest.learners.fleet_parts import Change
from tests.flows.decision.fleet_cases import (
    SPANS,
    STRATEGY,
    TEXT,
    WINDOW,
    decided,
    learning,
    log_of,
)

BETTER = {"base": 0.1, "nimble": 0.6, "still": 0.2}
CHANGED = {"base": 0.7, "nimble": 0.1, "still": 0.2}


def whole(told: Sequence[Credit]) -> tuple[FleetLearning, list[Change]]:
    one = learning()
    one.learn(told)
    return one, one.changed_fleet()


def left(one: FleetLearning) -> tuple[bytes, dict[str, bytes], dict[str, bytes]]:
    assert one.fleet is not None
    one.publish_again()
    models = {name: model.to_bytes() for name, model in one.changed_models().items()}
    return one.fleet.to_bytes(), models, one.changed_people()


def test_promotion_and_roll_back_follow_from_the_log_in_any_order_cuts_and_restarts() -> None:
    told = log_of(1, 300, BETTER) + log_of(2, 400, CHANGED, start=30_000_000)
    told.append(decided(150_000_000, "", 1.0))  # by then all is settled
    told.sort(key=lambda credit: credit.time)
    expected, changes = whole(told)
    done = [(c.what, c.member) for c in changes]
    assert done[:3] == [("begin", "base"), ("add", "nimble"), ("add", "still")]
    assert ("promote", "nimble") in done
    assert done[-1] == ("roll back", "base")
    rng = random.Random(5)
    one, full, kept, seen = learning(), None, [], list[Change]()
    # Two partitions, up to 40 s apart.
    queues = [[c for c in told if hash_of(c) == part] for part in (0, 1)]
    while any(queues):
        heads = [queue[0].time for queue in queues if queue]
        near = [q for q in queues if q and q[0].time <= min(heads) + 4_000_000]
        queue = rng.choice(near)
        one.learn([queue.pop(0) for _ in range(min(len(queue), rng.randrange(40, 200)))])
        seen += one.changed_fleet()
        if rng.random() < 0.3:
            change = one.change()
            if rng.random() < 0.3:
                full, kept = one.to_bytes(), []
            elif change is not None:
                kept.append(change)
            if rng.random() < 0.5:
                one = learning(full, kept)
    assert left(one) == left(expected)
    assert seen == changes


def hash_of(credit: Credit) -> int:
    return int(credit.customer[1:]) // 100_000 % 2


def test_the_champion_learns_what_models_without_a_fleet_learn_and_so_they_can_change_over() -> (
    None
):
    told = log_of(3, 200, BETTER)
    alone = Learning(STRATEGY.model, SPANS)
    alone.learn(told[:100])
    joined = learning(alone.to_bytes())
    alone.learn(told[100:])
    joined.learn(told[100:])
    models = joined.changed_models()
    plain = alone.changed_models()["sale"].to_bytes()
    assert models["sale"].to_bytes() == models["sale:base"].to_bytes() == plain
    assert models["sale:nimble"].to_bytes() != plain
    assert models["sale:nimble"].version == 200  # it began with what the champion had at hand
    back = Learning(STRATEGY.model, SPANS, joined.to_bytes(), [joined.change() or b""])
    assert back.refused == 0
    again = Learning(STRATEGY.model, SPANS, joined.to_bytes())
    assert again.model("sale") == alone.model("sale")
    people = msgspec.msgpack.decode(joined.person(told[0].customer))
    assert people["sale:base"] == alone.blocks(told[0].customer)["sale"]


def test_responses_that_are_told_before_silence_favour_nobody() -> None:
    one = learning()
    told = [decided(1000 * k, ("base", "nimble")[k % 5 == 0], float(k % 3 == 0)) for k in range(90)]
    told.sort(key=lambda credit: credit.time)
    one.learn(told)
    assert one.fleet is not None
    assert one.fleet.told == 0  # nothing is settled yet
    one.learn([decided(3 * WINDOW + 80_000_000, "", 1.0)])
    trial = one.fleet.members["nimble"].trial
    assert one.fleet.told == 90
    assert trial is not None
    assert (trial.pairs, trial.total) == (18, 0.0)  # in order of decisions: each after its like


def test_a_customer_counts_once_in_a_stay_and_what_failed_or_comes_too_late_does_not() -> None:
    one = learning()
    same = [decided(k, "base", 1.0, customer="ann", number=k) for k in range(1, 9)]
    withdrawn = msgspec.structs.replace(decided(9, "base", 1.0), withdrawn=True)
    later = decided(1_000_001, "base", 1.0, customer="ann")
    one.learn([*same, withdrawn, later, decided(500_000_000, "", 1.0)])
    assert one.fleet is not None
    assert one.fleet.told == 2
    one.learn([decided(10, "base", 1.0, customer="ben")])
    roster = one.roster()
    assert roster is not None
    assert (one.fleet.told, read_roster(roster).late) == (2, 1)


def test_drift_begins_a_challenger_that_learns_only_what_is_decided_afterwards() -> None:
    strategy = load(TEXT + "  drift: {warm_up: 50}\n").strategy
    told = log_of(4, 300, {"base": 0.5}) + log_of(5, 600, {"base": 0.05}, start=30_000_000)
    told.sort(key=lambda credit: credit.time)
    one = learning(strategy=strategy)
    for start in range(0, len(told), 70):
        one.learn(told[start : start + 70])
    changes = [change for change in one.changed_fleet() if change.by == "drift"]
    assert [(c.what, c.member, c.champion) for c in changes] == [("spawn", "fresh-1", "base")]
    assert 30_000_000 < changes[0].at < 50_000_000
    after = sum(c.id >= f"{changes[0].at:016x}" for c in told)
    assert one.versions["sale:fresh-1"] == after
    assert one.versions["sale:base"] == 900
    at_once = learning(strategy=strategy)
    at_once.learn(told)
    assert at_once.changed_models()["sale:fresh-1"].to_bytes() == (
        one.changed_models()["sale:fresh-1"].to_bytes()
    )


def test_orders_are_published_at_once_and_done_among_the_decisions_of_their_time() -> None:
    one = learning()
    one.learn(log_of(6, 100, BETTER))
    order = ordered("o-1", 10_000_000, "promote", "still", note="the sale begins")
    one.learn([order, ordered("o-2", 10_000_001, "retire", "nobody")])
    one.learn([order, ordered("o-3", 10_000_002, "promote", "nimble", fleet="others")])
    data = one.roster()
    assert data is not None
    roster = read_roster(data)
    assert (roster.champion, one.champion) == ("still", "base")
    assert roster.changes[-1].note == "ann: the sale begins"
    resumed = learning(None, [one.change() or b""])
    for each in (one, resumed):
        each.learn([decided(200_000_000, "", 1.0)])
        assert each.champion == "still"
        models = each.changed_models()
        assert models["sale"].to_bytes() == models["sale:still"].to_bytes()
    assert one.fleet is not None
    assert resumed.fleet is not None
    assert one.fleet.to_bytes() == resumed.fleet.to_bytes()


def ordered(
    identifier: str, at: int, what: Literal["promote", "retire"], member: str, *, note: str = "",
    fleet: str = "offers",
) -> Credit:  # fmt: skip
    order = Order(fleet=fleet, what=what, member=member, by="ann", note=note)
    return order_credit(identifier, at, order)


def test_who_leaves_has_its_models_emptied_and_learns_no_more() -> None:
    one = learning()
    one.learn(log_of(6, 50, BETTER))
    one.learn([ordered("o-1", 1, "retire", "nimble"), decided(10**9, "", 1.0)])
    assert one.gone() == ["sale:nimble"]
    assert set(one.versions) == {"sale:base", "sale:still"}
    assert not any("nimble" in name for name in one.changed_models())


def test_what_is_declared_anew_is_taken_over_but_nothing_becomes_something_else() -> None:
    one = learning()
    one.learn(log_of(6, 50, BETTER))
    more = load(TEXT.replace("still:", "calm:")).strategy
    grown = learning(one.to_bytes(), strategy=more)
    grown.learn([decided(6_000_000, "base", 1.0)])
    assert [(c.what, c.member) for c in grown.changed_fleet()] == [
        ("retire", "still"), ("add", "calm"),
    ]  # fmt: skip
    again = learning(None, [one.change() or b"", grown.change() or b""], strategy=more)
    assert left(again) == left(grown)
    other = load(TEXT.replace("[0.01]}", "[0.02]}")).strategy
    with pytest.raises(SettingsError, match="offers: fleet: challenger 'nimble' was made of"):
        learning(one.to_bytes(), strategy=other)


def test_damaged_state_is_told() -> None:
    one = learning()
    one.learn(log_of(6, 20, BETTER))
    data = one.to_bytes()
    for bad in (data[:-1], data[:40], data.replace(b"NBCP", b"NBCQ", 1)):
        with pytest.raises(StateError):
            learning(bad)
    with pytest.raises(StateError):
        Learning(STRATEGY.model, SPANS, data[:60])
