"""Rewards by policy wherever and whenever they come, and what a fleet does."""

from __future__ import annotations

from array import array

import msgspec

from nextbest.flows.decision.attribution import Attribution
from nextbest.flows.decision.fleet_learning import FleetLearning
from nextbest.flows.decision.goals import Goal
from nextbest.flows.decision.loop_events import LoopEvent
from nextbest.flows.decision.open_decisions import Open
from nextbest.flows.decision.record import Offer, Record, Response
from nextbest.flows.loop_steps import FleetChanges, LoopEvents, PublishedLoop
from nextbest.flows.telemetry import names as n
from nextbest.flows.telemetry.looping import LoopMeter
from nextbest.flows.telemetry.running import RunMeter
from nextbest.flows.telemetry.serving import ServiceMeter
from nextbest.learners import Fleet
from nextbest.learners.fleet_parts import Change
from tests.flows.decision.fleet_cases import learning, log_of

GOAL = Goal("sale", response=None, event="buy", window=60)
WORDS = Goal("said", response="rate", event=None, window=60, value="value")
SCORES = array("d", [0.9, 0.4]).tobytes()


def decision(number: int, action: str = "tea", **more: object) -> LoopEvent:
    offer = Offer(action=action, score=0.4 if action == "tea" else 0.9, propensity=0.5, draw=0.1)
    known = {"eligible": ["cake", "tea"], "scores": SCORES, "offers": [offer]}
    record = Record(
        id=f"d{number}", customer="ann", at=number, channel="web", strategy="s", **known | more
    )  # type: ignore[arg-type]  # of several types
    return LoopEvent(record.id, number, "ann", "web", record, "{}", position=number)


def said(number: int, at: int, value: float, corrects: str | None = None) -> LoopEvent:
    own = Response(decision_id=f"d{number}", response="rate", value=value, corrects=corrects)
    return LoopEvent(f"o{at}", at, "ann", "web", own, "{}", position=at)


def failed(number: int, at: int) -> LoopEvent:
    own = Response(decision_id=f"d{number}", response="fail")
    return LoopEvent(f"o{at}", at, "ann", "web", own, "{}", position=at)


def attribution(*, goal: Goal = WORDS) -> Attribution:
    return Attribution([goal], grace=0)


def test_a_decision_of_before_a_restart_keeps_its_policy() -> None:
    first, second = attribution(), attribution()
    first.take([
        decision(1), decision(2, "cake"), decision(3, control=True), decision(4, scores=b"x"),
    ])  # fmt: skip
    kept = msgspec.msgpack.encode(first.all())
    second.restore(first.newest, msgspec.msgpack.decode(kept, type=list[tuple[str, Open | None]]))
    out = second.take([said(number, 10 + number, 0.5) for number in (1, 2, 3, 4)])
    assert [(one.policy, one.reward, one.offers) for one in out.earned] == [
        ("explore", 0.5, 1), ("exploit", 0.5, 1), ("control", 0.5, 1), ("unknown", 0.5, 1),
    ]  # fmt: skip


def test_what_was_kept_by_those_who_did_not_note_policies_is_read() -> None:
    first, second = attribution(), attribution()
    first.take([decision(1)])
    ((name, values),) = msgspec.msgpack.decode(msgspec.msgpack.encode(first.all()))
    old = msgspec.msgpack.encode([(name, values[:-1])])
    second.restore(1, msgspec.msgpack.decode(old, type=list[tuple[str, Open | None]]))
    (one,) = second.take([said(1, 9, 0.25)]).earned
    assert one == ("said", "unknown", 0.25, 1)


def test_what_is_corrected_or_withdrawn_changes_what_is_known() -> None:
    known = attribution()
    log = [
        decision(1), said(1, 10, 0.25), said(1, 11, 0.75, "o10"), said(1, 12, 0.5, "o10"),
        failed(1, 13), decision(2), said(2, 14, 1.0), failed(2, 15),
    ]  # fmt: skip
    out = known.take(log)
    assert [(one.reward, one.offers) for one in out.earned] == [
        (0.25, 1), (0.5, 0), (-0.25, 0), (-0.5, -1), (1.0, 1), (-1.0, -1),
    ]  # fmt: skip
    silent = attribution(goal=GOAL)
    (end,) = silent.take([decision(1)], end=100).earned
    assert (end.reward, end.offers) == (0.0, 1)


def metered(meter: RunMeter) -> LoopMeter:
    return LoopMeter(meter, "s", "v", ["sale"], [], {}, lambda: 5.0, ["base", "nimble", "still"])


def test_what_a_fleet_does_is_counted_by_the_names_of_the_strategy() -> None:
    meter = RunMeter()
    loop = metered(meter)
    named = ("base", "base", "nimble", "fresh-7", "fresh-8", "gone", "")
    loop.take(("0", LoopEvents([decision(i, member=name) for i, name in enumerate(named)])))
    assert {labels[0]: value for labels, value in meter.values(n.FLEET_DECISIONS)} == {
        "base": 2, "nimble": 1, "still": 0, "fresh": 2, "other": 1,
    }  # fmt: skip
    step = loop.published(lambda item: iter([item]))
    changes = [Change(i, 0, "add", "x", "base", "declared") for i in range(3)]
    list(step(("loop", FleetChanges("s", changes))))
    counted = {labels[0]: value for labels, value in meter.values(n.FLEET_CHANGES)}
    assert counted == dict.fromkeys(n.FLEET_CHANGE_KINDS, 0) | {"add": 3}


def test_a_services_models_are_shown_by_objective_whoever_decides() -> None:
    meter = ServiceMeter(lambda: 5.0)
    meter.took_up_models(["sale:base", ":fleet", "sale:fresh-1", "sale", "said:base"])
    assert dict(meter.values(n.MODEL_CHANGED)) == {("sale",): 5.0, ("said",): 5.0}


def published(fleet: FleetLearning) -> PublishedLoop:
    return PublishedLoop({}, None, fleet.versions, fleet.roster())


def test_the_interval_of_each_trial_is_shown() -> None:
    meter, fleet = RunMeter(), learning()
    step = metered(meter).published(lambda item: iter([item]))
    list(step(("loop", published(fleet))))  # before it begins
    assert not meter.values(n.FLEET_MEMBERS)
    fleet.learn(log_of(1, 1000, {"base": 0.2, "nimble": 0.3, "still": 0.25}))
    assert isinstance(fleet.fleet, Fleet)
    list(step(("loop", published(fleet))))
    assert dict(meter.values(n.FLEET_MEMBERS)) == {
        ("champion",): 1, ("challenger",): 2, ("reserve",): 0, ("shadow",): 0,
    }  # fmt: skip
    gains = dict(meter.values(n.FLEET_GAIN))
    pairs = dict(meter.values(n.FLEET_PAIRS))
    for name in ("nimble", "still"):
        trial = fleet.fleet.members[name].trial
        assert trial is not None
        found = trial.evidence()
        assert pairs[name,] == found.pairs > 10
        for bound in n.FLEET_GAIN_BOUNDS:
            assert gains[name, bound] == getattr(found, bound)
    assert ("base", "mean") not in gains
    assert dict(meter.values(n.MODEL_VERSION)) == {("sale",): fleet.versions["sale:base"]}
