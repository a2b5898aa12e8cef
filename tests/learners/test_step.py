"""What a step says of the arm before it: what the whole belief said, from the one call."""

import numpy as np
import pytest
from hypothesis import given, settings
from river import linear_model

from nextbest.learners import ADFLogisticRegression, BayesianRanker, SegmentOfOne
from nextbest.learners.base import Offset
from nextbest.learners.policies import ClassifierArms
from tests.learners.bayesian_cases import ARMS, NAMES, ONE, THREE, make, observations

ONE_PERSON = {"one": 1.0, "several": (0.0, 0.1, 1.0)}


def of_arm(belief, arm):
    return tuple(float(part[arm]) for part in belief)


@pytest.mark.parametrize("experts", [pytest.param(ONE, id="one"), pytest.param(THREE, id="three")])
@pytest.mark.parametrize("most", [2, 1000])
@given(rows=observations())
@settings(max_examples=40, deadline=None)
def test_a_step_has_the_belief_before_it_bit_for_bit(experts, most, rows):
    ranker = make(experts=experts, max_categories=most)
    for context, features, arm, reward, offset in rows:
        before = of_arm(ranker.belief(context, features), arm)
        step = ranker.learn(context, features, arm, reward, Offset(*offset))
        assert step[2:] == before


@pytest.mark.parametrize(
    "classifier",
    [ADFLogisticRegression(), linear_model.LogisticRegression()],
    ids=lambda c: type(c).__name__,
)
def test_a_classifiers_too(classifier):
    model = ClassifierArms(classifier, ["a", "b"])
    for i in range(40):
        before = of_arm(model.belief({"x": float(i % 3)}), i % 2)
        assert model.learn({"x": float(i % 3)}, None, i % 2, float(i % 4 == 0))[2:] == before


@pytest.mark.parametrize("forgetting", [0.0, 0.1])
@pytest.mark.parametrize("kind", ONE_PERSON)
def test_a_persons_too(kind, forgetting):
    variance = ONE_PERSON[kind]
    one = SegmentOfOne(
        BayesianRanker(["a", "b"], contexts=["hour"]), ["region"],
        segment_variance=variance, person_variance=variance, forgetting=forgetting,
    )  # fmt: skip
    ann = one.of(b"")
    for i in range(60):
        context = {"hour": "am" if i % 5 else "pm", "region": "north" if i % 3 else None}
        before = of_arm(ann.belief(context), i % 2)
        step = ann.learn(context, None, i % 2, float(i % 4 == 0))
        assert step[2:] == pytest.approx(before, rel=1e-12)


def test_learning_of_a_person_asks_for_no_whole_belief(monkeypatch):
    """And a chosen arm's features are enough, as for the shared model."""
    monkeypatch.delattr(BayesianRanker, "belief")
    one = SegmentOfOne(BayesianRanker(ARMS, **NAMES), ["region"])
    block = one.learn({"region": "north"}, np.array([0.5, 0.1]), 1, 1.0, person=b"")
    assert len(block) == one.person_bytes
