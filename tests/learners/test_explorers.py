"""Explorers: each is the formula it says it is, and a distribution over the eligible arms."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nextbest.learners import LearnerError
from nextbest.learners.base import Belief
from nextbest.learners.kernels import explore
from nextbest.learners.policies import (
    EpsilonGreedy,
    Explorer,
    Greedy,
    LinUCB,
    Policy,
    SquareCB,
    Thompson,
    Uniform,
)
from tests.naive import policies as naive

arm = st.tuples(st.floats(-6, 6), st.floats(0, 4), st.floats(0, 1), st.booleans() | st.just(True))
EXPLORERS = [
    Uniform(),
    Greedy(),
    EpsilonGreedy(0.2, 0.3),
    SquareCB(50.0),
    SquareCB(math.inf),
    SquareCB(1000.0, scale=1.0),
    LinUCB(0.7),
    Thompson(),
    Thompson(0.3, 1e-3),
]


def taken(arms):
    mean, variance, probability, eligible = (np.array(c) for c in zip(*arms, strict=True))
    assume(eligible.any())
    return Belief(mean, variance, probability), eligible


@pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda e: "-".join(map(str, vars(e).values())))
@given(arms=st.lists(arm, min_size=1, max_size=20), decision=st.integers(1, 10**9))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_propensities_are_a_distribution_over_eligible_arms(explorer, arms, decision):
    belief, eligible = taken(arms)
    out = explorer.propensities(belief, eligible, decision)
    assert out.sum() == pytest.approx(1.0, abs=1e-12)
    assert (out >= 0.0).all()
    assert not out[~eligible].any()


@pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda e: "-".join(map(str, vars(e).values())))
@given(arms=st.lists(arm, min_size=2, max_size=12))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_arms_that_are_not_eligible_change_nothing(explorer, arms):
    belief, eligible = taken(arms)
    fewer = Belief(*(part[eligible] for part in belief))
    out = explorer.propensities(belief, eligible, 3)
    alone = explorer.propensities(fewer, np.ones(eligible.sum(), np.bool_), 3)
    assert out[eligible].tolist() == alone.tolist()


@given(arms=st.lists(arm, min_size=1, max_size=20))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_explorers_equal_their_twins(arms):
    belief, eligible = taken(arms)
    mean, variance, p = belief

    def same(explorer, expected, decision=1):
        out = explorer.propensities(belief, eligible, decision)
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-12)

    same(Greedy(), naive.naive_top(p, eligible))
    same(Uniform(), naive.naive_top(np.zeros(len(p)), eligible))
    same(LinUCB(0.7), naive.naive_upper(mean, variance, eligible, 0.7))
    same(EpsilonGreedy(0.2, 0.5), naive.naive_epsilon(p, eligible, 0.2 / 3), decision=9)
    same(SquareCB(4.0), naive.naive_relative(p, eligible, 12.0, None), decision=9)
    same(SquareCB(4.0, 0.0, 0.1), naive.naive_relative(p, eligible, 4.0, 0.1), decision=9)


@given(
    arms=st.lists(st.tuples(st.floats(0.001, 1), st.booleans()), min_size=1, max_size=20),
    factor=st.sampled_from([0.5, 0.25, 2.0**-10]),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_gamma_means_the_same_at_every_base_rate(arms, factor):
    p, eligible = (np.array(column) for column in zip(*arms, strict=True))
    assume(eligible.any())
    zero = np.zeros(len(p))
    often, rarely = Belief(zero, zero, p), Belief(zero, zero, p * factor)
    explorer = SquareCB(30.0)
    assert (
        explorer.propensities(often, eligible, 7).tolist()
        == explorer.propensities(rarely, eligible, 7).tolist()
    )


def test_a_reward_that_nobody_expects_leaves_all_arms_alike():
    belief = Belief(np.full(4, -9.0), np.ones(4), np.zeros(4))
    eligible = np.array([True, True, False, True])
    assert SquareCB().propensities(belief, eligible).tolist() == [1 / 3, 1 / 3, 0.0, 1 / 3]


@pytest.mark.parametrize("explorer", [Greedy(), LinUCB(), EpsilonGreedy(0.0)], ids=repr)
def test_equal_best_arms_share(explorer):
    belief = Belief(np.array([1.0, 0.0, 1.0]), np.ones(3), np.array([0.7, 0.5, 0.7]))
    assert explorer.propensities(belief, np.ones(3, np.bool_)).tolist() == [0.5, 0.0, 0.5]


class Halves(Explorer):
    """An explorer of one's own."""

    def __init__(self, name="half"):
        self.name = name

    def write(self, belief, eligible, decision, out):
        out[:] = eligible / eligible.sum()


