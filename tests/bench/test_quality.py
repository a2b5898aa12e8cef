"""The quality scenarios' own parts do what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from river import preprocessing

from nextbest.learners import BayesianRanker, RewardDrop
from nextbest.learners.base import Offset
from nextbest.learners.kernels import squarecb

from .quality_journey import affinities
from .quality_ours import Exploration, Own, play
from .quality_streams import STREAMS, split, standardised

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("late", [0, 7])
@pytest.mark.parametrize("personal", [False, True])
@pytest.mark.parametrize("restarts", [False, True], ids=["on", "restarts"])
def test_the_compiled_loop_is_the_loop_through_the_public_methods(
    late: int, personal: bool, restarts: bool
) -> None:
    n, k = 120, 3
    contexts = [
        {"hour": f"h{h}", "size": size}
        for h, size in zip(RNG.integers(4, size=n), RNG.normal(size=n), strict=True)
    ]
    actions = RNG.normal(size=(n, k, 2))
    rewards = (RNG.random((n, k)) < 0.4).astype(float)
    customers = RNG.integers(5, size=n)

    def model() -> BayesianRanker:
        arms, features = ["a", "b", "c"], ["f", "g"]
        return BayesianRanker(arms, numbers=["size"], contexts=["hour"], action_features=features)

    own = Own(customers, 0.5, 0.01) if personal else None
    explore = Exploration(2.0, 0.5, seed=4)
    rewards[60:] *= not restarts
    drop = RewardDrop(0.5, 4.0, 10) if restarts else None
    played = play(model(), contexts, actions, rewards, explore, late=late, own=own, drop=drop)

    slow = model()
    means, variances = np.zeros((5, k)), np.full((5, k), 0.5)
    earned, hoped, arms, start = [], [], [], 0
    for t in range(n + late):
        if t < n:
            mean, variance, chance = slow.belief(contexts[t], actions[t])
            if personal:
                s = variance + variances[customers[t]]
                z = (mean + means[customers[t]]) / np.sqrt(1 + math.pi * s / 8)
                chance = 1 / (1 + np.exp(-z))
            odds = np.empty(k)
            squarecb.probabilities(chance, np.ones(k, np.bool_), 2.0 * (t + 1 - start) ** 0.5, odds)
            arms.append(squarecb.sample(odds, squarecb.uniform(4, t + 1)))
            hoped.append(chance[arms[t]])
            earned.append(rewards[t, arms[t]])
            assert played.chances[t] == pytest.approx(chance[arms[t]], rel=1e-9)
        if (told := t - late) >= 0:
            arm, who = arms[told], customers[told]
            v = variances[who, arm] / (0.99 + 0.01 * variances[who, arm] / 0.5)
            offset = Offset(means[who, arm], v) if personal else Offset(0.0, 0.0)
            step = slow.learn(contexts[told], actions[told], arm, earned[told], offset)
            means[who, arm] += v * step.slope
            variances[who, arm] = v - v * v * step.curvature
            if drop and drop.update(earned[told], hoped[told]):
                slow, start = model(), t + 1
                means[:], variances[:] = 0.0, 0.5
    assert (drop is not None and drop.alarms > 0) == restarts
    assert played.earned.tolist() == earned


def test_numbers_are_standardised_as_river_does() -> None:
    numbers = np.column_stack([RNG.normal(5.0, 3.0, 50), np.full(50, 2.0), RNG.random(50)])
    scaler = preprocessing.StandardScaler()
    expected = []
    for row in numbers.tolist():
        x = dict(enumerate(row))
        scaler.learn_one(x)
        expected.append(list(scaler.transform_one(x).values()))
    assert standardised(numbers) == pytest.approx(np.array(expected), abs=1e-9)


def test_affinities_see_only_baskets_before() -> None:
    held = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    found = affinities(np.array([0, 0, 1]), np.array([0.0, 60.0, 61.0]), held, 60.0)
    never = [0.0, math.log(0.3 / 4.0) + 2.5, 0.0]
    assert found[0].tolist() == [pytest.approx(never)] * 2
    once = [math.log1p(0.5), math.log(0.8 / 4.5) + 2.5, math.exp(-60.0 / 7.0)]
    assert found[1, 0].tolist() == pytest.approx(once)
    assert found[2, 0].tolist() == pytest.approx(never)


@pytest.mark.parametrize("name", [name for name in STREAMS if name != "basket"])
def test_no_row_is_tuned_on_and_measured(name: str) -> None:
    stream = STREAMS[name](0)
    tuning, measured = split(stream)
    n = len(stream.labels)
    assert len(tuning.labels) == int(0.2 * n)
    assert len(tuning.labels) + len(measured.labels) == n
    both = np.concatenate([tuning.numbers, measured.numbers])
    assert np.sort(both, axis=0).tolist() == np.sort(stream.numbers, axis=0).tolist()
    assert 0.05 < stream.labels.mean() < 0.7
