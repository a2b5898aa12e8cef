"""The linear learners are River's: its contract, its numbers on real streams."""

import numbers
import sys
import types

import numpy as np
import pandas as pd
import pytest
from river import checks, compose, linear_model, optim, preprocessing

from nextbest.learners import (
    AdPredictor,
    Columns,
    LogisticRegression,
    TabularLogisticRegression,
)
from tests.learners.streams import STREAMS, real

OPTIMIZERS = {
    "sgd": ({"lr": 0.05}, lambda: optim.SGD(0.05), {}),
    "sgd-l2": ({"l2": 0.1}, lambda: optim.SGD(0.01), {"l2": 0.1}),
    "adagrad": ({"optimizer": "adagrad"}, optim.AdaGrad, {}),
    "adagrad-l2": (
        {"optimizer": "adagrad", "lr": 0.5, "l2": 0.01, "eps": 1e-6},
        lambda: optim.AdaGrad(0.5, 1e-6),
        {"l2": 0.01},
    ),
    "ftrl": ({"optimizer": "ftrl"}, optim.FTRLProximal, {}),
    "ftrl-l1": (
        {"optimizer": "ftrl", "alpha": 0.2, "beta": 0.5, "l1": 0.3, "l2": 0.0},
        lambda: optim.FTRLProximal(0.2, 0.5, 0.3, 0.0),
        {},
    ),
    "intercept": (
        {"intercept_init": -1.0, "intercept_lr": 0.1, "clip_gradient": 0.4},
        lambda: optim.SGD(0.01),
        {"intercept_init": -1.0, "intercept_lr": 0.1, "clip_gradient": 0.4},
    ),
}


@pytest.fixture(autouse=True)
def sklearn_datasets(monkeypatch):
    """River's checks import scikit-learn for data that a binary classifier is never given."""
    package, datasets = types.ModuleType("sklearn"), types.ModuleType("sklearn.datasets")
    package.datasets = datasets
    monkeypatch.setitem(sys.modules, "sklearn", package)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", datasets)


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "ftrl", "ftrl-proximal"])
@pytest.mark.parametrize("kind", [LogisticRegression, TabularLogisticRegression])
def test_regression_keeps_rivers_contract(kind, optimizer):
    keeps_the_contract(kind(optimizer))


@pytest.mark.parametrize("params", [{}, {"beta": 1.0, "prior_probability": 0.1, "epsilon": 0.0}])
def test_adpredictor_keeps_rivers_contract(params):
    keeps_the_contract(AdPredictor(**params))


def keeps_the_contract(model):
    names = [check.__name__ for check in checks.yield_checks(model)]
    assert "check_learn_many_matches_learn_one" in names
    assert model._unit_test_skips() == set()
    checks.check_estimator(model)


def encoder():
    return compose.SelectType(str) | preprocessing.OneHotEncoder(drop_zeros=True)


def numbers_as_they_are():
    return compose.SelectType(numbers.Number)


def scaled():
    return numbers_as_they_are() | preprocessing.StandardScaler()


def compare(model, river, stream):
    """Predict and learn one by one with both; then ours in micro-batches."""
    clone = model.clone()
    ours = []
    for x, y in stream:
        theirs = river.predict_proba_one(x)[True]
        ours.append(model.predict_learn_one(x, y))
        assert ours[-1] == pytest.approx(theirs, abs=1e-9)
        river.learn_one(x, y)
    columns = Columns.from_dicts([x for x, _ in stream])
    labels = np.array([y for _, y in stream])
    parts = [slice(start, start + 256) for start in range(0, len(stream), 256)]
    many = [clone.predict_learn_many(columns[part], labels[part]) for part in parts]
    assert np.concatenate(many).tolist() == ours
    x = stream[-1][0]
    assert model.predict_proba_one(x)[True] == pytest.approx(
        river.predict_proba_one(x)[True], abs=1e-9
    )


@pytest.mark.parametrize("settings", OPTIMIZERS)
@pytest.mark.parametrize("stream", STREAMS)
def test_the_tabular_regression_equals_rivers_pipeline(stream, settings):
    params, optimizer, glm = OPTIMIZERS[settings]
    theirs = linear_model.LogisticRegression(optimizer(), **glm)
    river = (scaled() + encoder()) | theirs
    model = TabularLogisticRegression(**params)
    compare(model, river, real(stream, 1500))
    last = list(river.steps.values())[-1]
    ours = {k if isinstance(k, str) else "_".join(k): w for k, w in model.weights.items()}
    assert ours == pytest.approx(last.weights, abs=1e-9)
    assert model.intercept == pytest.approx(last.intercept, abs=1e-9)


@pytest.mark.parametrize("settings", OPTIMIZERS)
@pytest.mark.parametrize("stream", ["phishing", "flares"])
def test_the_plain_regression_equals_rivers(stream, settings):
    params, optimizer, glm = OPTIMIZERS[settings]
    theirs = linear_model.LogisticRegression(optimizer(), **glm)
    river = (numbers_as_they_are() + encoder()) | theirs
    compare(LogisticRegression(**params), river, real(stream, 1000))


@pytest.mark.parametrize("params", [{}, {"beta": 1.0, "prior_probability": 0.1, "epsilon": 0.0}])
@pytest.mark.parametrize("stream", STREAMS)
def test_adpredictor_equals_rivers(stream, params):
    river = (numbers_as_they_are() + encoder()) | linear_model.AdPredictor(**params)
    compare(AdPredictor(**params), river, real(stream, 1000))


def test_importance_weights_equal_rivers():
    model, river = LogisticRegression(lr=0.1), linear_model.LogisticRegression(optim.SGD(0.1))
    for i, (x, y) in enumerate(real("phishing", 200)):
        w = (0.25, 1.0, 7.5)[i % 3]
        model.learn_one(x, y, w)
        river.learn_one(x, y, w)
    assert model.weights == pytest.approx(river.weights, abs=1e-9)


def test_without_drop_zeros_a_plain_pipeline_is_the_same():
    river = (
        scaled() + (compose.SelectType(str) | preprocessing.OneHotEncoder())
    ) | linear_model.LogisticRegression(optim.AdaGrad())
    compare(TabularLogisticRegression("adagrad"), river, real("flares", 300))


def test_frames_and_columns_predict_the_same():
    stream = real("flares", 400)
    frame = pd.DataFrame([x for x, _ in stream])
    labels = pd.Series([y for _, y in stream])
    one, two = TabularLogisticRegression(), TabularLogisticRegression()
    one.learn_many(frame, labels)
    two.learn_many(Columns.from_frame(frame), labels)
    assert one.weights == two.weights
    frame.index += 100
    table = one.predict_proba_many(frame)
    assert table.index.tolist() == frame.index.tolist()
    assert table[True].tolist() == two.predict_proba_many(Columns.from_frame(frame)).tolist()
    assert table[True].tolist() == [one.predict_proba_one(x)[True] for x, _ in stream]
    assert one.predict_many(frame).tolist() == two.predict_many(Columns.from_frame(frame)).tolist()
