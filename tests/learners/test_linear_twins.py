"""The linear kernels against their plain-Python twins, on random rows."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import AdPredictor, Columns, LogisticRegression, TabularLogisticRegression
from nextbest.learners.kernels import adpredictor, linear
from tests.learners.streams import observations
from tests.naive.linear import NaiveAdPredictor, NaiveLogistic

OPTIMIZERS = (
    {"optimizer": "sgd", "lr": 0.1, "l2": 0.0},
    {"optimizer": "sgd", "lr": 0.02, "l2": 0.3},  # large steps make much of rounding errors
    {"optimizer": "adagrad", "lr": 0.2, "l2": 0.1},
    {"optimizer": "ftrl", "l2": 1.0},
    {"optimizer": "ftrl", "l2": 0.0, "l1": 0.5},
    {"optimizer": "ftrl-proximal", "l2": 1.0},
    {"optimizer": "ftrl-proximal", "l2": 0.0, "l1": 0.5},
)
IDS = [f"{p['optimizer']}-{i}" for i, p in enumerate(OPTIMIZERS)]
# Numbers on a grid: a feature is either constant to the last bit or varies by more than rounding.
GRID = st.integers(-40, 40).map(lambda i: i / 8)


@pytest.mark.parametrize("params", OPTIMIZERS, ids=IDS)
@pytest.mark.parametrize("scaled", [False, True], ids=["plain", "scaled"])
@given(stream=observations(numbers=GRID))
@settings(max_examples=30, deadline=None)
def test_a_regression_equals_its_twin(scaled, params, stream):
    model = (TabularLogisticRegression if scaled else LogisticRegression)(**params)
    twin = NaiveLogistic(**params, scaled=scaled)
    for i, (x, y) in enumerate(stream):
        assert model.predict_proba_one(x)[True] == pytest.approx(twin.predict(x), abs=1e-9)
        w = 0.5 + i % 3
        model.learn_one(x, y, w)
        twin.learn(x, y, w)
    assert model.weights == pytest.approx(twin.weight, abs=1e-9)
    assert model.intercept == pytest.approx(twin.intercept, abs=1e-9)


@pytest.mark.parametrize("epsilon", [0.0, 0.05, 0.9])
@given(stream=observations(numbers=GRID))
@settings(max_examples=40, deadline=None)
def test_adpredictor_equals_its_twin(epsilon, stream):
    model = AdPredictor(beta=0.5, prior_probability=0.2, epsilon=epsilon)
    twin = NaiveAdPredictor(0.5, -0.8416212335729142, epsilon)
    for x, y in stream:
        assert model.predict_proba_one(x)[True] == pytest.approx(twin.predict(x), abs=1e-9)
        model.learn_one(x, y)
        twin.learn(x, y)
    means = {k: m for k, (m, _) in twin.belief.items() if k is not None}
    assert {k: m for k, m in model.means.items() if k in means} == pytest.approx(means, abs=1e-9)
    variances = {k: v for k, (_, v) in twin.belief.items() if k is not None}
    ours = {k: v for k, v in model.variances.items() if k in variances}
    assert ours == pytest.approx(variances, abs=1e-9)


def test_published_ftrl_zeroes_a_weight_within_l1_and_rivers_keeps_it():
    """After one label of each kind z is -.05: within l1."""
    published = LogisticRegression("ftrl-proximal", l1=0.1, intercept_lr=0.0)
    rivers = LogisticRegression("ftrl", l1=0.1, intercept_lr=0.0)
    for model in (published, rivers):
        model.learn_one({"a": 1.0}, True)
        model.learn_one({"a": 1.0}, False)
    assert published.weights == {"a": 0.0}
    assert rivers.weights == {"a": pytest.approx(0.4 / 31.0)}


def test_published_ftrl_is_algorithm_1_worked_by_hand():
    """alpha .5, beta 1, l1 .1, l2 1; x = 2, y = 1: p = .5, g = -1, sigma = 2, z = -1, n = 1."""
    model = LogisticRegression("ftrl-proximal", alpha=0.5, l1=0.1, l2=1.0, intercept_lr=0.0)
    model.learn_one({"a": 2.0}, True)
    assert model.weights["a"] == pytest.approx(0.9 / 5.0, abs=1e-15)


def test_learns_a_known_law():
    rng = np.random.default_rng(5)
    a = rng.normal(10.0, 4.0, 20_000)
    k = rng.integers(0, 3, 20_000)
    logit = 1.5 * (a - 10.0) / 4.0 + np.array([-1.0, 0.0, 1.0])[k]
    y = rng.random(20_000) < 1.0 / (1.0 + np.exp(-logit))
    model = TabularLogisticRegression("adagrad", lr=0.1)
    model.learn_many(Columns(a[:, None], ["a"], k[:, None], ["k"], [("low", "middle", "high")]), y)
    weights = model.weights
    assert weights["a"] == pytest.approx(1.5, abs=0.2)
    assert weights["k", "high"] - weights["k", "low"] == pytest.approx(2.0, abs=0.3)
    assert model.means["a"] == pytest.approx(a.mean())
    assert model.variances["a"] == pytest.approx(a.var())


def test_kernels_run_inside_another_kernel():
    @numba.njit
    def twice(state, scalars, values, slots):
        linear.learn_one(state, scalars, 0, False, values, slots, 1.0, 1.0, 0.0)
        return linear.predict_one(state, scalars, False, values, slots)

    @numba.njit
    def believed(state, scalars, values, slots):
        adpredictor.learn_one(state, scalars, values, slots, 1.0, 0.0)
        return adpredictor.predict_one(state, scalars, values, slots)

    slots = np.array([0, 1])
    scalars = np.zeros(8)
    scalars[linear.RATE], scalars[linear.CLIP] = 0.01, 1.0
    twin = NaiveLogistic(intercept_lr=0.0)
    twin.learn({"a": 2.0, "k": "x"}, 1.0)
    inside = twice(np.zeros((2, 4)), scalars, np.array([2.0]), slots)
    assert inside == pytest.approx(twin.predict({"a": 2.0, "k": "x"}), abs=1e-12)

    other = NaiveAdPredictor(0.1, 0.0, 0.0)
    other.learn({"a": 2.0, "k": "x"}, True)
    beliefs = np.tile([0.0, 0.0, 1.0], (2, 1))
    inside = believed(beliefs, np.array([0.1, 0.0, 0.0, 0.0, 0.0]), np.array([2.0]), slots)
    assert inside == pytest.approx(other.predict({"a": 2.0, "k": "x"}), abs=1e-12)
