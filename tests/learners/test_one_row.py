"""An action is learned from its own row of features: the same bits as from the rows of all."""

import numpy as np
import pytest

from nextbest.learners import BayesianRanker, LearnerError, SegmentOfOne
from tests.learners.bayesian_cases import make, stream

ROWS = {
    "all": lambda features, arm: features,
    "padded": lambda features, arm: np.where(np.arange(3)[:, None] == arm, features, np.nan),
    "alone": lambda features, arm: features[arm],
    "alone-of-two-dimensions": lambda features, arm: features[arm : arm + 1],
}


def learned(form):
    one = SegmentOfOne(make(), ["hour"])
    ann = b""
    for i, (context, features, arm, reward) in enumerate(stream(60)):
        person = ann if i % 2 else None
        new = one.learn(context, ROWS[form](features, arm), arm, reward, person=person)
        ann = new or ann
    return one.to_bytes(), ann


@pytest.mark.parametrize("form", ["padded", "alone", "alone-of-two-dimensions"])
def test_the_arms_row_alone_teaches_the_same(form):
    assert learned(form) == learned("all")


def test_an_explanation_needs_the_arms_row_alone_too():
    ranker = make()
    for context, features, arm, reward in stream(20):
        ranker.learn(context, features, arm, reward)
    one_row = ranker.explain({}, features[:1], 0)
    assert one_row == ranker.explain({}, features[0], 0) == ranker.explain({}, features, 0)


def test_one_arm_alone_has_one_row():
    ranker = BayesianRanker(["tea"], action_features=["price"])
    ranker.learn({}, [[2.0]], 0, 1.0)
    again = BayesianRanker(["tea"], action_features=["price"])
    again.learn({}, [2.0], 0, 1.0)
    assert again.to_bytes() == ranker.to_bytes()


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (np.ones((2, 2)), r"features must be float64\(3, 2\), got \(2, 2\)"),
        (np.ones((1, 3)), r"features must be float64\(3, 2\), got \(1, 3\)"),
        (np.ones(3), r"features must be float64\(2,\), got \(3,\)"),
        (np.ones((1, 1, 2)), r"features must be float64\(2,\), got \(1, 1, 2\)"),
        ([[1.0, np.inf]], "feature 'recency' is not finite"),
        (None, r"features must be float64\(2,\), got None"),
    ],
    ids=["two-rows", "too-wide", "too-long", "three-dimensions", "infinite", "none"],
)
def test_what_is_neither_is_named_and_teaches_nothing(features, said):
    one = SegmentOfOne(make())
    before = one.to_bytes()
    with pytest.raises(LearnerError, match=said):
        one.learn({}, features, 1, 1.0)
    assert one.to_bytes() == before
