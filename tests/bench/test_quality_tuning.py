"""Settings are chosen among the grid, and by the rule that the scenarios state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nextbest.learners import RewardDrop

from . import scenario_drift, scenario_quality_digits, scenario_quality_journey
from .quality_ours import Played
from .quality_policies import RiverPerArm, play
from .quality_tuning import Scored, ranked


@pytest.mark.parametrize(
    "scenario",
    [scenario_drift, scenario_quality_digits, scenario_quality_journey],
    ids=["drift", "digits", "journey"],
)
def test_what_was_chosen_is_of_the_grid(scenario: Any) -> None:
    for name, settings in scenario.GRID.items():
        assert len(set(settings)) == len(settings)
        assert scenario.CHOSEN[name] in settings


def test_the_best_quarter_with_two_seeds_is_ranked_with_all() -> None:
    played: list[tuple[int, float]] = []

    def score(seed: int, setting: tuple[float, ...]) -> float:
        played.append((seed, setting[0]))
        return setting[0] if seed < 2 else -setting[0]

    found = ranked([(float(i),) for i in range(8)], score, range(5))
    assert [(scored.setting, scored.mean) for scored in found] == [((6.0,), -1.2), ((7.0,), -1.4)]
    assert {setting for seed, setting in played if seed >= 2} == {6.0, 7.0}


def test_settings_are_level_within_one_standard_error_of_their_differences() -> None:
    best = Scored(("best",), np.array([9.0, 5.0, 1.0]))
    assert best.level_with(best)
    assert Scored((), best.scores - [0.0, 1.0, 0.0]).level_with(best)
    assert not Scored((), best.scores - 0.01).level_with(best)


def test_the_largest_threshold_that_is_level_with_the_best_is_chosen() -> None:
    scores = [
        Scored(("a", 0.7, 10.0), np.array([8.0, 8.0])),
        Scored(("a", 0.5, 20.0), np.array([8.0, 7.8])),
        Scored(("b", 0.5, 20.0), np.array([8.4, 7.1])),
        Scored(("a", 0.5, 30.0), np.array([7.0, 7.0])),
    ]
    assert scenario_drift.steady(scores) == ("a", 0.5, 20.0)


@pytest.mark.parametrize("part", [0.3, 0.7])
def test_a_threshold_above_the_most_evidence_gives_no_alarm_and_one_below_does(part: float) -> None:
    rng = np.random.default_rng(1)
    earned = (rng.random(3000) < 0.3).astype(float)
    played = Played(earned, rng.uniform(0.1, 0.6, 3000))
    most = scenario_drift.most_evidence(played, part)
    for threshold, alarms in ((most * 1.001, False), (most * 0.999, True)):
        drop = RewardDrop(part, threshold)
        for reward, chance in zip(earned.tolist(), played.chances.tolist(), strict=True):
            drop.update(reward, chance)
        assert (drop.alarms > 0) == alarms


def test_rivers_models_begin_anew_once_adwin_notices() -> None:
    rewards = np.zeros((4000, 2))
    rewards[:2000, 0] = rewards[2000:, 1] = 1.0
    shared, actions = [{"bias": 1.0}] * 4000, np.empty((4000, 2, 0))
    earned = {
        delta: play(RiverPerArm(shared, actions, learning_rate=0.1, delta=delta), rewards)
        for delta in (None, 0.002)
    }
    assert earned[None][2000:].mean() < 0.9 * earned[0.002][2000:].mean()
