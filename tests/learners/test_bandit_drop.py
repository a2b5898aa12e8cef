"""A bandit that begins anew when rewards drop, and a bandit as bytes."""

import subprocess
import sys

import numpy as np
import pytest
from river import linear_model

from nextbest.learners import (
    BayesianRanker,
    LearnerError,
    LogisticRegression,
    RewardDrop,
    SegmentOfOne,
    load,
    save,
)
from nextbest.learners.checkpoint import pack, unpack
from nextbest.learners.policies import (
    Bandit,
    ClassifierArms,
    EpsilonGreedy,
    Greedy,
    Policy,
    SquareCB,
    Thompson,
)
from tests.learners.worlds import PlainArms

ARMS = ["tea", "coffee", "juice"]


def made(drop=None, **more):
    model = BayesianRanker(ARMS, contexts=["hour"], experts=[(0.3, 0.0)])
    return Bandit(model, Policy(SquareCB(200.0), floor=0.01, seed=5), drop=drop, **more)


def live(bandit, start, stop):
    """The arm that is liked changes at decision 3000, and nobody is told; return the rewards."""
    rewards = []
    for t in range(start, stop):
        rng = np.random.default_rng(t)
        context = {"hour": "am" if rng.random() < 0.5 else "pm"}
        arm = bandit.pull(context).arm
        chance = 0.6 if arm == (0 if t < 3000 else 2) else 0.05
        rewards.append(float(rng.random() < chance))
        bandit.update(context, None, arm, rewards[-1])
    return rewards


def test_after_an_alarm_model_and_exploration_are_those_of_a_new_bandit():
    bandit = made(RewardDrop())
    rewards = live(bandit, 0, 3000)
    assert (bandit.drop.alarms, bandit.began) == (0, 0)
    before = bandit.version
    while not bandit.drop.alarms:
        rewards += live(bandit, len(rewards), len(rewards) + 1)
    assert 3000 < len(rewards) < 3500
    assert bandit.began == bandit.decisions == len(rewards) == bandit.updates
    assert bandit.model.updates == 0
    assert bandit.version != before
    new = made()
    pull, other = bandit.pull({"hour": "am"}), new.pull({"hour": "am"})
    assert pull.propensities.tolist() == other.propensities.tolist()
    assert (pull.exploration, other.exploration) == (1, 1)
    assert pull.decision == len(rewards) + 1
    assert pull.draw != other.draw  # draws are not told twice


def test_it_earns_again_sooner_than_without():
    bandit, plain = made(RewardDrop()), made()
    with_drop, without = live(bandit, 0, 5000), live(plain, 0, 5000)
    assert with_drop[:3000] == without[:3000]
    assert bandit.drop.alarms == 1
    assert np.mean(with_drop[3500:]) > np.mean(without[3500:]) + 0.1


def test_what_is_expected_is_what_was_believed_before():
    bandit = made(RewardDrop(warm_up=10), reward_range=(0.0, 10.0))
    hoped = total = 0.0
    for i in range(60):
        context = {"hour": "am" if i % 3 else "pm"}
        pull = bandit.pull(context)
        hoped += pull.scores[pull.arm]
        total += float(i % 2)
        bandit.update(context, None, pull.arm, 10.0 * (i % 2))
    assert bandit.drop.expected == pytest.approx(hoped, rel=1e-12)
    assert bandit.drop.total == total


def test_arms_keep_their_places_and_names():
    bandit = made(RewardDrop(part=0.5, threshold=1e-3, warm_up=5))
    bandit.add_arm("milk")
    bandit.retire_arm("coffee")
    for i in range(30):
        bandit.update({}, None, "tea", float(i < 15))
    assert bandit.drop.alarms > 0
    assert list(bandit.arms) == ["tea", "", "juice", "milk"]
    assert bandit.pull({}).propensities[1] == 0.0
    assert bandit.add_arm("cocoa") == 1


def _classified(shared):
    models = ClassifierArms(linear_model.LogisticRegression(), ARMS, shared=False)
    if shared:
        models = ClassifierArms(LogisticRegression(), ARMS, shared=True)
    models.retire_arm("coffee")
    return models


@pytest.mark.parametrize(
    "model",
    [
        BayesianRanker(ARMS, numbers=["x"]),
        _classified(shared=False),
        _classified(shared=True),
    ],
    ids=["bayesian", "classifiers", "one-classifier"],
)
def test_a_model_anew_has_learned_nothing(model):
    context = {"x": 1.0}
    new = model.belief(context)
    for i in range(20):
        model.learn(context, None, 2 * (i % 2), float(i % 2))
    assert model.belief(context).probability.tolist() != new.probability.tolist()
    again = model.anew()
    assert list(again.arms) == list(model.arms)
    assert again.live.tolist() == model.live.tolist()
    for part, expected in zip(again.belief(context), new, strict=True):
        assert part.tolist() == expected.tolist()
    learned = np.array(model.belief(context)).tobytes()
    again.learn(context, None, 0, 1.0)
    assert np.array(model.belief(context)).tobytes() == learned


