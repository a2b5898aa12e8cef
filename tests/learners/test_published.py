"""A published model decides as the ranker believes, the same alone as among many."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import BayesianRanker, LearnerError
from tests.learners.bayesian_cases import ONE, THREE, contexts, make, stream
from tests.naive.learners import naive_squarecb


def trained(experts, n=400):
    ranker = make(experts=experts)
    for row in stream(n):
        ranker.learn(*row)
    return ranker


RANKERS = {"one": trained(ONE), "three": trained(THREE)}
FEATURES = st.lists(
    st.lists(st.one_of(st.just(float("nan")), st.floats(-3, 3)), min_size=2, max_size=2),
    min_size=3,
    max_size=3,
)


@pytest.mark.parametrize(
    ("kind", "fold", "tolerance"),
    [("one", False, 2e-6), ("one", True, 2e-6), ("three", False, 2e-6), ("three", True, 0.1)],
)
@given(context=contexts(), features=FEATURES)
@settings(max_examples=100, deadline=None)
def test_scores_are_what_the_ranker_believes(kind, fold, tolerance, context, features):
    ranker = RANKERS[kind]
    choice = ranker.publish(fold).decide(context, features, gamma=10.0, draw=0.3)
    expected = ranker.belief(context, features).probability
    np.testing.assert_allclose(choice.scores, expected, rtol=0, atol=tolerance)


@given(
    context=contexts(),
    features=FEATURES,
    eligible=st.lists(st.booleans(), min_size=3, max_size=3).filter(any),
    gamma=st.one_of(st.floats(0, 1e6), st.just(float("inf"))),
    draw=st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=100, deadline=None)
def test_propensities_are_squarecbs(context, features, eligible, gamma, draw):
    model = RANKERS["three"].publish()
    choice = model.decide(context, features, gamma=gamma, draw=draw, eligible=eligible)
    if gamma < float("inf"):
        expected = naive_squarecb(choice.scores.tolist(), eligible, gamma)
        np.testing.assert_allclose(choice.propensities, expected, rtol=0, atol=1e-12)
    assert choice.propensities.sum() == pytest.approx(1.0, abs=1e-12)
    assert eligible[choice.arm]
    assert choice.propensity == choice.propensities[choice.arm] > 0.0


def test_many_decisions_equal_one_by_one_bit_for_bit():
    model = RANKERS["three"].publish()
    rows = list(stream(200, seed=9))
    draws, gammas = np.random.default_rng(1).random((2, 200))
    columns = {name: [c.get(name) for c, *_ in rows] for name in ("age", "visits", "hour")}
    features = np.stack([features for _, features, _, _ in rows])
    arms, propensities = model.decide_many(columns, features, gammas=gammas, draws=draws)
    alone = [
        model.decide(context, x, gamma=gamma, draw=draw)
        for (context, x, _, _), gamma, draw in zip(rows, gammas, draws, strict=True)
    ]
    assert arms.tolist() == [choice.arm for choice in alone]
    assert propensities.tobytes() == np.array([choice.propensity for choice in alone]).tobytes()
    assert len(set(arms.tolist())) == 3


def test_a_published_model_stays_what_it_was():
    ranker = trained(THREE)
    model = ranker.publish()
    context, features, _, _ = next(stream(1, seed=3))
    before = model.decide(context, features, gamma=5.0, draw=0.1)
    for row in stream(100, seed=4):
        ranker.learn({**row[0], "hour": "new", "segment": "new"}, *row[1:])
    ranker.retire_arm("milk")
    ranker.add_arm("soup")
    after = model.decide(context, features, gamma=5.0, draw=0.1)
    assert after.scores.tobytes() == before.scores.tobytes()
    assert (model.version, ranker.publish().version) == (400, 500)
    assert model.arms == ("bread", "milk", "eggs")


def test_a_retired_arm_is_never_chosen():
    ranker = trained(ONE)
    ranker.retire_arm("milk")
    model = ranker.publish()
    features = np.zeros((3, 2))
    choice = model.decide({}, features, gamma=0.0, draw=0.5)
    assert choice.propensities.tolist() == [0.5, 0.0, 0.5]
    with pytest.raises(LearnerError, match="no arm is eligible"):
        model.decide({}, features, gamma=1.0, draw=0.5, eligible=[False, True, False])


def test_it_finds_the_rewarding_arm_of_each_context():
    ranker = BayesianRanker(["a", "b", "c"], contexts=["hour"])
    draws = np.random.default_rng(0).random(3000)
    earned = 0.0
    for t, draw in enumerate(draws):
        if t % 20 == 0:
            model = ranker.publish()
        context = {"hour": "am" if t % 2 else "pm"}
        arm = model.decide(context, gamma=10.0 * t**0.5, draw=draw).arm
        reward = float(arm == (1 if t % 2 else 2))
        ranker.learn(context, None, arm, reward)
        earned += reward * (t >= 1500)
    assert earned / 1500 > 0.95


X = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.decide({}, X, gamma=-1.0, draw=0.5), "gamma"),
        (lambda m: m.decide({}, X, gamma=float("nan"), draw=0.5), "gamma"),
        (lambda m: m.decide({}, X, gamma=1.0, draw=1.0), "draw"),
        (lambda m: m.decide({}, X[:2], gamma=1.0, draw=0.5), r"float64\(3, 2\)"),
        (lambda m: m.decide({}, gamma=1.0, draw=0.5), "got None"),
        (lambda m: m.decide({"age": 1e16}, X, gamma=1.0, draw=0.5), "beyond 1e.12"),
        (lambda m: m.decide({"hour": 3}, X, gamma=1.0, draw=0.5), "'hour'"),
        (lambda m: m.decide({}, X, gamma=1.0, draw=0.5, eligible=[True]), r"bool\(3,\)"),
        (lambda m: m.decide_many({}, X[None], gammas=[1.0, 1.0], draws=[0.5]), "gammas"),
        (lambda m: m.decide_many({}, X, gammas=[1.0], draws=[0.5]), "features"),
        (lambda m: m.decide_many({"hour": []}, X[None], gammas=[1.0], draws=[0.5]), "1 values"),
    ],
)
def test_a_bad_call_says_why(call, message):
    with pytest.raises(LearnerError, match=message):
        call(RANKERS["one"].publish())
