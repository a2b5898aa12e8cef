"""The state of River's models without pickle: it goes on as it would, and names River alone."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from river import drift, facto, forest, linear_model, naive_bayes, tree

from nextbest.learners import LearnerError
from nextbest.learners.checkpoint import pack, unpack
from nextbest.learners.river_state import from_bytes, to_bytes


def examples(n: int) -> list[tuple[dict[str, float], bool]]:
    rng = random.Random(7)
    told = []
    for _ in range(n):
        x = {"a": rng.random(), "b": rng.random(), "c": float(rng.randrange(3))}
        told.append((x, x["a"] + 0.3 * rng.random() > 0.6))
    return told


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(linear_model.LogisticRegression(), id="rust weights"),
        pytest.param(naive_bayes.GaussianNB(), id="functions of a class"),
        pytest.param(tree.HoeffdingAdaptiveTreeClassifier(grace_period=20, seed=1), id="tree"),
        pytest.param(forest.ARFClassifier(n_models=2, seed=1), id="forest"),
        pytest.param(forest.AMFClassifier(n_estimators=2, seed=1), id="rings"),
        pytest.param(facto.FMClassifier(seed=1), id="numpy draws"),
        pytest.param(
            drift.DriftRetrainingClassifier(naive_bayes.BernoulliNB()), id="a detector of drift"
        ),
    ],
)
def test_a_model_goes_on_as_it_would(model: Any) -> None:
    told = examples(300)
    for x, y in told[:200]:
        model.learn_one(x, y)
    again = from_bytes(to_bytes(model))
    for x, y in told[200:]:
        assert again.predict_proba_one(x) == model.predict_proba_one(x)
        again.learn_one(x, y)
        model.learn_one(x, y)


@pytest.mark.parametrize(
    "name",
    ["os:system", "builtins:eval", "river.base.base:inspect", "river.utils:os.system", "river:x"],
    ids=["other module", "eval", "imported", "through", "nothing"],
)
def test_nothing_but_river_s_own_is_named_or_called(name: str) -> None:
    node = ["object", False, name, ["ls"], None, [], []]
    values, arrays = unpack(to_bytes(linear_model.Perceptron()), "RiverState")
    data = pack("RiverState", {**values, "root": ["r", 0], "nodes": [node]}, arrays)
    with pytest.raises(LearnerError, match="a state that names"):
        from_bytes(data)


def test_what_is_not_river_s_and_another_version_are_refused() -> None:
    with pytest.raises(LearnerError, match="cannot be kept"):
        to_bytes([lambda: 1])
    values, arrays = unpack(to_bytes([np.float64(1.5), (2, b"x"), {3}]), "RiverState")
    assert from_bytes(pack("RiverState", values, arrays)) == [1.5, (2, b"x"), {3}]
    with pytest.raises(LearnerError, match="a state of River '0"):
        from_bytes(pack("RiverState", {**values, "river": "0.1"}, arrays))
