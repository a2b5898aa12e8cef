"""Declaring a fleet anew: all of it or nothing, and never a trial's name for another one."""

from __future__ import annotations

import pytest

from nextbest.learners import Fleet, FleetSettings, LearnerError
from nextbest.learners.fleet_parts import MOST_CHALLENGERS


def drifted() -> Fleet:
    """A fleet whose drift began a challenger, which has some pairs of its trial already."""
    settings = FleetSettings(spawns=True, threshold=1.0, warm_up=10)
    fleet = Fleet("base", settings=settings, spec={"share": 0.5})
    at = 0
    while "fresh-1" not in fleet.members:
        at += 1
        fleet.outcome("base", float(at < 100 and at % 2 == 0), at, expected=0.5)
    for _ in range(3):
        fleet.outcome("fresh-1", 1.0, at)
        fleet.outcome("base", 1.0, at)
    return fleet


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({f"d{i}": {} for i in range(MOST_CHALLENGERS + 1)}, "up to 16 challengers"),
        ({"new": {}, "": {}}, "1 to 64 characters"),
        ({"new": {}, "a": {"share": 0.1}}, "needs another name"),
        ({"new": {}, "base": {"share": 0.1}}, "needs another name"),
    ],
    ids=["many", "name", "spec", "champion"],
)
def test_what_cannot_be_declared_changes_nothing(
    declared: dict[str, dict[str, float]], message: str
) -> None:
    fleet = Fleet("base", {"a": {}, "b": {}, "c": {}})
    before = fleet.to_bytes()
    with pytest.raises(LearnerError, match=message):
        fleet.declare(declared, FleetSettings(alpha=0.01), at=1)
    assert fleet.to_bytes() == before


def test_those_that_go_make_room_for_those_that_come() -> None:
    fleet = Fleet("base", {f"c{i}": {} for i in range(MOST_CHALLENGERS)})
    fleet.promote("c0", at=1)  # the reserve is one of them
    names = [f"c{i}" for i in range(1, 9)] + [f"d{i}" for i in range(7)]
    done = fleet.declare({name: {} for name in names}, fleet.settings, at=2)
    assert [c.what for c in done] == ["retire"] * 7 + ["add"] * 7
    assert {m.name for m in fleet.challengers} == {"base", *names}
    with pytest.raises(LearnerError, match="up to 16 challengers"):
        fleet.declare({name: {} for name in [*names, "e", "f"]}, fleet.settings, at=3)
    assert fleet.declare({name: {} for name in names}, fleet.settings, at=3) == []


@pytest.mark.parametrize("spec", [{}, {"share": 0.5}], ids=["other", "same"])
def test_a_fresh_challengers_name_is_never_given_to_another(spec: dict[str, float]) -> None:
    fleet = drifted()
    before = fleet.to_bytes()
    trial = fleet.evidence("fresh-1")
    assert trial is not None
    assert trial.pairs == 3
    with pytest.raises(LearnerError, match="'fresh-1': drift began one of that name"):
        fleet.declare({"fresh-1": spec}, fleet.settings, at=10**6)
    assert fleet.to_bytes() == before
    fleet.promote("fresh-1", at=10**6)
    with pytest.raises(LearnerError, match="drift began one"):
        fleet.declare({"fresh-1": spec}, fleet.settings, at=10**6)
    assert fleet.champion.name == "fresh-1"
    fleet.promote("base", at=10**6)
    fleet.retire("fresh-1", at=10**6)
    with pytest.raises(LearnerError, match="drift began one"):
        Fleet.from_bytes(fleet.to_bytes()).declare({"fresh-1": spec}, fleet.settings, at=10**6)


def test_a_fresh_challenger_stays_whatever_is_declared() -> None:
    fleet = drifted()
    before = fleet.evidence("fresh-1")
    done = fleet.declare({"new": {}, "fresh-2": {}}, fleet.settings, at=10**6)
    assert [(c.what, c.member) for c in done] == [("add", "new"), ("add", "fresh-2")]
    assert fleet.evidence("fresh-1") == before
    assert [c.what for c in fleet.declare({}, fleet.settings, at=10**6)] == ["retire", "retire"]
    assert list(fleet.members) == ["base", "fresh-1"]
