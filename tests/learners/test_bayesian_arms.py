"""Arms come and go, categories are bounded, bad input is refused by name."""

import numpy as np
import pytest

from nextbest.learners import BayesianRanker, LearnerError
from nextbest.learners.base import Offset
from tests.learners.bayesian_cases import ARMS, CONTEXTS, NAMES, make, stream


def trained(**settings):
    ranker = make(**settings)
    for row in stream(200):
        ranker.learn(*row)
    return ranker


def test_a_new_arm_starts_from_what_the_others_share():
    ranker = BayesianRanker(ARMS, contexts=["hour"])
    rng = np.random.default_rng(1)
    for i in range(3000):
        hour = "ab"[i % 2]
        ranker.learn({"hour": hour}, None, i % 3, float(rng.random() < (0.2, 0.8)[i % 2]))
    place = ranker.add_arm("soup")
    assert (place, ranker.arms[place], ranker.place("soup")) == (3, "soup", 3)
    for hour, expected in (("a", 0.2), ("b", 0.8)):
        belief = ranker.belief({"hour": hour})
        assert belief.probability[place] == pytest.approx(expected, abs=0.15)
        assert belief.variance[place] > 3 * belief.variance[:3].max()
    assert abs(ranker.belief({"hour": "b"}).probability[3] - 0.5) > 0.15


def test_what_others_believe_is_untouched_by_a_new_arm():
    ranker = trained()
    context, features, _, _ = next(stream(1, seed=3))
    before = ranker.belief(context, features)
    for name in ("x", "y", "z"):
        ranker.add_arm(name)
    after = ranker.belief(context, np.vstack([features, np.zeros((3, 2))]))
    for old, new in zip(before, after, strict=True):
        assert old.tobytes() == new[:3].tobytes()


def test_a_place_is_reused_and_keeps_nothing():
    ranker = trained()
    fresh = trained()
    assert ranker.retire_arm("milk") == 1
    assert ranker.arms == ("bread", "", "eggs")
    assert ranker.live.tolist() == [True, False, True]
    assert ranker.add_arm("soup") == 1
    assert ranker.add_arm("tea") == 3
    assert fresh.add_arm("tea") == 3
    context, features, _, _ = next(stream(1, seed=3))
    features = np.vstack([features, features[:1]])
    features[1] = features[3]
    belief = ranker.belief(context, features)
    assert belief.mean[1] == belief.mean[3]
    assert belief.variance[1] == belief.variance[3]
    expected = fresh.belief(context, features)
    assert belief.mean[[0, 2, 3]].tolist() == expected.mean[[0, 2, 3]].tolist()


def test_arms_that_came_and_went_survive_a_snapshot():
    ranker = trained()
    ranker.retire_arm("bread")
    ranker.retire_arm("eggs")
    again = BayesianRanker.from_bytes(ranker.to_bytes())
    assert again.arms == ("", "milk", "")
    for model in (ranker, again):
        assert [model.add_arm(name) for name in ("a", "b", "c")] == [0, 2, 3]
        for context, features, _, reward in stream(30, seed=8, arms=4):
            model.learn(context, features, 3, reward)
    assert again.to_bytes() == ranker.to_bytes()


def test_many_arms_agree_with_few():
    many, few = make(), make()
    for i in range(1000):
        many.add_arm(f"arm {i}")
    for context, features, arm, reward in stream(100):
        many.learn(context, features[arm], arm, reward)
        few.learn(context, features, arm, reward)
    context, features, _, _ = next(stream(1, seed=3))
    wide = np.vstack([features, np.zeros((1000, 2))])
    for big, small in zip(many.belief(context, wide), few.belief(context, features), strict=True):
        assert big[:3].tobytes() == small.tobytes()


def test_a_million_categories_stay_bounded():
    ranker = BayesianRanker(["a", "b"], contexts=["id"], experts=[(0.3, 0.0)], max_categories=100)
    n = 100_000
    for start in range(0, 10 * n, n):
        ids = [f"c{i}" for i in range(start, start + n)]
        ranker.learn_many({"id": ids}, None, np.arange(n) % 2, np.arange(n) % 3 / 2.0)
    assert len(ranker._weights.mean) <= 128
    assert len(ranker.to_bytes()) < 20_000
    beliefs = [ranker.belief({"id": name}).mean.tolist() for name in ("c1", "c999999", "never")]
    assert beliefs[0] != beliefs[1] == beliefs[2]


def test_memory_is_bounded_by_max_weights():
    ranker = make(experts=[(0.3, 0.0)], max_weights=200)  # 4 slots: 50 rows, 9 of them dense
    for i in range(500):
        ranker.learn({"hour": f"h{i}", "segment": f"s{i}"}, np.zeros(2), 0, 1.0)
    assert ranker._encoder.reserved == 41
    assert ranker._encoder.names[-2:] == [("segment", "(other)"), ("hour", "(other)")]
    with pytest.raises(LearnerError, match="max_weights is 200"):
        ranker.add_arm("soup")
    again = BayesianRanker.from_bytes(ranker.to_bytes())
    for model in (ranker, again):
        model.learn({"hour": "later"}, np.zeros(2), 0, 1.0)
    assert again.to_bytes() == ranker.to_bytes()


def test_a_missing_feature_and_an_unknown_name_change_nothing():
    ranker, same = trained(), trained()
    nan = np.full(2, np.nan)
    before = ranker._weights.action_mean.tobytes()
    ranker.learn({"hour": "a"}, nan, 0, 1.0)
    same.learn({"hour": "a", "age": None, "who": "cares"}, nan, 0, 1.0)
    assert ranker._weights.action_mean.tobytes() == before
    assert ranker.to_bytes() == same.to_bytes()


