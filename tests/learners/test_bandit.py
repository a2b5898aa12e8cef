"""A bandit: decide, learn, arms that come and go, and clear words for what cannot be used."""

import math

import numpy as np
import pytest
from river import linear_model, naive_bayes, tree

from nextbest.learners import ADFLogisticRegression, BayesianRanker, LearnerError
from nextbest.learners.policies import (
    Bandit,
    ClassifierArms,
    ControlGroup,
    EpsilonGreedy,
    Greedy,
    LinUCB,
    Policy,
    Shortlist,
    SquareCB,
    Thompson,
)

ARMS = ["tea", "coffee", "juice"]


def bandit(policy=None, arms=ARMS, features=(), **settings):
    model = ClassifierArms(ADFLogisticRegression(), arms, features)
    return Bandit(model, policy or Policy(SquareCB(20.0), floor=0.01, seed=5), **settings)


def live(chosen, decisions, seed=0):
    """Mornings want coffee, evenings tea; returns the rewards."""
    rng = np.random.default_rng(seed)
    rewards = []
    for _ in range(decisions):
        hour = "morning" if rng.random() < 0.5 else "evening"
        arm = chosen.pull({"hour": hour}).arm
        liked = {"morning": "coffee", "evening": "tea"}[hour] == chosen.arms[arm]
        reward = float(rng.random() < (0.6 if liked else 0.1))
        chosen.update({"hour": hour}, None, arm, reward)
        rewards.append(reward)
    return rewards


@pytest.mark.parametrize(
    "explorer",
    [SquareCB(20.0), Thompson(), LinUCB(), EpsilonGreedy(0.1)],
    ids=lambda e: type(e).__name__,
)
def test_every_explorer_learns_what_to_do_in_which_context(explorer):
    rewards = live(bandit(Policy(explorer, seed=5)), 1500)
    assert np.mean(rewards[:50]) < 0.5
    assert np.mean(rewards[-500:]) > 0.5  # 0.6 is the best, a context-free one gets 0.35


@pytest.mark.parametrize(
    "classifier",
    [linear_model.LogisticRegression(), naive_bayes.BernoulliNB(), tree.HoeffdingTreeClassifier()],
    ids=lambda c: type(c).__name__,
)
def test_any_classifier_of_river_is_a_model(classifier):
    model = ClassifierArms(classifier, ARMS)
    chosen = Bandit(model, Policy(SquareCB(20.0), seed=5))
    rng = np.random.default_rng(0)
    rewards = []
    for _ in range(1000):
        context = {"morning": float(rng.random() < 0.5), "evening": None}
        arm = chosen.pull(context).arm
        reward = float(rng.random() < (0.6 if arm == context["morning"] else 0.1))
        chosen.update(context, None, arm, reward)
        rewards.append(reward)
    assert np.mean(rewards[-300:]) > 0.45


def test_equal_bandits_do_the_same_bit_for_bit():
    one, other = bandit(), bandit()
    assert live(one, 200) == live(other, 200)
    a, b = one.pull({"hour": "noon"}), other.pull({"hour": "noon"})
    assert a.propensities.tolist() == b.propensities.tolist()
    assert (a.draw, a.arm, a.version) == (b.draw, b.arm, b.version)


def test_decisions_are_numbered_and_can_be_made_again():
    chosen = bandit()
    pulls = [chosen.pull({}) for _ in range(5)]
    assert [pull.decision for pull in pulls] == [1, 2, 3, 4, 5]
    again = chosen.pull({}, decision=2)
    assert (again.arm, again.draw) == (pulls[1].arm, pulls[1].draw)
    assert chosen.decisions == 5
    assert chosen.pull({}).decision == 6


def test_the_version_follows_policy_and_model():
    chosen = bandit()
    before = chosen.pull({}).version
    assert chosen.pull({}).version == before == chosen.version
    chosen.update({}, None, "tea", 1.0)
    assert chosen.pull({}).version not in (before, bandit(Greedy()).version)
    assert chosen.version.startswith(chosen.policy.version)


def test_only_eligible_arms_are_drawn_and_ranked():
    chosen = bandit()
    for eligible in (["juice", "tea"], np.array([True, False, True]), [True, False, True]):
        pulls = [chosen.pull({}, eligible=eligible) for _ in range(50)]
        assert {pull.arm for pull in pulls} == {0, 2}
        assert all(sorted(pull.ranking) == [0, 2] for pull in pulls)
        assert all(pull.propensities[1] == 0.0 for pull in pulls)


def test_arms_come_and_go():
    chosen = bandit(Policy(EpsilonGreedy(0.9), seed=1))
    chosen.update({}, None, "coffee", 1.0)
    assert chosen.add_arm("water") == 3
    chosen.retire_arm("coffee")
    assert chosen.arms == ("tea", "", "juice", "water")
    assert {chosen.pull({}).arm for _ in range(100)} == {0, 2, 3}
    assert {chosen.pull({}, eligible=np.ones(4, bool)).arm for _ in range(100)} == {0, 2, 3}
    assert chosen.add_arm("cocoa") == 1  # the free place, and nothing of the coffee
    assert chosen.pull({}).scores[1] == 0.5


def test_a_retired_arm_learns_nothing_more():
    chosen = bandit()
    chosen.retire_arm("coffee")
    for arm in ("coffee", 1):
        with pytest.raises(LearnerError, match=f"unknown arm {arm!r}"):
            chosen.update({}, None, arm, 1.0)
    assert chosen.updates == 1


class Fixed:
    """A model of arms that are what they are."""

    arms = ("a", "b")
    live = np.ones(2, np.bool_)


def test_fixed_arms_stay():
    chosen = Bandit(Fixed(), Greedy())
    for change in (chosen.add_arm, chosen.retire_arm):
        with pytest.raises(LearnerError, match="the arms of a Fixed are fixed"):
            change("a")


