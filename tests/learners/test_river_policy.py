"""Our bandits in River's own tools."""

import random
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from river import bandit, linear_model, stats

from nextbest.learners import ADFLogisticRegression, LearnerError
from nextbest.learners.policies import (
    ClassifierArms,
    ControlGroup,
    Greedy,
    Policy,
    SquareCB,
    Thompson,
)
from nextbest.learners.policies.river_policy import BanditPolicy, ContextualBanditPolicy


def plain(explorer=None, arms=(), **settings):
    model = ClassifierArms(ADFLogisticRegression(), arms)
    return BanditPolicy(model, Policy(explorer or Thompson(), seed=4), **settings)


def contextual(**settings):
    model = ClassifierArms(linear_model.LogisticRegression(), [])
    return ContextualBanditPolicy(model, Policy(SquareCB(20.0), seed=4), **settings)


def history(n, seed=1):
    """A log of random choices: mornings want coffee, evenings tea."""
    rng = random.Random(seed)
    for _ in range(n):
        morning, arm = rng.random() < 0.5, rng.choice(["tea", "coffee"])
        liked = (arm == "coffee") == morning
        reward = float(rng.random() < (0.8 if liked else 0.1))
        yield ["tea", "coffee"], {"morning": float(morning)}, arm, reward


def test_evaluate_runs_it_beside_rivers_own_and_it_wins():
    env = gymnasium.make("river_bandits/CandyCaneContest-v0", max_episode_steps=200)
    policies = [plain(), bandit.EpsilonGreedy(0.1, seed=1), bandit.RandomPolicy(seed=1)]
    trace = list(bandit.evaluate(policies, env, n_episodes=2, seed=42))
    assert len(trace) == 3 * 2 * 200
    total = [sum(s["reward"] for s in trace if s["policy_idx"] == i) for i in range(3)]
    assert total[0] > max(total[1:])
    assert policies[0].bandit.updates == 0  # each episode had a clone


def test_evaluate_offline_replays_a_log():
    policy = contextual()
    reward, used = bandit.evaluate_offline(policy, history(3000), stats.Mean())
    assert used + len(["tea", "coffee"]) == policy.bandit.updates > 1200  # arms count too
    assert reward.get() > 0.7  # 0.45 is what the log had
    context_free, _ = bandit.evaluate_offline(plain(), history(3000), stats.Mean())
    assert context_free.get() < 0.5


def test_a_clone_begins_afresh_and_does_the_same():
    first = plain(reward_range=(0, 2), arms=["0"])
    clone = first.clone()
    arms = []
    for policy in (first, clone, first.clone()):
        arms.append([])
        for _ in range(60):
            arm = policy.pull(range(4))
            policy.update(arm, 2.0 * (arm == 2))
            arms[-1].append(arm)
    assert arms[0] == arms[1] == arms[2]
    assert clone.reward_range == (0, 2)


def test_the_last_pull_has_the_exact_propensity():
    policy = contextual()
    assert policy.last is None
    arm = policy.pull(["tea", "coffee"], context={"morning": 1.0})
    assert policy.bandit.arms[policy.last.arm] == arm
    assert policy.last.propensities.tolist() == [0.5, 0.5]


def test_arms_are_those_that_are_offered():
    policy = plain()
    assert policy.pull([7]) == 7
    assert {policy.pull([1, 2]) for _ in range(40)} == {1, 2}
    assert policy.pull([np.int64(2)]) == 2
    assert policy.bandit.arms == ("7", "1", "2")
    policy.update(9, 1.0)  # one that was never offered
    assert policy.bandit.arms[3] == "9"


def test_policies_load_without_what_rivers_bandits_bring():
    code = (
        "import sys, nextbest.learners.policies; "
        "print({'gymnasium', 'pandas', 'sqlalchemy', 'river.bandit'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_river_prints_what_it_has_seen():
    policy = plain()
    for arm in (1, 1, 2):
        policy.update(arm, 1.0)
    lines = repr(policy).splitlines()
    assert "Arm ID" in lines[0]
    assert policy.ranking


def test_without_context_a_contextual_one_still_chooses():
    policy = contextual()
    assert policy.pull(["tea"]) == "tea"
    policy.update("tea", None, 1.0)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: plain().pull([]), "no arm is eligible"),
        (lambda: plain().pull([1, "1"]), "arm ids '1' and 1 have the same name"),
        (lambda: plain().pull([1.5]), "integer or a string, got 1.5"),
        (lambda: plain().update(1, 1.5), "reward must be in"),
        (
            lambda: BanditPolicy(
                ClassifierArms(ADFLogisticRegression(), []),
                Policy(Greedy(), control=ControlGroup(0.1)),
            ),
            "no control group",
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_river_cannot_have_is_refused(use, message):
    with pytest.raises(LearnerError, match=message):
        use()
