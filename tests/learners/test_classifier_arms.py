"""River classifiers as models of arms."""

import math

import numpy as np
import pytest
from river import compose, dummy, linear_model, preprocessing

from nextbest.learners import ADFLogisticRegression, LearnerError
from nextbest.learners.base import Offset
from nextbest.learners.policies import ClassifierArms

ARMS = ["tea", "coffee"]
CONTEXT = {"hour": "morning", "age": 3.0, "city": None}


def shared():
    return compose.Pipeline(preprocessing.OneHotEncoder(), linear_model.LogisticRegression())


def test_an_arm_of_its_own_learns_alone():
    model = ClassifierArms(ADFLogisticRegression(), ARMS)
    twin = ADFLogisticRegression()
    for reward in (1.0, 0.0, 1.0, 1.0):
        model.learn(CONTEXT, None, 1, reward)
        twin.learn_one({"hour": "morning", "age": 3.0}, bool(reward))
    belief = model.belief(CONTEXT)
    z, s = twin.logit_one({"hour": "morning", "age": 3.0})
    assert (belief.mean[1], belief.variance[1]) == (z, s)
    assert belief.probability[1] == twin.predict_proba_one({"hour": "morning", "age": 3.0})[True]
    assert belief.mean[0] == 0.0


def test_a_shared_classifier_sees_the_arm_and_its_features():
    model = ClassifierArms(shared(), ARMS, ["affinity"], shared=True)
    twin = shared()
    features = np.array([[0.5], [math.nan]])
    for arm, reward in ((0, 1.0), (1, 0.0), (0, 1.0)):
        model.learn({"hour": "noon"}, features, arm, reward)
        x = {"hour": "noon", "arm": ARMS[arm]} | ({"affinity": 0.5} if arm == 0 else {})
        twin.learn_one(x, bool(reward))
    probability = model.belief({"hour": "noon"}, features).probability
    assert (
        probability[0]
        == twin.predict_proba_one({"hour": "noon", "affinity": 0.5, "arm": "tea"})[True]
    )
    assert probability[1] == twin.predict_proba_one({"hour": "noon", "arm": "coffee"})[True]


def test_the_classifier_that_was_given_learns_nothing():
    given = ADFLogisticRegression()
    ClassifierArms(given, ARMS).learn(CONTEXT, None, 0, 1.0)
    ClassifierArms(given, ARMS, shared=True).learn(CONTEXT, None, 0, 1.0)
    assert given.n_updates == 0


def test_what_no_classifier_tells_shrinks_with_the_rewards_of_the_arm():
    model = ClassifierArms(linear_model.LogisticRegression(), ARMS, prior_variance=2.0)
    assert model.belief({}).variance.tolist() == [2.0, 2.0]
    for _ in range(50):
        model.learn({}, None, 0, 1.0)
    mean, variance, p = model.belief({})
    assert mean[0] == pytest.approx(math.log(p[0] / (1 - p[0])))
    assert variance[0] == pytest.approx(1 / (1 / 2.0 + 50 * p[0] * (1 - p[0])))
    assert variance[1] == 2.0


def test_a_classifier_before_and_after_one_class_has_finite_beliefs():
    model = ClassifierArms(dummy.PriorClassifier(), ARMS)
    assert model.belief({}).probability.tolist() == [0.5, 0.5]
    model.learn({}, None, 0, 1.0)
    model.learn({}, None, 1, 0.0)
    mean, variance, p = model.belief({})
    assert p.tolist() == [1.0, 0.0]
    assert np.isfinite(mean).all()
    assert mean[0] == pytest.approx(-mean[1], rel=1e-6)
    assert (variance > 0).all()


def test_a_step_is_the_one_that_the_logit_took():
    model, twin = (ClassifierArms(ADFLogisticRegression(), ARMS) for _ in range(2))
    step = model.learn({"age": 2.0}, None, 0, 1.0)
    after = model.belief({"age": 2.0}).mean[0]
    before = twin.belief({"age": 2.0})
    assert after == pytest.approx(before.mean[0] + before.variance[0] * step.slope)


def test_a_free_place_believes_nothing_and_is_taken_again():
    model = ClassifierArms(ADFLogisticRegression(), ARMS)
    model.learn({}, None, 0, 1.0)
    model.retire_arm("tea")
    assert [float(part[0]) for part in model.belief({})] == [0.0, 0.0, 0.5]
    assert (model.arms, model.live.tolist()) == (("", "coffee"), [False, True])
    before = model.live
    assert model.add_arm("milk") == 0
    assert before.tolist() == [False, True]  # what was handed out stays
    assert model.belief({}).mean[0] == 0.0


class Broken(dummy.NoChangeClassifier):
    def predict_proba_one(self, x):
        return {True: math.nan}


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda m: m.learn({}, None, 2, 1.0), "unknown arm 2"),
        (lambda m: m.learn({}, None, -1, 1.0), "unknown arm -1"),
        (lambda m: m.learn({}, None, 0, 0.5), "rewards of 0 or 1, got 0.5"),
        (lambda m: m.learn({}, None, 0, 1.0, Offset(0.1, 0.0)), "cannot learn jointly"),
        (lambda m: m.belief({}, np.zeros((2, 1))), r"float64\(2, 0\), got \(2, 1\)"),
        (lambda m: m.add_arm("tea"), "arm 'tea' is given twice"),
        (lambda m: m.add_arm(""), "must have a name, got ''"),
        (lambda m: m.add_arm("milk"), "no room for arm 'milk': max_arms is 2"),
        (lambda m: m.retire_arm("milk"), "unknown arm 'milk'"),
        (lambda m: m.retire_arm(""), "unknown arm ''"),
        (
            lambda m: ClassifierArms(Broken(), ARMS).belief({}),
            "gives arm 'tea' the probability nan",
        ),
        (lambda m: ClassifierArms(Broken(), ARMS, ["arm"]), "feature 0 must be a name"),
        (lambda m: ClassifierArms(Broken(), ARMS, prior_variance=0.0), "prior_variance must"),
        (lambda m: ClassifierArms(Broken(), ARMS, ["a"]).belief({}), r"float64\(2, 1\), got None"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_cannot_be_used_is_refused_by_name(use, message):
    model = ClassifierArms(ADFLogisticRegression(), ARMS, max_arms=2)
    with pytest.raises(LearnerError, match=message):
        use(model)
