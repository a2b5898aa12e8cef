"""A drop of the rewards is noticed soon, and little else is."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from nextbest.learners import LearnerError, RewardDrop


def naive(
    rewards: list[float], expected: list[float], part: float, threshold: float, warm_up: int
) -> list[int]:
    """Return the places of the alarms: the largest log likelihood ratio of any latest stretch."""
    alarms: list[int] = []
    start, steps = 0, []
    for t, reward in enumerate(rewards):
        seen, hoped = sum(rewards[start:t]), sum(expected[start:t])
        n, step = t - start, 0.0
        if n >= warm_up:
            p = min(expected[t] * (seen / hoped if seen < hoped else 1.0), 1.0 - 1.0 / (n + 1.0))
            step = reward * math.log(part)
            step += (1.0 - reward) * (math.log(1.0 - part * p) - math.log(1.0 - p))
        steps.append(step)
        if max(sum(steps[i:]) for i in range(len(steps))) >= threshold:
            alarms.append(t)
            start, steps = t + 1, []
    return alarms


@pytest.mark.parametrize("part", [0.3, 0.8])
@pytest.mark.parametrize("graded", [False, True], ids=["yes-or-no", "graded"])
def test_alarms_are_those_of_the_naive_twin(part: float, graded: bool) -> None:
    rng = np.random.default_rng(5)
    chance = np.repeat([0.6, 0.1, 0.0, 0.9, 1.0, 0.2], 70)
    rewards = rng.beta(2 * chance + 0.01, 2.01 - 2 * chance) if graded else None
    values = ((rng.random(420) < chance) * 1.0 if rewards is None else rewards).tolist()
    hoped = rng.uniform(0.3, 1.0, 420).tolist()
    drop = RewardDrop(part, 3.0, 20)
    found = [t for t in range(420) if drop.update(values[t], hoped[t])]
    assert found == naive(values, hoped, part, 3.0, 20)
    assert len(found) == drop.alarms >= 2


def test_a_drop_by_half_is_noticed_within_1500_and_nothing_before() -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        values = (rng.random(6500) < np.repeat([0.2, 0.1], [5000, 1500])).astype(float)
        drop = RewardDrop()
        alarms = [t for t, value in enumerate(values) if drop.update(value, 0.2)]
        assert len(alarms) == 1
        assert alarms[0] >= 5000


def test_false_alarms_are_rarer_than_the_threshold_says() -> None:
    rng = np.random.default_rng(2)
    drop = RewardDrop(0.5, threshold=6.0, warm_up=1000)
    n = 20_000
    for value in (rng.random(n) < 0.2).astype(float):
        drop.update(value, 0.2)
    assert drop.alarms <= n / math.exp(6.0)


def test_rewards_that_rise_or_never_come_are_no_drop() -> None:
    drop = RewardDrop(warm_up=10)
    assert not any(drop.update(0.0, 0.0) for _ in range(1000))
    assert not any(drop.update(1.0, 0.5) for _ in range(1000))
    assert not math.isnan(drop.evidence)


def test_a_snapshot_continues_bit_for_bit() -> None:
    rng = np.random.default_rng(3)
    drop = RewardDrop(warm_up=50, threshold=4.0)
    for value in (rng.random(300) < 0.5).astype(float):
        drop.update(value, 0.5)
    again = RewardDrop(**asdict(drop))
    for value in (rng.random(300) < 0.1).astype(float):
        assert drop.update(value, 0.5) == again.update(value, 0.5)
    assert drop == again
    assert drop.alarms > 0


@pytest.mark.parametrize("reward", [math.nan, math.inf, -0.1, 1.1])
def test_a_reward_out_of_range_is_refused_and_not_counted(reward: float) -> None:
    drop = RewardDrop()
    with pytest.raises(LearnerError, match="reward must be in"):
        drop.update(reward, 0.5)
    with pytest.raises(LearnerError, match="expected must be in"):
        drop.update(0.5, reward)
    assert drop == RewardDrop()


@pytest.mark.parametrize(
    "setting",
    [
        {"part": 0.0},
        {"part": 1.0},
        {"threshold": 0.0},
        {"threshold": math.inf},
        {"warm_up": 0},
        {"warm_up": 1.5},
        {"n": -1},
        {"total": 1.0},
        {"expected": 1.0},
        {"evidence": math.nan},
        {"alarms": -1},
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_refused_by_name(setting: dict[str, Any]) -> None:
    with pytest.raises(LearnerError, match=f"^{next(iter(setting))} must be"):
        RewardDrop(**setting)
