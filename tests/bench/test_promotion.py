"""What `promotion` measures: fleets that live in the simulated world."""

from __future__ import annotations

import numpy as np

from nextbest.flows.simulate.within import play
from nextbest.flows.simulate.world import Setting, World
from tests.bench.fleet_policy import Crew
from tests.bench.scenario_promotion import LOOSE, USUAL, alone, lived


def test_a_fleet_of_equals_decides_as_its_champion_alone() -> None:
    world = World(Setting(people=12, days=6, new_actions=0), 3)
    without = alone(world, USUAL)
    found = lived(world, USUAL, USUAL, without)
    assert [(one.what, one.member) for one in found.changes] == [
        ("begin", "base"), ("add", "challenger"),
    ]  # fmt: skip
    assert np.array_equal(found.fleet, without)
    assert len(set(without.tolist())) > 10


def test_who_was_ordered_decides_beside_the_challenger_and_another_does_not() -> None:
    world = World(Setting(people=12, days=6, new_actions=0), 3)
    members: set[str] = set()
    fleet = '{"challengers": {"loose": {"variances": [100.0]}, "usual": {}}, "share": 0.5}'

    class Watched(Crew):
        def decide(self, *asked):  # type: ignore[no-untyped-def]
            record = super().decide(*asked)
            if self.fleet.fleet is not None:
                members.add(record.member)
            return record

    crew: list[Crew] = []

    def made(world: World) -> Crew:
        crew.append(Watched(world, "loose", fleet))
        return crew[0]

    play(world, made)
    assert members - {""} == {"loose", "usual"}
    assert [(one.what, one.member, one.by) for one in crew[0].told()][-2:] == [
        ("promote", "loose", "order"), ("retire", "base", "order"),
    ]  # fmt: skip
    assert LOOSE == {"variances": [100.0]}