X = np.zeros((3, 2))
INFINITE = np.where(np.arange(6).reshape(3, 2) == 3, np.inf, 0.0)
COLUMNS = {"hour": ["a", "b"]}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.belief({"age": float("nan")}, X), "'age' must be a finite number"),
        (lambda r: r.belief({"age": float("inf")}, X), "'age' must be a finite number"),
        (lambda r: r.belief({"age": 1e101}, X), "'age' must be a finite number"),
        (lambda r: r.belief({"age": "7"}, X), "'age' must be a finite number or None, got '7'"),
        (lambda r: r.belief({"hour": 7}, X), "'hour' must be a string or None, got 7"),
        (lambda r: r.belief({}, None), r"float64\(3, 2\), got None"),
        (lambda r: r.belief({}, X[:2]), r"float64\(3, 2\), got \(2, 2\)"),
        (lambda r: r.belief({}, INFINITE), "'recency' in row 1 is not finite"),
        (lambda r: r.belief({}, "four"), "must be numbers"),
        (lambda r: r.learn({}, X, 3, 1.0), "unknown arm 3"),
        (lambda r: r.learn({}, X, -1, 1.0), "unknown arm -1"),
        (lambda r: r.learn({}, X, 0, float("nan")), "reward"),
        (lambda r: r.learn({}, X, 0, 1.5), "reward"),
        (lambda r: r.learn({}, INFINITE, 1, 1.0), "'recency' is not finite"),
        (lambda r: r.learn({}, X[0, :1], 1, 1.0), r"float64\(2,\), got \(1,\)"),
        (lambda r: r.learn({"hour": "new", "age": "x"}, X, 1, 1.0), "'age'"),
        (lambda r: r.learn({"segment": 1.5, "hour": "new"}, X, 1, 1.0), "'segment'"),
        (lambda r: r.learn({}, X, 1, 1.0, Offset(0.0, -1.0)), "offset"),
        (lambda r: r.learn({}, X, 1, 1.0, Offset(float("nan"), 1.0)), "offset"),
        (lambda r: r.learn_many(COLUMNS, X[:2], [0, 3], [0.0, 1.0]), "unknown arm 3"),
        (lambda r: r.learn_many(COLUMNS, X[:2], [0, 1], [0.0, 2.0]), "reward must be"),
        (lambda r: r.learn_many(COLUMNS, X[:2], [0.5, 1], [0.0, 1.0]), "arms must be int64"),
        (lambda r: r.learn_many(COLUMNS, X, [0, 1], [0.0, 1.0]), r"got \(3, 2\)"),
        (lambda r: r.learn_many({"hour": ["n"]}, X[:2], [0, 1], [0, 1]), "'hour' must have 2"),
        (lambda r: r.learn_many({"hour": ["n", 1]}, X[:2], [0, 1], [0, 1]), "'hour'"),
        (lambda r: r.learn_many({"age": [1, "x"]}, X[:2], [0, 1], [0, 1]), "'age'"),
        (lambda r: r.learn_many(COLUMNS, X[:2], [0, 1], [0, 1], [[0, 0], [0, -1]]), "offset"),
        (lambda r: r.explain({}, X, 9), "unknown arm 9"),
        (lambda r: r.add_arm("milk"), "'milk' is given twice"),
        (lambda r: r.add_arm(""), "must be a name"),
        (lambda r: r.retire_arm("beer"), "unknown arm 'beer'"),
    ],
)
def test_a_bad_call_says_why_and_changes_nothing(call, message):
    ranker = trained()
    before = ranker.to_bytes()
    with pytest.raises(LearnerError, match=message):
        call(ranker)
    assert ranker.to_bytes() == before


def test_a_retired_arm_cannot_learn():
    ranker = trained()
    ranker.retire_arm("milk")
    with pytest.raises(LearnerError, match="place 1 was retired"):
        ranker.learn({}, X, 1, 1.0)


@pytest.mark.parametrize(
    ("arms", "names", "message"),
    [
        ((), {}, "at least one arm"),
        (("a", "a"), {}, "'a' is given twice"),
        (("a", ""), {}, "arm 1 must be a name"),
        (ARMS, {"numbers": ["x"], "contexts": ["x"]}, "'x' is given twice"),
        (ARMS, {"numbers": [str(i) for i in range(64)]}, "at most 63 numbers, got 64"),
        (ARMS, {"action_features": ["f", "f"]}, "'f' is given twice"),
        (ARMS, {"experts": ()}, "experts"),
        (ARMS, {"experts": [(0.0, 0.0)]}, "prior variance of expert 0"),
        (ARMS, {"experts": [(1.0, 0.0), (1.0, 1.0)]}, "forgetting of expert 1"),
        (ARMS, {"share": 1.5}, "share"),
        (ARMS, {"bias_scale": 0.0}, "bias_scale"),
        (ARMS, {"shared_scale": -1.0}, "shared_scale"),
        (ARMS, {"feature_scale": float("nan")}, "feature_scale"),
        (ARMS, {"max_categories": 0}, "max_categories"),
        (ARMS, {"max_arms": 2}, "max_arms is 2"),
        (ARMS, {"max_weights": 10, "contexts": CONTEXTS}, "max_weights is 10"),
    ],
)
def test_a_ranker_that_cannot_be_is_refused(arms, names, message):
    with pytest.raises(LearnerError, match=message):
        BayesianRanker(arms, **names)


def test_every_damaged_byte_is_noticed():
    data = make().to_bytes()
    for i in range(0, len(data), 7):
        with pytest.raises(LearnerError, match="snapshot"):
            BayesianRanker.from_bytes(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :])
    assert set(NAMES) <= set(make().__dict__)
