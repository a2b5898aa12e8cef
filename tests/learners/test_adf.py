"""The Bayesian classifier: River's contract, its twin, its order, its limits."""

import sys
import types

import numba
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import checks

from nextbest.learners import ADFLogisticRegression, LearnerError
from nextbest.learners.kernels import adf
from tests.naive.learners import BIAS, NaiveADF

SETTINGS = (
    {},
    {"prior_variance": 0.1, "bias_variance": 0.0, "forgetting": 0.01},
    {"forgetting": 0.2, "max_weights": 4},
)


def observations(size=40):
    value = st.one_of(
        st.floats(-5, 5), st.integers(-3, 3), st.booleans(), st.sampled_from("abcd"), st.none()
    )
    x = st.dictionaries(st.sampled_from("pqrstu"), value, max_size=5)
    return st.lists(st.tuples(x, st.booleans()), min_size=1, max_size=size)


@pytest.fixture
def sklearn_datasets(monkeypatch):
    """River's checks import scikit-learn for data that a binary classifier is never given."""
    package, datasets = types.ModuleType("sklearn"), types.ModuleType("sklearn.datasets")
    package.datasets = datasets
    monkeypatch.setitem(sys.modules, "sklearn", package)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", datasets)


@pytest.mark.parametrize("params", SETTINGS[:2])  # at a bound, the order of features matters
def test_keeps_rivers_contract(params, sklearn_datasets):
    model = ADFLogisticRegression(**params)
    names = [check.__name__ for check in checks.yield_checks(model)]
    assert "check_learn_many_matches_learn_one" in names
    assert model._unit_test_skips() == set()
    checks.check_estimator(model)


