"""What lies over an explorer: the floor, the budget, the control group, the shortlist."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nextbest.learners import LearnerError
from nextbest.learners.base import Belief
from nextbest.learners.kernels import explore, squarecb
from nextbest.learners.policies import (
    Budget,
    ControlGroup,
    Greedy,
    LinUCB,
    Policy,
    Shortlist,
    SquareCB,
    Uniform,
)
from tests.naive import policies as naive

share = st.integers(0, 10**6).map(lambda n: n / 10**6)
arm = st.tuples(share, share, st.booleans() | st.just(True))


def limited(arms, floor, most, cost):
    values, weights, eligible = (np.array(column) for column in zip(*arms, strict=True))
    assume(eligible.any())
    wanted = np.where(eligible, weights + 1e-3, 0.0)
    wanted /= wanted.sum()
    out = np.empty(len(arms))
    f = explore.limit(values, eligible, wanted, floor, most, cost, out)
    return values, eligible, wanted, out, f


@given(arms=st.lists(arm, min_size=1, max_size=15), floor=share)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_floor_equals_its_twin(arms, floor):
    _, eligible, wanted, out, f = limited(arms, floor, 1.0, 1.0)
    np.testing.assert_allclose(out, naive.naive_floor(wanted, eligible, floor), atol=1e-12)
    assert f == min(floor, 1 / eligible.sum())


@given(arms=st.lists(arm, min_size=1, max_size=15), floor=share, most=share, cost=share)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_budget_equals_its_twin(arms, floor, most, cost):
    values, eligible, wanted, out, _ = limited(arms, floor, most, cost)
    lifted = naive.naive_floor(wanted, eligible, floor)
    expected = naive.naive_budget(values, eligible, lifted, floor, most, cost)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-9)


@given(arms=st.lists(arm, min_size=1, max_size=15), floor=share, most=share, cost=share)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_limits_keep_what_they_promise(arms, floor, most, cost):
    values, eligible, _, out, f = limited(arms, floor, most, cost)
    assert out.sum() == pytest.approx(1.0, abs=1e-12)
    assert (out[eligible] >= f - 1e-12).all()
    assert not out[~eligible].any()
    best = explore.best(values, eligible)
    n = eligible.sum()
    assert 1.0 - out[best] <= max(most, (n - 1) * f) + 1e-9
    gaps = np.where(eligible, values[best] - values, 0.0)
    assert (out * gaps).sum() <= max(cost * values[best], (f * gaps).sum()) + 1e-9


def test_limits_that_do_not_bind_change_nothing():
    values, eligible = np.array([0.5, 0.4, 0.1]), np.ones(3, np.bool_)
    wanted = np.array([0.7, 0.2, 0.1])
    out = np.empty(3)
    explore.limit(values, eligible, wanted, 0.0, 0.4, 0.2, out)
    assert out.tolist() == wanted.tolist()
    explore.limit(values, eligible, wanted, 0.1, 0.4, 0.2, out)
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-15)


@given(
    weights=st.lists(st.floats(0, 1), min_size=1, max_size=12),
    floor=st.floats(0, 0.3),
    draw=st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_choice_is_the_draws_and_only_lifted_arms_are_floored(weights, floor, draw):
    wanted = np.array(weights) + 1e-3
    wanted /= wanted.sum()
    out, values, eligible = np.empty(len(wanted)), wanted.copy(), np.ones(len(wanted), np.bool_)
    f = explore.limit(values, eligible, wanted, floor, 1.0, 1.0, out)
    arm, floored = explore.choose(out, wanted, f, draw)
    assert arm == squarecb.sample(out, draw)
    assert not floored or wanted[arm] < f


def test_the_floor_chooses_as_often_as_it_gives():
    """Of the grid of draws, the share that is flagged is what the floor added."""
    wanted = np.array([0.9, 0.08, 0.02, 0.0])
    out = np.empty(4)
    f = explore.limit(wanted, np.ones(4, np.bool_), wanted, 0.05, 1.0, 1.0, out)
    choices = [explore.choose(out, wanted, f, (i + 0.5) / 10_000) for i in range(10_000)]
    flagged = np.bincount([a for a, floored in choices if floored], minlength=4)
    np.testing.assert_allclose(flagged / 10_000, [0.0, 0.0, 0.03, 0.05], rtol=0, atol=2e-4)


def test_a_deterministic_explorer_with_a_floor_can_choose_every_arm():
    belief = Belief(np.array([0.0, 2.0, 1.0]), np.ones(3), np.array([0.5, 0.88, 0.73]))
    out = Policy(LinUCB(), floor=0.02).propensities(belief, np.ones(3, np.bool_))
    np.testing.assert_allclose(out, [0.02, 0.96, 0.02], rtol=0, atol=1e-15)


@given(customer=st.text(min_size=1), part=share, salt=st.text(max_size=5))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_control_group_equals_its_twin(customer, part, salt):
    held = ControlGroup(part, salt).holds(customer)
    assert held == naive.naive_holds(customer, part, salt)


def test_a_control_group_has_its_share_and_salts_are_independent():
    ids = [f"c{i}" for i in range(20_000)]
    a, b = (np.array([ControlGroup(0.1, salt).holds(c) for c in ids]) for salt in ("a", "b"))
    for held, expected in ((a, 0.1), (b, 0.1), (a & b, 0.01)):
        assert abs(held.mean() - expected) < 4 * math.sqrt(expected * (1 - expected) / 20_000)


def test_a_group_is_none_or_all_at_the_ends_and_grows_by_keeping():
    ids = [f"c{i}" for i in range(500)]
    assert not any(ControlGroup(0.0).holds(c) for c in ids)
    assert all(ControlGroup(1.0).holds(c) for c in ids)
    small, large = ({c for c in ids if ControlGroup(s, "x").holds(c)} for s in (0.1, 0.3))
    assert small < large


@pytest.mark.parametrize(
    ("eligible", "expected"),
    [
        ([True, True, True], [0.0, 0.0, 1.0]),
        ([True, True, False], [1.0, 0.0, 0.0]),
        ([False, True, False], [0.0, 1.0, 0.0]),
    ],
    ids=["first", "second", "none-of-them"],
)
def test_a_control_customer_gets_the_first_fixed_arm_that_is_eligible(eligible, expected):
    group = ControlGroup(1.0, fixed=["gone", "c", "a"])
    belief = Belief(np.array([0.0, 5.0, 0.0]), np.ones(3), np.array([0.5, 0.99, 0.5]))
    policy = Policy(Greedy(), floor=0.1, control=group)
    mask = np.array(eligible)
    pull = policy.choose(belief, mask, 1, customer="anna", arms=["a", "b", "c"])
    assert pull.control
    assert not pull.floored
    assert pull.propensities.tolist() == expected


def test_a_control_customer_without_fixed_arms_gets_any():
    belief = Belief(np.array([0.0, 5.0, 0.0]), np.ones(3), np.array([0.5, 0.99, 0.5]))
    policy = Policy(Greedy(), control=ControlGroup(1.0))
    out = policy.propensities(belief, np.array([True, True, False]), customer="anna")
    assert out.tolist() == [0.5, 0.5, 0.0]


def wide(k, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.001, 0.1, k)
    return Belief(np.log(p / (1 - p)), rng.uniform(0, 1, k), p)


def test_a_shortlist_leaves_the_others_nothing_or_the_floor():
    belief, all_arms = wide(600), np.ones(600, np.bool_)
    listed = naive.naive_shortlist(belief.probability, belief.variance, all_arms, 20, 10)
    strict = Policy(Uniform(), floor=1e-4, shortlist=Shortlist(20, 10))
    out = strict.propensities(belief, all_arms)
    np.testing.assert_allclose(out, np.where(listed, 1 / 30, 0.0), rtol=0, atol=1e-12)
    loose = Policy(Uniform(), floor=1e-4, shortlist=Shortlist(20, 10, floor_others=True))
    out = loose.propensities(belief, all_arms)
    expected = np.where(listed, (1 - 570e-4) / 30, 1e-4)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-12)
    pulls = [loose.choose(belief, all_arms, i) for i in range(1, 2001)]
    outside = [pull for pull in pulls if not listed[pull.arm]]
    assert 60 < len(outside) < 180
    assert all(pull.floored and pull.propensity == 1e-4 for pull in outside)


def test_a_shortlist_ranks_its_own_and_keeps_the_best():
    belief, eligible = wide(600), np.arange(600) % 10 != 3
    short = Policy(SquareCB(), shortlist=Shortlist(20, 10)).choose(belief, eligible, 1)
    full = Policy(SquareCB()).choose(belief, eligible, 1)
    assert len(short.ranking) == 30
    assert short.ranking[:20].tolist() == full.ranking[:20].tolist()
    assert set(np.flatnonzero(short.propensities)) == set(short.ranking)


def test_a_shortlist_leaves_few_arms_alone():
    belief, eligible = wide(600), np.arange(600) < 500
    short, full = (Policy(SquareCB(), shortlist=s) for s in (Shortlist(), None))
    expected = full.propensities(belief, eligible)
    assert short.propensities(belief, eligible).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Budget(share=1.5), "share of a budget"),
        (lambda: Budget(cost=math.nan), "cost of a budget"),
        (lambda: ControlGroup(-0.1), "share of a control group"),
        (lambda: ControlGroup(0.1, fixed="tea"), "fixed must be a sequence"),
        (lambda: ControlGroup(0.1, fixed=["a", "a"]), "fixed arm 1"),
        (lambda: ControlGroup(0.1, fixed=[""]), "fixed arm 0"),
        (lambda: ControlGroup(0.1).holds(""), "customer's id, got ''"),
        (lambda: ControlGroup(0.1).holds(None), "customer's id, got None"),
        (lambda: Shortlist(best=0), "at least 1 best"),
        (lambda: Shortlist(uncertain=-1), "at least 1 best"),
        (lambda: Shortlist(best=600), "above must be at least"),
        (lambda: Policy(Greedy(), floor=1.5), "floor must be in"),
        (lambda: Policy(Greedy(), seed=-1), "seed must be in"),
        (lambda: Policy("greedy"), "explorer must be an Explorer"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_bad_limit_is_refused_by_name(build, message):
    with pytest.raises(LearnerError, match=message):
        build()