@pytest.mark.parametrize(
    ("bounds", "reward", "scaled"),
    [((0, 1), 0.25, 0.25), ((-1, 3), 0.0, 0.25), ((0, 0.1), 0.1, 1.0), ((5, 10), 5.0, 0.0)],
    ids=str,
)
def test_rewards_are_scaled_to_the_range(bounds, reward, scaled):
    assert bandit(reward_range=bounds).scaled(reward) == scaled


@pytest.mark.parametrize("reward", [-0.001, 20.001, math.nan, math.inf], ids=str)
def test_a_reward_outside_of_the_range_is_refused(reward):
    chosen = bandit(reward_range=(0, 20))
    with pytest.raises(LearnerError, match=r"reward must be in \[0, 20\], got"):
        chosen.update({}, None, "tea", reward)
    assert chosen.updates == 0


def test_a_reward_at_the_ends_of_the_range_is_learned():
    scaled = bandit(reward_range=(-10, 10))
    plain = bandit()
    for reward, same in ((10.0, 1.0), (-10.0, 0.0)):
        scaled.update({"hour": "noon"}, None, "tea", reward)
        plain.update({"hour": "noon"}, None, "tea", same)
    ours, theirs = (b.pull({"hour": "noon"}).scores.tolist() for b in (scaled, plain))
    assert ours == theirs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eligible": []}, "no arm is eligible"),
        ({"eligible": np.zeros(3, bool)}, "no arm is eligible"),
        ({"eligible": ["tea", "milk"]}, "unknown arm 'milk' among the eligible"),
        ({"eligible": [True]}, r"names or bool\[3\], got bool\[1\]"),
        ({"eligible": [0, 1, 1]}, r"names or bool\[3\], got int64\[3\]"),
        ({"eligible": ["tea", 1]}, "unknown arm 1 among the eligible"),
        ({"eligible": "tea"}, "unknown arm 't' among the eligible"),
        ({"decision": 0}, "numbered from 1, got 0"),
        ({"features": [["x"]]}, "features must be numbers"),
        ({"features": np.zeros((3, 1))}, r"features must be float64\(3, 0\), got \(3, 1\)"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_pull_that_cannot_be_made_is_refused_and_counts_nothing(arguments, message):
    chosen = bandit()
    with pytest.raises(LearnerError, match=message):
        chosen.pull({}, **arguments)
    assert chosen.decisions == 0


@pytest.mark.parametrize("arm", ["milk", "", 3, -1], ids=repr)
def test_an_unknown_arm_is_refused_by_name(arm):
    chosen = bandit()
    with pytest.raises(LearnerError, match=f"unknown arm {arm!r}"):
        chosen.update({}, None, arm, 1.0)


@pytest.mark.parametrize("bounds", [(1, 0), (0, 0), (0, math.inf), (math.nan, 1)], ids=str)
def test_a_range_of_nothing_is_refused(bounds):
    with pytest.raises(LearnerError, match="reward_range must be"):
        bandit(reward_range=bounds)


def test_control_customers_are_flagged_and_never_meet_the_model():
    group = ControlGroup(0.3, "spring", fixed=["juice"])
    chosen = bandit(Policy(Greedy(), control=group, seed=2))
    for _ in range(20):
        chosen.update({}, None, "tea", 1.0)
    for i in range(60):
        pull = chosen.pull({}, customer=f"c{i}")
        assert pull.control == group.holds(f"c{i}")
        assert chosen.arms[pull.arm] == ("juice" if pull.control else "tea")
    with pytest.raises(LearnerError, match="needs the customer's id"):
        chosen.pull({})


def test_many_arms_are_decided_from_a_shortlist():
    names = [f"arm {i}" for i in range(600)]
    policy = Policy(SquareCB(), shortlist=Shortlist(10, 5), seed=2)
    pull = bandit(policy, names).pull({})
    assert np.count_nonzero(pull.propensities) == len(pull.ranking) == 15


@pytest.mark.parametrize("explorer", [SquareCB(50.0), Thompson(0.3)], ids=["squarecb", "thompson"])
def test_the_bayesian_ranker_is_a_model(explorer):
    """With rewards of every size, scaled, and an arm that appears while it learns."""
    ranker = BayesianRanker(ARMS, contexts=["hour"], numbers=["age"], experts=[(0.3, 0.0)])
    chosen = Bandit(ranker, Policy(explorer, floor=0.01, seed=9), reward_range=(0.0, 50.0))
    rng = np.random.default_rng(3)
    worth = {"tea": 5.0, "coffee": 15.0, "juice": 10.0, "water": 45.0}
    seen = []
    for i in range(600):
        if i == 300:
            chosen.add_arm("water")
            chosen.retire_arm("tea")
        context = {"hour": rng.choice(["noon", "night"]).item(), "age": rng.normal()}
        arm = chosen.arms[chosen.pull(context).arm]
        chosen.update(context, None, arm, min(worth[arm] * rng.uniform(0.5, 1.1), 50.0))
        seen.append(arm)
    assert seen[200:300].count("coffee") > 60
    assert seen[500:].count("water") > 80
    assert "tea" not in seen[300:]


def test_action_features_reach_the_model():
    chosen = bandit(Policy(EpsilonGreedy(0.3), seed=1), features=["affinity"])
    rng = np.random.default_rng(2)
    for _ in range(300):
        features = rng.normal(size=(3, 1))
        arm = chosen.pull({}, features).arm
        chosen.update({}, features, arm, float(features[arm, 0] > 0))
    low, high, none = chosen.pull({}, [[-2.0], [2.0], [math.nan]]).scores
    assert low < 0.3 < none < 0.7 < high
