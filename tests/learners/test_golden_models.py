"""Models that earlier versions wrote are read for ever: they believe, and go on, as they did."""

from pathlib import Path

import numpy as np
import pytest

from nextbest.learners import (
    AdPredictor,
    Bandit,
    BayesianRanker,
    LogisticRegression,
    Policy,
    PublishedArms,
    TabularLogisticRegression,
)
from nextbest.learners.policies import SquareCB
from tests.learners.test_linear_bytes import rows

GOLDEN = Path(__file__).parents[1] / "golden"
# What each said the moment that it was written, and after twenty rows more.
LINEAR = {
    "logistic_v2": (LogisticRegression, "0x1.9e7e488d8c4c1p-2", "0x1.7fb38648f40d0p-2"),
    "tabular_v2": (TabularLogisticRegression, "0x1.600c5d05b82f1p-2", "0x1.f34ef145c5b18p-3"),
    "adpredictor_v2": (AdPredictor, "0x1.16d9668e6928cp-2", "0x1.4f2893bf45cbcp-1"),
}


def floats(*values):
    return np.array([float.fromhex(value) for value in values])


@pytest.mark.parametrize("name", LINEAR)
def test_an_old_linear_model_goes_on(name):
    kind, at_once, later = LINEAR[name]
    data = (GOLDEN / f"{name}.nbcp").read_bytes()
    model = kind.from_bytes(data)
    assert model.to_bytes() == data
    assert (model.n_updates, model.n_evicted, model.n_weights) == (100, 33, 20)
    x, _ = next(rows(1, seed=77))
    # The same arithmetic, but the exponential is the platform's.
    assert model.predict_proba_one(x)[True] == pytest.approx(float.fromhex(at_once), rel=1e-12)
    again = kind.from_bytes(data)
    for x, y in rows(20, seed=78):
        assert model.predict_learn_one(x, y) == again.predict_learn_one(x, y)
    assert model.predict_proba_one(x)[True] == pytest.approx(float.fromhex(later), rel=1e-9)


def test_an_old_bandit_goes_on():
    policy = Policy(SquareCB(200.0), floor=0.01, seed=5)
    data = (GOLDEN / "bandit_v2.nbcp").read_bytes()
    bandit = Bandit.from_bytes(data, BayesianRanker.from_bytes, policy)
    assert bandit.to_bytes() == data
    assert (bandit.decisions, bandit.began, bandit.drop.alarms, bandit.drop.n) == (200, 116, 2, 84)
    pull = bandit.pull({"hour": "am"}, decision=5000)
    assert (pull.arm, pull.exploration, pull.version) == (2, 4884, "2c8f9028.200")
    assert pull.draw == float.fromhex("0x1.ffe9fb94d3312p-2")
    expected = floats("0x1.7dac897661ebap-2", "0x1.70f36b7d83e13p-2", "0x1.209127b031b54p-1")
    np.testing.assert_allclose(pull.scores, expected, rtol=1e-13, atol=0)


def test_an_old_published_model_believes_as_it_did_of_an_old_person():
    data = (GOLDEN / "published_v2.nbcp").read_bytes()
    model = PublishedArms.from_bytes(data)
    assert model.to_bytes() == data
    context = {"age": 0.5, "visits": -1.0, "hour": "a", "region": "north"}
    person = (GOLDEN / "person_v1.npb").read_bytes()
    found = model.belief(context, np.ones((3, 2)), person)
    expected = (
        floats("-0x1.96dd41f54e7e0p-8", "-0x1.a616f61de3e49p-3", "0x1.8c8d2316179a8p-1"),
        floats("0x1.ee91ab0e8951ep-1", "0x1.e9d3fb8056001p-1", "0x1.d2cdaef77ee37p-1"),
        floats("0x1.02fd50787ad31p-1", "0x1.d86107be3e1f1p-2", "0x1.5357bbcc3054cp-1"),
    )
    for part, known in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, known, rtol=1e-5, atol=1e-7)  # single precision
