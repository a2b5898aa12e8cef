"""One step of the Bayesian ranker: what moment matching says, and the bounds that keep it sound."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import BayesianRanker
from nextbest.learners.base import Offset
from nextbest.learners.kernels import bayes_learn, levels

LOGITS = st.one_of(st.floats(-50, 50), st.floats(-1e100, 1e100))
VARIANCES = st.one_of(st.just(0.0), st.floats(1e-3, 100), st.floats(0, 1e200))
REWARDS = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))


def exact(z, s, y):
    """Return the mean and the variance of the posterior of a logit, integrated numerically."""
    logits = z + math.sqrt(s) * np.linspace(-12, 12, 20_001)
    logs = -((logits - z) ** 2) / (2 * s) - np.logaddexp(0.0, -logits if y else logits)
    chances = np.exp(logs - logs.max())
    mean = np.average(logits, weights=chances)
    return mean, np.average((logits - mean) ** 2, weights=chances)


@given(z=st.floats(-8, 8), s=st.floats(0, 30), y=REWARDS)
@settings(deadline=None)
def test_slope_and_curvature_are_derivatives_of_what_was_foretold(z, s, y):
    slope, curvature = bayes_learn.match(z, s, y)
    d = 1e-3
    low, mid, high = (bayes_learn.log_likelihood(z + i * d, s, y) for i in (-1, 0, 1))
    assert slope == pytest.approx((high - low) / (2 * d), abs=1e-6)
    assert -curvature == pytest.approx((high - 2 * mid + low) / d**2, abs=1e-6)


@given(z=LOGITS, s=VARIANCES, y=REWARDS)
@settings(deadline=None)
def test_no_step_takes_more_than_two_of_pi_of_a_variance_or_goes_far(z, s, y):
    slope, curvature = bayes_learn.match(z, s, y)
    assert 0.0 <= curvature * s <= 2 / math.pi * (1 + 1e-12)
    assert abs(slope) * math.sqrt(s) <= math.sqrt(8 / math.pi) * (1 + 1e-12)


@pytest.mark.parametrize("s", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("z", [-2.0, 0.0, 2.0, 5.0])
def test_the_step_comes_near_the_posterior(z, s):
    slope, curvature = bayes_learn.match(z, s, 1.0)
    mean, variance = exact(z, s, 1.0)
    assert slope * s == pytest.approx(mean - z, rel=0.08)
    assert 1.0 - curvature * s == pytest.approx(variance / s, abs=0.15)


@pytest.mark.parametrize("s", [3.0, 10.0, 30.0])
@pytest.mark.parametrize("z", [-2.0, 0.0, 2.0, 5.0])
def test_a_wide_belief_moves_nearer_than_by_a_newton_step(z, s):
    p = 1.0 / (1.0 + math.exp(-z))
    newton = (1.0 - p) / (1.0 + p * (1.0 - p) * s) * s
    slope, _ = bayes_learn.match(z, s, 1.0)
    moved = exact(z, s, 1.0)[0] - z
    assert abs(slope * s - moved) < 0.3 * abs(newton - moved)


def test_a_reward_as_foretold_teaches_the_mean_nothing():
    for z, s in ((1.0, 4.0), (-3.0, 0.0)):
        p = math.exp(bayes_learn.log_likelihood(z, s, 1.0))
        slope, curvature = bayes_learn.match(z, s, p)
        assert slope == pytest.approx(0.0, abs=1e-15)
        assert curvature > 0.0


@given(z=st.floats(-30, 30), v=st.floats(1e-6, 1e6), rest=st.floats(0, 1e6), y=REWARDS)
@settings(deadline=None)
def test_a_weight_outside_keeps_a_proper_belief(z, v, rest, y):
    """Its own variance is a part of the logit's: what it has left is no matter of a guard."""
    slope, curvature = bayes_learn.match(z, v + rest, y)
    assert 1.0 - v * curvature > 0.36
    information, precision = levels.observe(0.0, 0.0, 0.0, v, slope, curvature)
    left = 1.0 / (1.0 / v + precision)
    assert left == pytest.approx(v - v * v * curvature, rel=1e-9)
    assert left * information == pytest.approx(v * slope, rel=1e-9, abs=1e-300)


def test_surprises_far_out_bring_a_wide_belief_back():
    """Each moves it by a part of its deviation, and none is lost or jumps over the truth."""
    ranker = BayesianRanker(["a"], experts=[(1.0, 0.0)])
    believed = [0.5]
    for _ in range(30):
        ranker.learn({}, None, 0, 0.0, Offset(40.0, 100.0))
        believed.append(float(ranker.belief({}).probability[0]))
    assert np.all(np.diff(believed) < 0.0)
    assert ranker.belief({}).variance[0] > 0.0


def test_what_is_foretold_of_a_constant_chance_is_calibrated():
    """Many arms of known chances, seldom tried: on average they turn out as foretold."""
    rng = np.random.default_rng(8)
    arms = 400
    logits = rng.normal(0.0, 2.0, arms)
    ranker = BayesianRanker([str(i) for i in range(arms)], experts=[(4.0, 0.0)], shared_scale=0.0)
    squares, expected = 0.0, 0.0
    for _ in range(6):
        foretold = ranker.belief({}).probability
        came = rng.random(arms) < 1.0 / (1.0 + np.exp(-logits))
        squares += float(((came - foretold) ** 2).sum())
        expected += float((foretold * (1.0 - foretold)).sum())
        for arm in range(arms):
            ranker.learn({}, None, arm, float(came[arm]))
    assert squares == pytest.approx(expected, rel=0.06)
