"""The running measures: values, merging, snapshots, errors."""

import math
from dataclasses import asdict

import numpy as np
import pytest

from nextbest.learners import LearnerError, LogLoss, MeanReward, RecentReward
from nextbest.learners.metrics.base import Measure

REWARDS = np.random.default_rng(1).random(500).tolist()
PREDICTIONS = [(p < 0.3, p) for p in REWARDS]


def fill(metric, values):
    for value in values:
        metric.update(*(value if isinstance(value, tuple) else (value,)))
    return metric


def test_values_are_those_of_their_definitions():
    assert fill(MeanReward(), REWARDS).get() == pytest.approx(np.mean(REWARDS), abs=1e-12)
    weights = 0.5 ** (np.arange(500)[::-1] / 50.0)
    expected = np.average(REWARDS, weights=weights)
    assert fill(RecentReward(50.0), REWARDS).get() == pytest.approx(expected, abs=1e-12)
    losses = [-math.log(p if y else 1.0 - p) for y, p in PREDICTIONS]
    assert fill(LogLoss(), PREDICTIONS).get() == pytest.approx(np.mean(losses), abs=1e-12)


@pytest.mark.parametrize("kind", [MeanReward, RecentReward, LogLoss])
def test_nothing_counted_is_nan(kind):
    assert math.isnan(kind().get())


@pytest.mark.parametrize(
    ("kind", "values"), [(MeanReward, REWARDS), (RecentReward, REWARDS), (LogLoss, PREDICTIONS)]
)
def test_a_snapshot_continues(kind, values):
    whole = fill(kind(), values)
    half = asdict(fill(kind(), values[:200]))
    assert all(type(number) in (int, float) for number in half.values())
    assert fill(kind(**half), values[200:]) == whole


@pytest.mark.parametrize(("kind", "values"), [(MeanReward, REWARDS), (LogLoss, PREDICTIONS)])
def test_merging_is_counting_together(kind, values):
    left, right = fill(kind(), values[:123]), fill(kind(), values[123:])
    left.merge(right)
    assert left.n == 500
    assert left.get() == pytest.approx(fill(kind(), values).get(), abs=1e-12)


def test_merging_recent_rewards_weighs_each_by_its_own_recency():
    left, right = fill(RecentReward(10.0), [0.0] * 1000), fill(RecentReward(10.0), [1.0] * 1000)
    left.merge(right)
    assert left.get() == pytest.approx(0.5, abs=1e-12)
    with pytest.raises(LearnerError, match=r"10\.0 and 20\.0"):
        left.merge(RecentReward(20.0))


@pytest.mark.parametrize(
    "call",
    [
        lambda: MeanReward().update(math.nan),
        lambda: RecentReward().update(math.inf),
        lambda: RecentReward(half_life=0.0),
        lambda: LogLoss().update(True, 1.5),
        lambda: LogLoss().update(True, math.nan),
    ],
)
def test_a_value_that_cannot_be_counted_is_refused(call):
    with pytest.raises(LearnerError):
        call()


def test_certain_and_wrong_is_a_finite_loss():
    assert fill(LogLoss(), [(True, 0.0)]).get() == pytest.approx(-math.log(1e-15))


def test_a_measure_that_lacks_a_part_is_refused_when_it_is_made():
    class Half(Measure):
        @property
        def sums(self):
            return np.zeros(1)

    with pytest.raises(TypeError, match="_kernels"):
        Half()