@pytest.mark.parametrize("params", SETTINGS)
@given(stream=observations())
@settings(max_examples=60, deadline=None)
def test_equals_its_twin(params, stream):
    model, twin = ADFLogisticRegression(**params), NaiveADF(**params)
    for x, y in stream:
        assert model.predict_proba_one(x)[True] == pytest.approx(twin.predict(x), abs=1e-9)
        model.learn_one(x, y)
        twin.learn(x, y)
    assert list(model.weights) == [key for key in twin.mean if key is not BIAS]
    np.testing.assert_allclose(model.mean, list(twin.mean.values()), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(model.variance, list(twin.variance.values()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("params", SETTINGS)
@given(stream=observations(), cut=st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_many_rows_equal_one_by_one(params, stream, cut):
    one, many = ADFLogisticRegression(**params), ADFLogisticRegression(**params)
    for x, y in stream:
        one.learn_one(_complete(x), y)
    for part in (stream[:cut], stream[cut:]):
        frame = pd.DataFrame([_complete(x) for x, _ in part], columns=list("pqrstu"), dtype=object)
        many.learn_many(frame, pd.Series([y for _, y in part], dtype=bool))
    assert one.mean.tobytes() == many.mean.tobytes()
    assert one.variance.tobytes() == many.variance.tobytes()
    assert one.weights == many.weights
    assert one.n_updates == many.n_updates == len(stream)


def _complete(x):
    return {name: x.get(name) for name in "pqrstu"}


def test_a_bad_row_among_many_teaches_nothing():
    model = ADFLogisticRegression()
    frame = pd.DataFrame({"a": [1.0, np.nan]})
    with pytest.raises(LearnerError, match="'a'"):
        model.learn_many(frame, pd.Series([True, False]))
    assert model.n_updates == 0
    assert model.weights == {}


@pytest.mark.parametrize("labels", [[True], [True] * 1000, []])
def test_labels_that_are_not_one_a_row_teach_nothing(labels):
    model = ADFLogisticRegression()
    with pytest.raises(LearnerError, match="3 rows but labels"):
        model.learn_many(pd.DataFrame({"a": [1.0, 2.0, 3.0]}), pd.Series(labels, dtype=bool))
    assert model.n_updates == 0
    assert model.weights == {}


def test_rows_without_features_teach_how_many_are_true():
    one, many = ADFLogisticRegression(), ADFLogisticRegression()
    many.learn_many(pd.DataFrame(index=range(3)), [True, True, False])
    for label in (True, True, False):
        one.learn_one({}, label)
    assert many.mean.tolist() == one.mean.tolist()


def test_learns_a_known_logistic_law():
    rng = np.random.default_rng(5)
    model = ADFLogisticRegression(prior_variance=10.0)
    for _ in range(20_000):
        x = {"a": rng.normal(), "b": rng.normal()}
        p = 1.0 / (1.0 + np.exp(-(1.5 * x["a"] - 0.7 * x["b"] + 0.4)))
        model.learn_one(x, rng.random() < p)
    assert model.mean == pytest.approx([0.4, 1.5, -0.7], abs=0.1)
    assert (model.variance < 0.01).all()


def test_forgetting_follows_a_change():
    """Of ten outcomes eight are positive; after 1800, two."""

    def last_probability(forgetting):
        model = ADFLogisticRegression(forgetting=forgetting)
        for i in range(2000):
            model.learn_one({"a": 1.0}, i % 10 < (8 if i < 1800 else 2))
        return model.predict_proba_one({"a": 1.0})[True]

    assert last_probability(0.02) < 0.3
    assert last_probability(0.0) > 0.6


def test_uncertainty_pulls_towards_one_half():
    model = ADFLogisticRegression()
    for _ in range(50):
        model.learn_one({"a": 1.0}, True)
    known = model.predict_proba_one({"a": 1.0})[True]
    with_unknown = model.predict_proba_one({"a": 1.0, "new": 3.0})[True]
    assert 0.5 < with_unknown < known


@pytest.mark.parametrize("scale", [1e-100, 1e9, 1e50, 1e100])
def test_extreme_values_keep_beliefs_finite_and_positive(scale):
    model = ADFLogisticRegression(forgetting=0.001)
    for i in range(50):
        model.learn_one({"a": scale * (-1) ** (i // 3), "b": 1.0}, i % 2 == 0)
    assert np.isfinite(model.mean).all()
    assert ((model.variance > 0.0) & (model.variance <= model.prior)).all()


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), 1e101, 10**400, [], object()]
)
def test_a_value_that_cannot_be_used_is_named(value):
    model = ADFLogisticRegression()
    for call in (lambda x: model.learn_one(x, True), model.predict_proba_one):
        with pytest.raises(LearnerError, match="feature 'spend'"):
            call({"fine": 1.0, "spend": value})
    assert model.weights == {}


@pytest.mark.parametrize("label", ["yes", 2, None, 0.5, pd.NA, [True]])
def test_a_label_that_is_not_binary_is_refused(label):
    with pytest.raises(LearnerError, match="label"):
        ADFLogisticRegression().learn_one({"a": 1.0}, label)


@pytest.mark.parametrize(
    "params",
    [
        {"prior_variance": 0.0},
        {"bias_variance": -1.0},
        {"forgetting": 1.0},
        {"forgetting": float("nan")},
        {"max_weights": 0},
    ],
)
def test_a_setting_out_of_range_is_named(params):
    with pytest.raises(LearnerError, match=next(iter(params))):
        ADFLogisticRegression(**params)


def test_memory_is_bounded_by_max_weights():
    model = ADFLogisticRegression(max_weights=100)
    for i in range(1000):
        model.learn_one({"id": f"customer {i}"}, i % 2 == 0)
    assert len(model.mean) == 100
    assert model.predict_proba_one({"id": "customer 5000"}) == model.predict_proba_one({})


def test_allocated_weights_have_their_own_prior():
    model = ADFLogisticRegression(prior_variance=1.0)
    assert model.allocate(["a", ("b", "x")], 0.25) == 1
    model.learn_one({"c": 1.0}, True)
    assert model.prior.tolist() == [1.0, 0.25, 0.25, 1.0]
    with pytest.raises(LearnerError, match="'a'"):
        model.allocate(["a"], 1.0)
    with pytest.raises(LearnerError, match="twice"):
        model.allocate(["d", "d"], 1.0)
    with pytest.raises(LearnerError, match="max_weights"):
        ADFLogisticRegression(max_weights=2).allocate(["a", "b"], 1.0)


def test_kernels_run_inside_another_kernel():
    @numba.njit
    def twice(mean, variance, prior, indices, values):
        adf.update(mean, variance, prior, indices, values, 1.0, 0.0)
        adf.update(mean, variance, prior, indices, values, 1.0, 0.0)
        z, s = adf.moments(mean, variance, indices, values)
        return adf.moderated(z, s)

    beliefs = np.zeros(2), np.ones(2), np.ones(2)
    inside = twice(*beliefs, np.array([0, 1]), np.array([1.0, 2.0]))
    twin = NaiveADF()
    twin.learn({"a": 2.0}, 1.0)
    twin.learn({"a": 2.0}, 1.0)
    assert inside == pytest.approx(twin.predict({"a": 2.0}), abs=1e-12)
