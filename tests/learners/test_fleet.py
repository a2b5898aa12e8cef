"""A fleet: promotions by evidence alone, the way back, drift, orders, and the log of it all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pytest

from nextbest.learners import Fleet, FleetSettings, LearnerError
from nextbest.learners.checkpoint import pack, unpack
from nextbest.learners.fleet_parts import Change

DAY = 86_400_000_000


def test_a_better_challenger_is_promoted_and_the_former_champion_can_come_back() -> None:
    fleet = Fleet("base", {"nimble": {"share": 0.01}}, FleetSettings(keep=100 * DAY))
    first = _until(fleet, {"base": 0.1, "nimble": 0.3}, seed=1)
    assert [(c.what, c.member, c.champion, c.by) for c in first] == [
        ("promote", "nimble", "base", "evidence")
    ]
    assert first[0].evidence is not None
    assert first[0].evidence.low >= 0.0
    assert first[0].evidence.log_e >= -math.log(0.05)
    assert {n: m.role for n, m in fleet.members.items()} == {
        "nimble": "champion", "base": "reserve",
    }  # fmt: skip
    back = _until(fleet, {"base": 0.3, "nimble": 0.1}, seed=2)
    assert [(c.what, c.member, c.champion) for c in back] == [("roll back", "base", "nimble")]
    assert fleet.champion.name == "base"


def test_a_reserve_leaves_after_its_time_and_what_is_worse_leaves_at_once() -> None:
    fleet = Fleet("base", {"good": {}, "bad": {}}, FleetSettings(keep=DAY))
    gone = _until(fleet, {"base": 0.3, "good": 0.3, "bad": 0.05}, seed=4)
    assert [(c.what, c.member, c.note) for c in gone] == [("retire", "bad", "proven worse")]
    assert gone[0].evidence is not None
    assert gone[0].evidence.high <= 0.0
    fleet.promote("good", at=DAY, note="before the sale")
    assert fleet.outcome("good", 1.0, at=2 * DAY) == []
    left = fleet.outcome("good", 1.0, at=2 * DAY + 1)
    assert [(c.what, c.member, c.by) for c in left] == [("retire", "base", "time")]
    assert fleet.outcome("base", 1.0, at=3 * DAY) == []
    assert list(fleet.members) == ["good"]


@pytest.mark.parametrize("count", [1, 3], ids="{}-challengers".format)
def test_equal_challengers_are_falsely_promoted_in_one_of_twenty_reigns_at_most(
    count: int,
) -> None:
    wrong, runs = 0, 60
    names = ["base", *(f"c{i}" for i in range(count))]
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        fleet = Fleet("base", {name: {} for name in names[1:]})
        who = rng.integers(0, len(names), 2500).tolist()
        values = (rng.random(2500) < 0.3).tolist()
        for at, (member, value) in enumerate(zip(who, values, strict=True)):
            if any(c.what == "promote" for c in fleet.outcome(names[member], float(value), at)):
                wrong += 1
                break
    assert wrong <= 8  # above that with a probability of less than 1%


def test_a_reserve_that_is_proven_worse_is_tried_anew_so_that_it_can_come_back_soon() -> None:
    fleet = Fleet("base", {"novel": {}}, FleetSettings(keep=100 * DAY))
    fleet.promote("novel", at=0)
    renewed = _until(fleet, {"base": 0.1, "novel": 0.5}, seed=1)
    assert [(c.what, c.member) for c in renewed] == [("renew", "base")]
    assert (fleet.evidence("base") or renewed[0].evidence) != renewed[0].evidence
    assert _level(fleet, "base") == pytest.approx(0.05 / 2 / 2)
    back = _until(fleet, {"base": 0.3, "novel": 0.1}, seed=2)
    assert [(c.what, c.member) for c in back] == [("roll back", "base")]


def test_drift_begins_a_fresh_challenger_and_leaves_the_champion_alone() -> None:
    settings = FleetSettings(keep=10_000, spawns=True, warm_up=100)
    fleet = Fleet("base", settings=settings, spec={"share": 0.5})
    rng, changes = np.random.default_rng(6), list[Change]()
    for at in range(4000):
        chance = 0.4 if at < 1000 else 0.05
        changes += fleet.outcome("base", float(rng.random() < chance), at, expected=0.4)
    assert [(c.what, c.member, c.by) for c in changes] == [("spawn", "fresh-1", "drift")]
    assert 1000 < changes[0].at < 1400
    assert fleet.alarms >= 1
    fresh = fleet.members["fresh-1"]
    assert (fleet.champion.name, fresh.spec, fresh.born) == ("base", {"share": 0.5}, changes[0].at)
    assert fresh.trial is not None
    assert fresh.trial.alpha == 0.025
    late = fleet.outcome("base", 0.0, at=changes[0].at + 10_001)
    assert [(c.what, c.member, c.by) for c in late] == [("retire", "fresh-1", "time")]


def test_levels_of_all_challengers_of_a_reign_never_sum_to_more_than_alpha() -> None:
    fleet = Fleet("base", {"a": {}, "b": {}}, FleetSettings(alpha=0.03, spawns=True))
    levels = [_level(fleet, "a"), _level(fleet, "b")]
    for k in range(20):
        fleet.declare({"a": {}, "b": {}, f"n{k}": {}}, fleet.settings, at=k)
        levels.append(_level(fleet, f"n{k}"))
    assert sum(levels) < 0.03
    assert levels[:3] == pytest.approx([0.01, 0.01, 0.005])
    few = Fleet("base", {"a": {}}, FleetSettings(alpha=0.05))
    few.declare({"a": {}, "b": {}}, few.settings, at=1)
    assert [_level(few, "a"), _level(few, "b")] == pytest.approx([0.04, 0.005])


def test_a_snapshot_goes_on_to_the_same_changes() -> None:
    settings = FleetSettings(keep=3000, spawns=True, warm_up=50, threshold=5.0)
    straight = Fleet("base", {"a": {"x": 1}, "b": {}}, settings)
    resumed = Fleet("base", {"a": {"x": 1}, "b": {}}, settings)
    whole, parts = list[Change](), list[Change]()
    rng = np.random.default_rng(3)
    for at in range(6000):
        member = list(straight.members)[int(rng.integers(len(straight.members)))]
        value = float(rng.random() < (0.4 if member == "a" else 0.25) * (0.3 + (at < 3000)))
        whole += straight.outcome(member, value, at, expected=0.5)
        parts += resumed.outcome(member, value, at, expected=0.5)
        if at % 500 == 0:
            resumed = Fleet.from_bytes(resumed.to_bytes())
    assert whole == parts
    assert len(whole) >= 3
    assert resumed.to_bytes() == straight.to_bytes()
    assert [c.number for c in straight.changes] == list(range(straight.count))


def test_declaring_anew_adds_and_retires_and_refuses_what_changed_its_nature() -> None:
    fleet = Fleet("base", {"a": {"share": 0.1}, "b": {}})
    fleet.retire("b", at=5, note="no")
    done = fleet.declare({"b": {}, "c": {}}, FleetSettings(alpha=0.01), at=7)
    assert [(c.what, c.member, c.by) for c in done] == [
        ("retire", "a", "declared"), ("add", "c", "declared"),
    ]  # fmt: skip
    assert list(fleet.members) == ["base", "c"]
    assert fleet.settings.alpha == 0.01
    with pytest.raises(LearnerError, match="needs another name"):
        fleet.declare({"c": {"share": 0.2}}, fleet.settings, at=8)


def test_what_cannot_be_is_refused_and_changes_nothing() -> None:
    fleet = Fleet("base", {"a": {}})
    before = fleet.to_bytes()
    for bad in (math.nan, 1.1):
        with pytest.raises(LearnerError, match="value must be in"):
            fleet.outcome("a", bad, at=1)
    with pytest.raises(LearnerError, match="no challenger 'x'; there are: a"):
        fleet.promote("x", at=1)
    with pytest.raises(LearnerError, match="no challenger 'base'"):
        fleet.retire("base", at=1)
    assert fleet.to_bytes() == before
    with pytest.raises(LearnerError, match="given twice"):
        Fleet("a", {"a": {}})
    with pytest.raises(LearnerError, match="up to 16 challengers"):
        Fleet("a", {f"c{i}": {} for i in range(17)})


@pytest.mark.parametrize("fault", ["two champions", "no member", "role", "trial"])
def test_a_snapshot_of_no_fleet_is_refused(fault: str) -> None:
    values, _ = unpack(Fleet("base", {"a": {}}).to_bytes(), "Fleet")
    if fault == "two champions":
        values["members"][1]["role"] = "champion"
    elif fault == "no member":
        values["members"] = []
    elif fault == "role":
        values["members"][1]["role"] = "king"
    else:
        values["members"][1]["trial"]["squares"] = -1.0
    with pytest.raises(LearnerError):
        Fleet.from_bytes(pack("Fleet", values, {}))


def _until(fleet: Fleet, rates: dict[str, float], seed: int) -> list[Change]:
    """Let members decide in turn until something changes."""
    rng = np.random.default_rng(seed)
    for at, member in zip(range(20_000), _turns(list(rates)), strict=False):
        done = fleet.outcome(member, float(rng.random() < rates[member]), at)
        if done:
            return done
    raise AssertionError(f"nothing changed: {asdict(fleet.settings)}")


def _turns(names: list[str]) -> Iterator[str]:
    while True:
        yield from names


def _level(fleet: Fleet, name: str) -> float:
    trial = fleet.members[name].trial
    assert trial is not None
    return trial.alpha