def test_an_explorer_of_ones_own_is_checked_like_ours():
    belief = Belief(np.zeros(2), np.ones(2), np.full(2, 0.5))
    both = np.ones(2, np.bool_)
    assert Halves().propensities(belief, both).tolist() == [0.5, 0.5]
    policy = Policy(Halves("mine"), floor=0.1)
    assert policy.settings["explorer"] == {"kind": "Halves", "name": "mine"}
    assert policy.choose(belief, both, 1).propensity == 0.5
    with pytest.raises(LearnerError, match="no arm is eligible"):
        Halves().propensities(belief, np.zeros(2, np.bool_))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": [0.0, math.nan]}, "belief of arm 1 cannot be used: mean nan"),
        ({"variance": [-1.0, 1.0]}, "belief of arm 0 .* variance -1.0"),
        ({"variance": [1.0, math.inf]}, "belief of arm 1 .* variance inf"),
        ({"probability": [0.5, 1.5]}, "belief of arm 1 .* probability 1.5"),
        ({"probability": [0.5]}, r"probability must be float64\[2\], got \[1\]"),
        ({"eligible": [False, False]}, "no arm is eligible"),
        ({"eligible": [1.0, 1.0]}, r"eligible must be bool\[K\], got float64\[2\]"),
        ({"decision": 0}, "decisions are numbered from 1, got 0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_cannot_be_explored_is_refused_by_name(change, message):
    good = {"mean": [0.0, 0.0], "variance": [1.0, 1.0], "probability": [0.5, 0.5]}
    belief = Belief(*(np.array(change.get(name, value)) for name, value in good.items()))
    eligible = np.array(change.get("eligible", [True, True]))
    with pytest.raises(LearnerError, match=message):
        Greedy().propensities(belief, eligible, change.get("decision", 1))


def test_what_is_not_eligible_may_be_unusable():
    belief = Belief(np.array([0.0, math.nan]), np.ones(2), np.array([0.5, math.nan]))
    for explorer in EXPLORERS:
        eligible = np.array([True, False])
        assert explorer.propensities(belief, eligible).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("kind", "setting", "message"),
    [
        (EpsilonGreedy, {"epsilon": 1.1}, "epsilon must be in"),
        (EpsilonGreedy, {"exponent": -1.0}, "exponent must be in"),
        (SquareCB, {"gamma": 0.0}, "gamma must be positive"),
        (SquareCB, {"gamma": math.nan}, "gamma must be positive"),
        (SquareCB, {"exponent": math.nan}, "exponent must be in"),
        (SquareCB, {"scale": 0.0}, "scale must be in"),
        (LinUCB, {"alpha": -0.1}, "alpha must be in"),
        (Thompson, {"width": 0.0}, "width must be in"),
        (Thompson, {"accuracy": 0.5}, "accuracy must be in"),
    ],
)
def test_a_bad_setting_is_refused_by_name(kind, setting, message):
    with pytest.raises(LearnerError, match=message):
        kind(**setting)


@given(
    values=st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=30),
    data=st.data(),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_shortlist_equals_its_twin(values, data):
    k = len(values)
    variance = data.draw(st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=k, max_size=k))
    eligible = data.draw(st.lists(st.booleans(), min_size=k, max_size=k))
    best, uncertain = data.draw(st.integers(1, 8)), data.draw(st.integers(0, 8))
    out = np.empty(k, np.bool_)
    explore.shortlist(
        np.array(values), np.array(variance), np.array(eligible), best, uncertain, out
    )
    assert out.tolist() == naive.naive_shortlist(values, variance, eligible, best, uncertain)
