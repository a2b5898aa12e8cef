"""Rankers and observations that the Bayesian ranker's tests share."""

import numpy as np
from hypothesis import strategies as st

from nextbest.learners import BayesianRanker

ARMS = ("bread", "milk", "eggs")
NUMBERS = ("age", "visits")
CONTEXTS = ("hour", "segment")
FEATURES = ("affinity", "recency")
NAMES = {"numbers": NUMBERS, "contexts": CONTEXTS, "action_features": FEATURES}
ONE = ((0.3, 1e-2),)
THREE = ((0.05, 0.0), (0.3, 1e-2), (1.0, 0.1))


def make(**settings):
    return BayesianRanker(ARMS, **{**NAMES, "experts": THREE, **settings})


def contexts():
    number = st.one_of(st.none(), st.integers(-3, 3), st.floats(-3, 3))
    category = st.one_of(st.none(), st.sampled_from("abcd"))
    return st.fixed_dictionaries(
        {}, optional={**dict.fromkeys(NUMBERS, number), **dict.fromkeys(CONTEXTS, category)}
    )


def observations(size=25):
    value = st.one_of(st.just(float("nan")), st.floats(-3, 3))
    features = st.lists(st.lists(value, min_size=2, max_size=2), min_size=3, max_size=3)
    reward = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
    offset = st.one_of(st.just((0.0, 0.0)), st.tuples(st.floats(-2, 2), st.floats(0, 2)))
    row = st.tuples(contexts(), features.map(np.array), st.integers(0, 2), reward, offset)
    return st.lists(row, min_size=1, max_size=size)


def stream(n, seed=0, arms=3):
    """Plain observations of a law that differs from arm to arm."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        context = {"age": rng.normal(), "visits": rng.normal(), "hour": "ab"[rng.integers(2)]}
        arm = int(rng.integers(arms))
        features = rng.normal(size=(arms, 2))
        logit = (arm - 1) * context["age"] + 0.5 * features[arm, 0] + (context["hour"] == "a") - 1.0
        reward = float(rng.random() < 1.0 / (1.0 + np.exp(-logit)))
        yield context, features, arm, reward
