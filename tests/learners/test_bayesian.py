"""The Bayesian ranker's beliefs: its twin, its order, its snapshot, what it learns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import BayesianRanker
from nextbest.learners.base import ArmModel, Offset
from tests.learners.bayesian_cases import (
    ARMS,
    CONTEXTS,
    FEATURES,
    NAMES,
    NUMBERS,
    ONE,
    THREE,
    make,
    observations,
    stream,
)  # fmt: skip
from tests.naive.bayesian import NaiveBayesian

CASES = [
    pytest.param({"experts": ONE}, (1.0, 1.0, 1.0), id="one"),
    pytest.param({"experts": ((0.3, 0.0),)}, (1.0, 1.0, 1.0), id="one-that-never-forgets"),
    pytest.param(
        {"experts": THREE, "bias_scale": 2.0, "shared_scale": 3.0, "feature_scale": 0.5},
        (2.0, 3.0, 0.5),
        id="three",
    ),
    pytest.param({"experts": ONE, "shared_scale": 0.0}, (1.0, 0.0, 1.0), id="disjoint"),
]


@pytest.mark.parametrize(("params", "scales"), CASES)
@given(rows=observations())
@settings(max_examples=40, deadline=None)
def test_equals_its_twin(params, scales, rows):
    ranker = make(**params)
    twin = NaiveBayesian(ARMS, NUMBERS, CONTEXTS, FEATURES, params["experts"], scales=scales)
    for context, features, arm, reward, offset in rows:
        believed = np.array(twin.belief(context, features)).T
        np.testing.assert_allclose(ranker.belief(context, features), believed, rtol=0, atol=1e-9)
        step = ranker.learn(context, features, arm, reward, Offset(*offset))
        expected = twin.learn(context, features[arm], ARMS[arm], reward, offset)
        np.testing.assert_allclose(step[:2], expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ranker.expert_weights, twin.weights, rtol=0, atol=1e-9)
    assert ranker.updates == len(rows)


@pytest.mark.parametrize("experts", [pytest.param(ONE, id="one"), pytest.param(THREE, id="three")])
@given(rows=observations(), cut=st.integers(0, 25))
@settings(max_examples=40, deadline=None)
def test_many_equal_one_by_one_bit_for_bit(experts, rows, cut):
    one = make(experts=experts, max_categories=2)
    many = make(experts=experts, max_categories=2)
    steps = [one.learn(c, x, arm, y, Offset(*o))[:2] for c, x, arm, y, o in rows]
    got = []
    for part in (rows[:cut], rows[cut:]):
        columns = {name: [c.get(name) for c, *_ in part] for name in (*NUMBERS, *CONTEXTS)}
        chosen = np.array([x[arm] for _, x, arm, _, _ in part]).reshape(-1, 2)
        arms, rewards = [np.array([row[i] for row in part], t) for i, t in ((2, int), (3, float))]
        offsets = np.array([row[4] for row in part]).reshape(-1, 2)
        got.append(many.learn_many(columns, chosen, arms, rewards, offsets))
    assert np.concatenate(got).tobytes() == np.array(steps).tobytes()
    assert many.to_bytes() == one.to_bytes()


@pytest.mark.parametrize("cut", [0, 1, 17, 60])
def test_a_restored_ranker_continues_bit_for_bit(cut):
    rows = list(stream(60))
    whole, first = make(max_categories=3), make(max_categories=3)
    for row in rows:
        whole.learn(*row)
    for row in rows[:cut]:
        first.learn(*row)
    second = BayesianRanker.from_bytes(first.to_bytes())
    assert second.to_bytes() == first.to_bytes()
    for row in rows[cut:]:
        second.learn(*row)
    assert second.to_bytes() == whole.to_bytes()
    for context, features, _, _ in rows:
        for mine, theirs in zip(
            second.belief(context, features), whole.belief(context, features), strict=True
        ):
            assert mine.tobytes() == theirs.tobytes()


def test_offers_what_a_model_of_arms_offers():
    model: ArmModel = make()
    assert model.arms == ARMS
    assert model.live.tolist() == [True, True, True]
    for part in model.belief({}, np.zeros((3, 2))):
        assert (part.dtype, part.shape) == (np.float64, (3,))


def test_learns_a_law_that_differs_from_arm_to_arm():
    ranker = BayesianRanker(ARMS, **NAMES)
    for row in stream(20_000):
        ranker.learn(*row)
    zero = np.zeros((3, 2))
    base = ranker.belief({"hour": "b"}, zero).mean
    assert base == pytest.approx([-1.0, -1.0, -1.0], abs=0.2)
    slopes = ranker.belief({"hour": "b", "age": 1.0}, zero).mean - base
    assert slopes == pytest.approx([-1.0, 0.0, 1.0], abs=0.15)
    hours = ranker.belief({"hour": "a"}, zero).mean - base
    assert hours == pytest.approx([1.0, 1.0, 1.0], abs=0.2)
    affinity = ranker.belief({"hour": "b"}, np.tile([1.0, 0.0], (3, 1))).mean - base
    assert affinity == pytest.approx([0.5, 0.5, 0.5], abs=0.1)


def test_correlated_numbers_are_told_apart():
    """What a diagonal cannot: two numbers that nearly agree, and weights of opposite signs."""
    rng = np.random.default_rng(3)
    ranker = BayesianRanker(["a"], numbers=["x", "y"], experts=[(10.0, 0.0)], shared_scale=0.0)
    for _ in range(20_000):
        x = rng.normal()
        y = x + 0.2 * rng.normal()
        reward = rng.random() < 1.0 / (1.0 + np.exp(-(4.0 * x - 3.0 * y)))
        ranker.learn({"x": x, "y": y}, None, 0, float(reward))
    base = ranker.belief({}).mean
    parts = [ranker.belief({name: 1.0}).mean - base for name in ("x", "y")]
    assert np.concatenate(parts) == pytest.approx([4.0, -3.0], abs=0.4)


def test_weights_outside_learn_in_the_same_step():
    """One more weight, kept outside, is the same as an action feature within."""
    inside = BayesianRanker(["a"], action_features=["extra"], experts=[(0.7, 0.0)])
    outside = BayesianRanker(["a"], experts=[(0.7, 0.0)])
    m, v = 0.0, 0.7
    for context, features, _, reward in stream(200, arms=3):
        x = features[0, 0]
        inside.learn(context, [x], 0, reward)
        step = outside.learn(context, None, 0, reward, Offset(m * x, v * x * x))
        m, v = m + v * x * step.slope, v - v * v * x * x * step.curvature
    at_one = inside.belief({}, [[1.0]])
    without = outside.belief({})
    assert without.mean[0] + m == pytest.approx(at_one.mean[0], abs=1e-12)
    assert without.variance[0] + v == pytest.approx(at_one.variance[0], abs=1e-12)


def test_contributions_add_up_to_the_mean():
    ranker = make()
    for row in stream(300):
        ranker.learn(*row)
    context, features, _, _ = next(stream(1, seed=5))
    for arm in range(3):
        reasons = ranker.explain(context, features, arm)
        mean = ranker.belief(context, features).mean[arm]
        assert sum(part for _, part in reasons) == pytest.approx(mean, abs=1e-12)
        sizes = [abs(part) for _, part in reasons]
        assert sizes == sorted(sizes, reverse=True)
        assert ranker.explain(context, features[arm], arm, top=2) == reasons[:2]
        hour = context["hour"]
        assert {name for name, _ in reasons} >= {
            "on average", f"arm = {ARMS[arm]}", "age", f"{ARMS[arm]} & age", f"hour = {hour}",
            f"{ARMS[arm]} & hour = {hour}", "affinity",
        }  # fmt: skip