def test_segments_begin_anew_too():
    one = SegmentOfOne(BayesianRanker(ARMS), ["region"], forgetting=0.1)
    fresh = one.to_bytes()
    block = one.learn({"region": "north"}, None, 1, 1.0, person=b"")
    again = one.anew()
    assert again.to_bytes() == fresh
    assert again.belief({"region": "north"}, None, block).mean[1] > 0.0
    with pytest.raises(LearnerError, match="PlainArms cannot begin anew"):
        SegmentOfOne(PlainArms(ARMS)).anew()


def test_a_model_that_cannot_begin_anew_is_refused_at_once():
    with pytest.raises(LearnerError, match="PlainArms cannot begin anew"):
        Bandit(PlainArms(ARMS), Greedy(), drop=RewardDrop())
    with pytest.raises(LearnerError, match="SegmentOfOne cannot begin anew"):
        Bandit(SegmentOfOne(BayesianRanker(ARMS)), Greedy(), drop=RewardDrop())


@pytest.mark.parametrize("cut", [0, 1, 2990, 3300, 3600])
def test_a_restored_bandit_continues_bit_for_bit(cut):
    whole, first = made(RewardDrop()), made(RewardDrop())
    rewards = live(whole, 0, 3700)
    live(first, 0, cut)
    data = first.to_bytes()
    second = Bandit.from_bytes(data, BayesianRanker.from_bytes, first.policy)
    assert second.to_bytes() == data
    assert live(second, cut, 3700) == rewards[cut:]
    assert second.to_bytes() == whole.to_bytes()
    assert second.drop.alarms == 1


def test_another_process_continues_bit_for_bit(tmp_path):
    bandit = made(RewardDrop())
    live(bandit, 0, 50)
    save(tmp_path / "before", bandit.to_bytes())
    code = (
        "import sys\n"
        "from nextbest.learners import Bandit, BayesianRanker, Policy, load, save\n"
        "from nextbest.learners.policies import SquareCB\n"
        "policy = Policy(SquareCB(200.0), floor=0.01, seed=5)\n"
        "bandit = Bandit.from_bytes(load(sys.argv[1]), BayesianRanker.from_bytes, policy)\n"
        "for i in range(50):\n"
        "    arm = bandit.pull({'hour': 'pm'}).arm\n"
        "    bandit.update({'hour': 'pm'}, None, arm, float(arm == 1))\n"
        "save(sys.argv[2], bandit.to_bytes())"
    )
    paths = [tmp_path / "before", tmp_path / "after"]
    subprocess.run([sys.executable, "-c", code, *paths], check=True)
    for _ in range(50):
        arm = bandit.pull({"hour": "pm"}).arm
        bandit.update({"hour": "pm"}, None, arm, float(arm == 1))
    assert load(tmp_path / "after") == bandit.to_bytes()


def test_numbers_handed_out_elsewhere_begin_anew_after_the_largest():
    bandit = made(RewardDrop(part=0.5, threshold=1e-3, warm_up=5))
    bandit.pull({}, decision=700)
    for i in range(30):
        bandit.update({}, None, "tea", float(i < 15))
    assert bandit.began == 700
    assert bandit.pull({}, decision=702).exploration == 2
    assert bandit.pull({}, decision=12).exploration == 1
    with pytest.raises(LearnerError, match="numbered from 1, got 0"):
        bandit.pull({}, decision=0)


def changed(**values):
    data = made(RewardDrop()).to_bytes()
    known, arrays = unpack(data, "Bandit")
    return pack("Bandit", {**known, **values}, arrays)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"decisions": -1}, "decisions -1"),
        ({"began": 1.5}, "began 1.5"),
        ({"latest": True}, "latest True"),
        ({"reward_range": [1.0, 1.0]}, "reward_range"),
        ({"reward_range": [1.0]}, "Bandit"),
        ({"drop": {"part": 2.0}}, "part must be"),
        ({"drop": {"never": 2.0}}, "Bandit"),
        ({"policy": "0"}, "policy '0'"),
    ],
    ids=str,
)
def test_bytes_of_what_is_no_bandit_are_refused(values, message):
    with pytest.raises(LearnerError, match=message):
        Bandit.from_bytes(changed(**values), BayesianRanker.from_bytes, made().policy)


def test_another_policy_is_refused_by_name():
    for policy in (Policy(Thompson()), EpsilonGreedy()):
        with pytest.raises(LearnerError, match="give it one of the same settings"):
            Bandit.from_bytes(made().to_bytes(), BayesianRanker.from_bytes, policy)


def test_a_model_without_bytes_is_named():
    model = ClassifierArms(linear_model.LogisticRegression(), ARMS)
    with pytest.raises(LearnerError, match="ClassifierArms has no to_bytes"):
        Bandit(model, Greedy()).to_bytes()
