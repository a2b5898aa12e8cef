"""Thompson sampling: the propensities are what they are said to be, as exactly as is said."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nextbest.learners.base import Belief
from nextbest.learners.kernels import thompson
from nextbest.learners.policies import Thompson
from tests.naive.policies import naive_highest

arm = st.tuples(st.floats(-3, 3), st.floats(-6, 1), st.booleans() | st.just(True))


def propensities(mean, variance, accuracy=1e-4, width=1.0, eligible=None):
    mean, variance = np.array(mean, np.float64), np.array(variance, np.float64)
    eligible = np.ones(len(mean), np.bool_) if eligible is None else np.array(eligible)
    belief = Belief(mean, variance, np.full(len(mean), 0.5))
    return Thompson(width, accuracy).propensities(belief, eligible)


@given(
    m=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
    v=st.tuples(st.floats(1e-8, 9), st.floats(1e-8, 9)),
    accuracy=st.sampled_from([1e-2, 1e-3, 1e-4, 1e-6]),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_two_arms_are_as_accurate_as_stated(m, v, accuracy):
    """For two arms there is a closed form."""
    exact = statistics.NormalDist().cdf((m[0] - m[1]) / math.sqrt(v[0] + v[1]))
    out = propensities(m, v, accuracy)
    assert 2 * abs(out[0] - exact) <= accuracy


@given(arms=st.lists(arm, min_size=1, max_size=6), width=st.sampled_from([0.3, 1.0]))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_few_arms_equal_the_textbook_integral(arms, width):
    mean, log_variance, eligible = zip(*arms, strict=True)
    assume(any(eligible))
    variance = [10**v for v in log_variance]
    exact = naive_highest(mean, variance, eligible, width)
    out = propensities(mean, variance, 1e-4, width, eligible)
    assert np.abs(out - exact).sum() <= 1e-4 + 1e-3 * 0.05  # the twin's own error


def test_many_arms_equal_the_frequencies_of_sampling():
    rng = np.random.default_rng(1)
    mean, variance = rng.normal(0, 0.5, 40), 10 ** rng.uniform(-3, 0, 40)
    out = propensities(mean, variance)
    n = 200_000
    values = rng.normal(mean, np.sqrt(variance), (n, 40))
    seen = np.bincount(values.argmax(axis=1), minlength=40)
    often = out * n > 5
    chi2 = ((seen - out * n)[often] ** 2 / (out * n)[often]).sum()
    assert chi2 < often.sum() + 5 * math.sqrt(2 * often.sum())
    assert seen[~often].sum() < 100


@pytest.mark.parametrize("k", [1, 2, 7, 100])
@pytest.mark.parametrize("variance", [0.0, 1e-12, 1.0, 1e6], ids=str)
def test_equal_arms_are_equally_likely(k, variance):
    out = propensities([-4.0] * k, [variance] * k)
    np.testing.assert_allclose(out, 1.0 / k, rtol=0, atol=1e-12)


def test_certain_arms_stand_beside_uncertain_ones():
    """The certain best is beaten just as often as one of the others is above it."""
    out = propensities([1.0, 0.0, -50.0], [0.0, 1.0, 0.0], 1e-6)
    above = 1.0 - statistics.NormalDist().cdf(1.0)
    np.testing.assert_allclose(out, [1.0 - above, above, 0.0], rtol=0, atol=1e-6)


def test_an_arm_out_of_reach_has_nothing():
    assert propensities([0.0, -100.0], [1.0, 1.0]).tolist() == [1.0, 0.0]


def test_a_narrower_width_explores_less():
    wide, narrow = (propensities([0.0, 0.5], [1.0, 1.0], width=w) for w in (1.0, 0.3))
    assert narrow[0] < wide[0] < 0.5


def test_the_table_is_the_distribution_function():
    z = np.linspace(-9.9, 12.0, 5001)
    root = math.sqrt(2.0)
    below = [math.log(0.5 * math.erfc(-x / root)) for x in z if x < 0]
    exact = below + [math.log1p(-0.5 * math.erfc(x / root)) for x in z if x >= 0]
    got = [thompson.log_normal_cdf(x) for x in z]
    np.testing.assert_allclose(got, exact, rtol=0, atol=2e-9)


@pytest.mark.parametrize(
    ("z", "value"),
    [(-10.0, -53.23128515051247), (-40.0, -804.6084420137538), (-1e6, -5.000000000147344e11)],
)
def test_the_far_tail_is_the_series(z, value):
    assert thompson.log_normal_cdf(z) == pytest.approx(value, rel=1e-8)


def test_the_cells_are_few_and_bounded():
    out = np.empty(3)
    mean, variance = np.array([0.0, 1.0, 1.0]), np.array([1.0, 1e-12, 4.0])
    cells = thompson.propensities(mean, variance, np.ones(3, np.bool_), 1.0, 1e-4, out)
    assert 8 <= cells < 400
