"""Policies in a simulated world: what they lose, and what they are told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nextbest.features import SettingsError
from nextbest.flows.decision.ids import id_of_cause
from nextbest.flows.decision.open_decisions import Credit
from nextbest.flows.simulate.comparing import compare
from nextbest.flows.simulate.policies import POLICIES, Ours, Policy
from nextbest.flows.simulate.within import play
from nextbest.flows.simulate.world import Setting, World

WORLD = World(Setting(people=10, days=12), 5)


@pytest.mark.parametrize("name", list(POLICIES))
def test_the_oracle_is_at_least_every_policy(name: str) -> None:
    played = play(WORLD, POLICIES[name])
    assert (played.regret >= 0.0).all()
    assert WORLD.available[np.arange(len(WORLD)), played.chosen].all()
    expected = WORLD.expected[np.arange(len(WORLD)), played.chosen]
    assert np.allclose(played.regret, WORLD.best - expected)


def test_a_policy_in_a_world_does_the_same_again() -> None:
    one, again = (play(WORLD, POLICIES["ours"]) for _ in range(2))
    assert np.array_equal(one.chosen, again.chosen)
    assert one.told == again.told


class Listening(Ours):
    """Ours, that remembers what it was told."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.heard: list[Credit] = []

    def learn(self, credits_: Sequence[Credit]) -> None:
        self.heard += credits_
        super().learn(credits_)


def test_every_decision_is_learned_once_with_the_reward_that_the_world_gave() -> None:
    listeners: list[Listening] = []

    def make(world: World) -> Policy:
        listeners.append(Listening(world))
        return listeners[-1]

    played = play(WORLD, make)
    heard = listeners[0].heard
    again = sum(credit.revision for credit in heard)
    assert len(heard) - again == len(WORLD) == len({credit.id for credit in heard})
    assert again == played.counts.repaired > 0  # a yes that came after its silence
    assert listeners[0].learning.versions == {"accept": len(WORLD)}
    assert {credit.id: credit for credit in heard} == played.told
    for visit in range(len(WORLD)):
        customer, at = WORLD.customers[WORLD.who[visit]], int(WORLD.at[visit])
        place = int(played.chosen[visit])
        answer = WORLD.answer(visit, place)
        credit = played.told[f"{id_of_cause(at, customer, f'5-{visit}')}/0"]
        counts = answer is not None and answer.counts
        assert (credit.customer, credit.action) == (customer, WORLD.actions[place])
        assert (credit.reward, credit.silence) == (float(counts), not counts)
        patience = WORLD.setting.window_us // 4
        assert credit.time == at + (answer.after_us if answer and counts else patience)
        assert played.earned[visit] == WORLD.values[place] * counts
    assert played.counts.responses > 50
    assert played.counts.silences > 50
    assert played.counts.refused == 0  # also not what is told when the decision is forgotten


def test_ours_loses_less_than_chance() -> None:
    found = compare(Setting(people=20, days=30), [5], ["ours", "random"])
    assert found.ratio("random") > 1.5
    ours, random = found.standings
    assert ours.earned.mean() > random.earned.mean()
    assert ours.course[-4:].mean() < ours.course[:4].mean()


def test_a_policy_that_there_is_not_is_named() -> None:
    with pytest.raises(SettingsError, match="no policy 'best'; there are ours, shared"):
        compare(Setting(people=2, days=2), [1], ["best"])
    with pytest.raises(SettingsError, match="no seed"):
        compare(Setting(people=2, days=2), [], ["ours"])
