"""A policy's propensities are those of its draws, and its log is enough to make them again."""

import json
import math

import numpy as np
import pytest

from nextbest.learners import LearnerError, Pull
from nextbest.learners.base import Belief
from nextbest.learners.kernels import squarecb
from nextbest.learners.policies import (
    Budget,
    ControlGroup,
    EpsilonGreedy,
    LinUCB,
    Policy,
    Shortlist,
    SquareCB,
    Thompson,
    Uniform,
)

K = 8
MEAN = np.array([-3.0, -2.5, -2.9, -2.0, -4.0, -2.2, -2.1, -3.3])
BELIEF = Belief(MEAN, np.linspace(0.02, 0.4, K), 1 / (1 + np.exp(-MEAN)))
ELIGIBLE = np.array([True, True, False, True, True, True, True, True])
POLICIES = {
    "uniform": Policy(Uniform(), seed=1),
    "epsilon": Policy(EpsilonGreedy(0.2), seed=2),
    "squarecb": Policy(SquareCB(5.0, exponent=0.0), seed=3),
    "thompson": Policy(Thompson(), seed=4),
    "ucb-floor": Policy(LinUCB(), floor=0.03, seed=5),
    "thompson-limits": Policy(Thompson(), floor=0.02, budget=Budget(0.3, 0.1), seed=6),
    "shortlist": Policy(Uniform(), floor=0.01, shortlist=Shortlist(2, 2, 4, True), seed=7),
    "control": Policy(LinUCB(), control=ControlGroup(1.0), seed=8),
}


def chi_squared(seen, expected):
    """The statistic over the arms that can be drawn, and a bound 5 deviations above its mean."""
    can = expected > 0
    statistic = ((seen[can] - expected[can]) ** 2 / expected[can]).sum()
    df = can.sum() - 1
    return statistic, df + 5 * math.sqrt(2 * df)


@pytest.mark.parametrize("name", POLICIES)
def test_arms_are_chosen_as_often_as_their_propensity_says(name):
    policy, n = POLICIES[name], 100_000
    expected = policy.propensities(BELIEF, ELIGIBLE, customer="anna")
    draws = [squarecb.uniform(policy.seed, i) for i in range(1, n + 1)]
    seen = np.bincount([squarecb.sample(expected, draw) for draw in draws], minlength=K)
    statistic, bound = chi_squared(seen, expected * n)
    assert statistic < bound
    assert not seen[expected == 0].any()
    for i in (1, 2, 3, 99_999):  # the whole way chooses the same
        pull = policy.choose(BELIEF, ELIGIBLE, i, customer="anna")
        assert pull.draw == draws[i - 1]
        assert pull.arm == squarecb.sample(pull.propensities, draws[i - 1])


@pytest.mark.parametrize("name", ["squarecb", "thompson-limits", "shortlist"])
def test_whole_pulls_have_the_frequencies_of_their_own_propensities(name):
    """With another belief in each decision: the sums of propensities are the expected counts."""
    policy, n = POLICIES[name], 4000
    rng = np.random.default_rng(5)
    seen, expected, variance = np.zeros(K), np.zeros(K), np.zeros(K)
    for i in range(1, n + 1):
        mean = MEAN + rng.normal(0, 0.3, K)
        belief = Belief(mean, BELIEF.variance, 1 / (1 + np.exp(-mean)))
        pull = policy.choose(belief, ELIGIBLE, i)
        seen[pull.arm] += 1
        expected += pull.propensities
        variance += pull.propensities * (1 - pull.propensities)
    assert (np.abs(seen - expected) <= 4 * np.sqrt(variance)).all()


@pytest.mark.parametrize("name", POLICIES)
def test_a_log_makes_every_decision_again(name):
    """From the settings, the seed and the number, in any order and with another policy object."""
    policy = POLICIES[name]
    logged = [policy.choose(BELIEF, ELIGIBLE, i, customer="anna") for i in range(1, 40)]
    for pull in reversed(logged):
        assert pull.draw == squarecb.uniform(policy.seed, pull.decision)
        again = policy.choose(BELIEF, ELIGIBLE, pull.decision, customer="anna")
        for one, other in zip(pull, again, strict=True):
            assert np.array_equal(one, other)
        assert pull.propensity == pull.propensities[pull.arm]


