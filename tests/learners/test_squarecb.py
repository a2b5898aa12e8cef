"""Exploration: the probabilities, the choice they lead to, the draws of a log."""

import math

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners.kernels import squarecb
from tests.naive.learners import naive_squarecb, naive_uniform

arms = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)
gammas = st.one_of(st.floats(0, 1e6), st.just(math.inf))


@given(arms=arms, gamma=st.floats(0, 1e6))
@settings(max_examples=200, deadline=None)
def test_probabilities_equal_their_twin(arms, gamma):
    scores, eligible = (np.array(column) for column in zip(*arms, strict=True))
    out = np.full(len(arms), np.nan)
    best = squarecb.probabilities(scores, eligible, gamma, out)
    if not eligible.any():
        assert best == -1
        assert not out.any()
        return
    np.testing.assert_allclose(out, naive_squarecb(scores, eligible, gamma), rtol=0, atol=1e-12)
    assert scores[best] == scores[eligible].max()


@given(arms=arms, gamma=gammas)
@settings(max_examples=200, deadline=None)
def test_probabilities_are_a_distribution_over_eligible_arms(arms, gamma):
    scores, eligible = (np.array(column) for column in zip(*arms, strict=True))
    out = np.empty(len(arms))
    best = squarecb.probabilities(scores, eligible, gamma, out)
    if best >= 0:
        assert out.sum() == pytest.approx(1.0, abs=1e-12)
        assert (out[~eligible] == 0.0).all()
        assert out[best] >= max(out.max(), 1.0 / eligible.sum()) - 1e-12
        assert gamma == math.inf or (out[eligible] > 0.0).all()


@given(arms=arms, gamma=gammas, draw=st.floats(0, 1, exclude_max=True))
@settings(max_examples=200, deadline=None)
def test_the_choice_is_always_possible(arms, gamma, draw):
    scores, eligible = (np.array(column) for column in zip(*arms, strict=True))
    out = np.empty(len(arms))
    if squarecb.probabilities(scores, eligible, gamma, out) >= 0:
        assert out[squarecb.sample(out, draw)] > 0.0


def test_the_choice_inverts_the_cumulative_probabilities():
    chances = np.array([0.25, 0.0, 0.5, 0.25])
    draws = [0.0, 0.2499, 0.25, 0.7499, 0.75, 1.0 - 2**-53]
    assert [squarecb.sample(chances, u) for u in draws] == [0, 0, 2, 2, 3, 3]


@given(seed=st.integers(0, 2**63 - 1), counter=st.integers(0, 2**63 - 1))
@settings(max_examples=200, deadline=None)
def test_draws_equal_their_twin(seed, counter):
    assert squarecb.uniform(seed, counter) == naive_uniform(seed, counter)


def test_draws_are_uniform_and_do_not_follow_one_another():
    n = 100_000
    draws = np.array([squarecb.uniform(7, i) for i in range(n)])
    other = np.array([squarecb.uniform(8, i) for i in range(n)])
    counts = np.bincount((draws * 100).astype(int), minlength=100)
    chi2 = ((counts - n / 100) ** 2 / (n / 100)).sum()
    assert 50 < chi2 < 170  # 99 degrees of freedom
    for pair in ((draws[:-1], draws[1:]), (draws, other)):
        assert abs(np.corrcoef(*pair)[0, 1]) < 5 / math.sqrt(n)


def test_kernels_run_inside_another_kernel():
    @numba.njit
    def choose(scores, eligible, out, seed, counter):
        squarecb.probabilities(scores, eligible, 10.0, out)
        return squarecb.sample(out, squarecb.uniform(seed, counter))

    scores, eligible, out = np.array([0.1, 0.9, 0.5]), np.array([True, True, False]), np.empty(3)
    chosen = [choose(scores, eligible, out, 3, i) for i in range(2000)]
    assert set(chosen) == {0, 1}
    assert out.tolist() == pytest.approx([0.1, 0.9, 0.0], abs=1e-15)
    assert np.mean(chosen) == pytest.approx(0.9, abs=0.03)
