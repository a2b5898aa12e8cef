"""Beliefs that stay beliefs: positive, finite, and no wider than the prior, whatever comes."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import BayesianRanker
from nextbest.learners.arm_weights import ArmWeights, Scales, as_experts
from nextbest.learners.kernels import bayes_learn

UPDATES = 10_000_000 if os.environ.get("NEXTBEST_STABILITY") == "long" else 100_000
EXPERTS = ((0.05, 0.0), (1.0, 1e-3), (1.0, 0.1))


def covariances(weights):
    return weights.root @ weights.root.swapaxes(-1, -2)


def assert_sound(weights):
    """Every belief is finite and positive; on average over a block it is within the prior."""
    for array in (weights.mean, weights.centre, weights.action_mean, weights.chances):
        assert np.isfinite(array).all()
    assert (weights.variance > 0.0).all()
    assert (weights.variance[:, 0] <= weights.prior[bayes_learn.SHARED_CATEGORY] * 1.0001).all()
    assert (weights.variance[:, 1:] <= weights.prior[bayes_learn.ARM_CATEGORY] * 1.0001).all()
    assert (weights.action_variance > 0.0).all()
    p = covariances(weights)
    assert np.isfinite(p).all()
    diagonal = np.einsum("seii->sei", p)
    assert (diagonal > 0.0).all()
    mean_prior = weights.prior[bayes_learn.ARM_NUMBER]
    assert (diagonal.mean(axis=2) <= mean_prior * 1.0001).all()
    assert weights.chances.sum() == pytest.approx(1.0, abs=1e-9)
    assert (weights.chances > 0.0).all()


def long_run(n, numbers, make_x, seed=0):
    """Learn n rewards in the kernel; return the weights."""
    weights = ArmWeights(as_experts(EXPERTS), Scales(1.0, 1.0, 1.0), 1e-4, numbers, 1)
    weights.grow(40, 4)
    rng = np.random.default_rng(seed)
    for start in range(0, n, 100_000):
        m = min(100_000, n - start)
        x = np.ones((m, 1 + numbers))
        x[:, 1:] = make_x(rng, m)
        rows = np.stack([rng.integers(0, 20, m), rng.integers(20, 40, m)], axis=1)
        rewards = (rng.random(m) < 0.3).astype(float)
        zeros = np.zeros((m, 2))
        steps = weights.learn_rows(
            rows, x, rng.normal(size=(m, 1)), rng.integers(0, 3, m), rewards, zeros
        )
        assert np.isfinite(steps).all()
    return weights


STREAMS = {
    "normal": lambda rng, m: rng.normal(size=(m, 4)),
    "constant": lambda rng, m: np.ones((m, 4)),
    "collinear": lambda rng, m: rng.normal(size=(m, 1)) * np.array([1.0, 2.0, -1.0, 1e-3]),
    "alternating": lambda rng, m: np.where(np.arange(m) % 2, 1.0, -1.0)[:, None] * np.ones(4),
    "one-at-a-time": lambda rng, m: np.eye(4)[rng.integers(0, 4, m)],
    "zero": lambda rng, m: np.zeros((m, 4)),
    "scales": lambda rng, m: rng.normal(size=(m, 4)) * np.array([1e-6, 1.0, 1e3, 1e6]),
}


@pytest.mark.timeout(3600 if UPDATES > 1_000_000 else 300)
@pytest.mark.parametrize("kind", STREAMS)
def test_long_streams_keep_beliefs_sound(kind):
    weights = long_run(UPDATES, 4, STREAMS[kind])
    assert_sound(weights)
    p = covariances(weights)[:4]
    np.testing.assert_array_equal(p, p.swapaxes(-1, -2))
    # Positive definite, up to the rounding of the largest direction.
    smallest = np.linalg.eigvalsh(p)[..., 0]
    assert (smallest > -1e-14 * np.abs(p).max()).all()
    assert (np.linalg.svd(weights.root[:4], compute_uv=False)[..., -1] > 0.0).all()


@pytest.mark.parametrize("scale", [1e-100, 1e-8, 1e8, 1e30, 1e100])
@pytest.mark.parametrize(
    "experts", [pytest.param(EXPERTS, id="three"), pytest.param(EXPERTS[1:2], id="one")]
)
def test_extreme_values_keep_beliefs_sound(scale, experts):
    ranker = BayesianRanker(
        ["a", "b"], numbers=["x", "y"], contexts=["c"], action_features=["f"], experts=experts
    )
    for i in range(400):
        size = scale if i % 7 else 1.0
        context = {"x": size * (-1) ** (i // 3), "y": size * (i % 3) / 2, "c": str(i % 4)}
        step = ranker.learn(context, [size * (-1) ** i], i % 2, float(i % 5 == 0))
        assert np.isfinite(step).all()
    assert_sound(ranker._weights)
    for part in ranker.belief({"x": 1.0}, [[1.0], [1.0]]):
        assert np.isfinite(part).all()


def test_one_outlier_does_not_ruin_a_model():
    """A value in the wrong unit, then the same again: the model finds back."""
    ranker = BayesianRanker(["a"], numbers=["x"])
    rng = np.random.default_rng(1)

    def learn(n):
        for _ in range(n):
            x = rng.normal()
            ranker.learn({"x": x}, None, 0, float(rng.random() < 1.0 / (1.0 + np.exp(-x))))

    learn(2000)
    for reward in (0.0, 1.0, 0.0):
        ranker.learn({"x": 1e30}, None, 0, reward)
    learn(2000)
    for x, expected in ((-2.0, 0.12), (2.0, 0.88)):
        assert ranker.belief({"x": x}).probability[0] == pytest.approx(expected, abs=0.25)


values = st.one_of(st.floats(-1e100, 1e100), st.sampled_from([0.0, 1.0, -1.0, 1e100, -1e-300]))


@given(
    rows=st.lists(
        st.tuples(values, values, st.sampled_from("ab"), values, st.floats(0, 1)),
        min_size=1,
        max_size=30,
    )
)
@settings(max_examples=60, deadline=None)
def test_whatever_comes_beliefs_stay_sound(rows):
    ranker = BayesianRanker(
        ["a", "b"], numbers=["x", "y"], contexts=["c"], action_features=["f"], experts=EXPERTS
    )
    for x, y, c, f, reward in rows:
        ranker.learn({"x": x, "y": y, "c": c}, [f], 0, reward)
        mean, variance, probability = ranker.belief({"x": x, "c": c}, [[f], [1.0]])
        assert np.isfinite(mean).all()
        assert (np.isfinite(variance) & (variance > 0.0)).all()
        assert ((probability >= 0.0) & (probability <= 1.0)).all()
    assert_sound(ranker._weights)


def test_forgetting_follows_a_change():
    def after_a_change(forgetting):
        ranker = BayesianRanker(["a"], numbers=["x"], experts=[(1.0, forgetting)])
        for i in range(4000):
            ranker.learn({"x": 1.0}, None, 0, float(i % 10 < (8 if i < 3600 else 2)))
        return ranker.belief({"x": 1.0}).probability[0]

    assert after_a_change(0.02) < 0.3
    assert after_a_change(0.0) > 0.6


def test_experts_tune_to_the_stream():
    """A law that changes favours experts that forget; one that stays those that do not."""

    def forgetting_weight(changes):
        ranker = BayesianRanker(["a"], contexts=["c"])
        rng = np.random.default_rng(2)
        for i in range(6000):
            p = 0.9 if (i // 300) % 2 and changes else 0.1
            ranker.learn({"c": "x"}, None, 0, float(rng.random() < p))
        forgets = [f > 0.0 for _, f in ranker.experts]
        return ranker.expert_weights[forgets].sum()

    assert forgetting_weight(changes=True) > 0.95
    assert forgetting_weight(changes=False) < 0.5


def test_an_expert_without_weight_has_no_say():
    """Without a share a weight can come down to 0; a surprise then leaves the others theirs."""
    weights = np.array([0.25, 0.0, 0.75])
    bayes_learn.reweigh(weights, np.array([-900.0, 0.0, -900.0]), 0.0)
    assert weights.tolist() == [0.25, 0.0, 0.75]