def test_settings_are_plain_and_every_one_changes_the_version():
    policies = [
        *POLICIES.values(),
        Policy(Thompson(), floor=0.02, budget=Budget(0.3, 0.1), seed=7),
        Policy(Thompson(), floor=0.03, budget=Budget(0.3, 0.1), seed=6),
        Policy(Thompson(0.5), floor=0.02, budget=Budget(0.3, 0.1), seed=6),
        Policy(Thompson(), floor=0.02, budget=Budget(0.3, 0.2), seed=6),
        Policy(LinUCB(), control=ControlGroup(1.0, "salt"), seed=8),
        Policy(LinUCB(), control=ControlGroup(1.0, fixed=["a"]), seed=8),
    ]
    assert len({policy.version for policy in policies}) == len(policies)
    for policy in policies:
        assert json.loads(json.dumps(policy.settings))["seed"] == policy.seed
    assert Policy(SquareCB(math.inf)).settings["explorer"]["gamma"] == "inf"
    assert Policy(Uniform(), seed=1).version == POLICIES["uniform"].version
    assert POLICIES["uniform"].choose(BELIEF, ELIGIBLE, 1).version == POLICIES["uniform"].version


def test_what_was_decided_cannot_be_changed():
    pull = POLICIES["squarecb"].choose(BELIEF, ELIGIBLE, 1)
    for part in (pull.propensities, pull.scores):
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 1.0


def test_a_pull_says_whether_it_explored():
    pulls = [POLICIES["squarecb"].choose(BELIEF, ELIGIBLE, i) for i in range(1, 200)]
    assert {pull.explored for pull in pulls} == {True, False}
    for pull in pulls:
        assert pull.explored == (pull.arm != 3)  # the best
        assert pull.ranking[0] == 3


def test_old_pulls_have_the_new_fields():
    scores = np.array([0.4, 0.6])
    pull = Pull(0, np.array([1, 0]), scores, np.array([0.5, 0.5]), 0.5, 0.1, 1)
    assert (pull.control, pull.floored, pull.version, pull.explored) == (False, False, "", True)


def test_a_control_group_needs_the_customer():
    with pytest.raises(LearnerError, match="customer's id, got None"):
        POLICIES["control"].choose(BELIEF, ELIGIBLE, 1)


@pytest.mark.parametrize("number", [0, -1, 2**63], ids=str)
def test_a_decision_without_a_number_is_refused(number):
    with pytest.raises(LearnerError, match=f"numbered from 1, got {number}"):
        POLICIES["uniform"].choose(BELIEF, ELIGIBLE, number)


@pytest.mark.parametrize("name", ["squarecb", "thompson-limits", "ucb-floor"])
def test_the_log_values_another_policy_without_bias(name):
    """And with other propensities than those of the draw it would not."""
    behaviour, target = POLICIES[name], Policy(EpsilonGreedy(0.5))
    values, n = np.linspace(0.1, 0.6, K), 10_000
    rng = np.random.default_rng(11)
    right, wrong, truth = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        mean = MEAN + rng.normal(0, 0.3, K)
        belief = Belief(mean, BELIEF.variance, 1 / (1 + np.exp(-mean)))
        pull = behaviour.choose(belief, ELIGIBLE, i + 1)
        reward = rng.random() < values[pull.arm]
        wanted = target.propensities(belief, ELIGIBLE)
        right[i] = wanted[pull.arm] / pull.propensity * reward
        wrong[i] = wanted[pull.arm] * ELIGIBLE.sum() * reward
        truth[i] = wanted @ values
    for weighted, unbiased in ((right, True), (wrong, False)):
        error = abs((weighted - truth).mean())
        assert (error < 3.5 * (weighted - truth).std() / math.sqrt(n)) == unbiased
