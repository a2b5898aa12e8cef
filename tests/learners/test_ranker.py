"""The action ranker: its model, its propensities, its replay, its snapshot, its errors."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import ActionRanker, ADFLogisticRegression, LearnerError
from nextbest.learners.kernels import rank
from tests.naive.learners import NaiveADF, naive_squarecb, naive_uniform

ARMS = ("bread", "milk", "eggs", "soup")
FEATURES = ("affinity", "recency", "share")
CONTEXTS = ("hour", "age")


def make(**settings):
    return ActionRanker(ARMS, FEATURES, CONTEXTS, **{"gamma": 5.0, "seed": 3, **settings})


def decisions(n, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        features = rng.normal(size=(4, 3))
        features[rng.random((4, 3)) < 0.1] = np.nan
        context = {"hour": str(rng.choice(["am", "pm"])), "age": None}
        if rng.random() < 0.5:
            context["age"] = str(rng.integers(20, 60))
        eligible = rng.random(4) < 0.8
        eligible[rng.integers(4)] = True
        yield context, features, eligible, rng.random(4) < 0.3


def run(ranker, stream):
    pulls = []
    for context, features, eligible, rewards in stream:
        pull = ranker.pull(context, features, eligible)
        ranker.update(context, features, pull.arm, float(rewards[pull.arm]))
        pulls.append(pull)
    return pulls


def bits(pulls):
    return [
        (p.arm, p.draw, p.propensity, p.ranking.tobytes(), p.scores.tobytes(), p.decision)
        for p in pulls
    ]


def test_the_model_is_the_classifier_on_encoded_observations():
    ranker = make()
    model = ADFLogisticRegression(prior_variance=0.03, forgetting=1e-4)
    model.allocate(FEATURES, 1.0)
    model.allocate([("arm", arm) for arm in ARMS], 0.03)
    for context, features, eligible, rewards in decisions(300):
        pull = ranker.pull(context, features, eligible)
        for arm, score in enumerate(pull.scores):
            expected = model.predict_proba_one(ranker.encode(context, features, arm))[True]
            assert score == pytest.approx(expected, abs=1e-12)
        y = bool(rewards[pull.arm])
        model.learn_one(ranker.encode(context, features, pull.arm), y)
        ranker.update(context, features, pull.arm, float(y))
    learned = model.weights
    shared = {name: weight for name, weight in ranker.model.weights.items() if name in learned}
    assert shared == learned  # the same arithmetic in the same order: bit for bit
    assert ranker.model.mean[0] == model.mean[0]


def test_equals_its_twin_from_features_to_propensities():
    ranker, twin = make(gamma=2.0), NaiveADF(prior_variance=0.03, forgetting=1e-4)
    twin.allocate(FEATURES, 1.0)
    twin.allocate([("arm", arm) for arm in ARMS], 0.03)
    for t, (context, features, eligible, rewards) in enumerate(decisions(200), start=1):
        pull = ranker.pull(context, features, eligible)
        scores = [twin.predict(ranker.encode(context, features, arm)) for arm in range(4)]
        np.testing.assert_allclose(pull.scores, scores, rtol=0, atol=1e-9)
        expected = naive_squarecb(scores, eligible, 2.0 * t**0.5)
        np.testing.assert_allclose(pull.propensities, expected, rtol=0, atol=1e-6)
        assert pull.draw == naive_uniform(3, t)
        assert pull.propensity == pull.propensities[pull.arm] > 0.0
        assert pull.ranking.tolist() == sorted(
            np.flatnonzero(eligible), key=lambda arm: -pull.scores[arm]
        )
        reward = float(rewards[pull.arm]) / 2
        twin.learn(ranker.encode(context, features, pull.arm), reward)
        ranker.update(context, features, pull.arm, reward)


def test_frequencies_are_the_propensities():
    ranker = make()
    run(ranker, decisions(100))
    context, features, _, _ = next(decisions(1, seed=9))
    features = np.nan_to_num(features)
    n = 20_000
    pulls = [ranker.pull(context, features, decision=101 + i) for i in range(n)]
    counts = np.bincount([pull.arm for pull in pulls], minlength=4)
    expected = np.sum([pull.propensities for pull in pulls], axis=0)
    assert (abs(counts - expected) < 5 * np.sqrt(expected)).all()
    assert (counts > 100).all()


@given(cut=st.integers(0, 60))
@settings(max_examples=15, deadline=None)
def test_a_restored_ranker_continues_bit_for_bit(cut):
    stream = list(decisions(60))
    whole, first = make(), make()
    expected = run(whole, stream)
    head = run(first, stream[:cut])
    second = ActionRanker.from_bytes(first.to_bytes())
    assert second.to_bytes() == first.to_bytes()
    tail = run(second, stream[cut:])
    assert bits(head + tail) == bits(expected)
    assert second.to_bytes() == whole.to_bytes()


@pytest.mark.parametrize("gamma", [2.0, float("inf")])
def test_a_snapshot_keeps_settings_names_and_counts(gamma):
    ranker = make(gamma=gamma, forgetting=0.125, max_categories=2)
    run(ranker, decisions(30))
    restored = ActionRanker.from_bytes(ranker.to_bytes())
    assert (restored.arms, restored.action_features, restored.contexts) == (
        ARMS,
        FEATURES,
        CONTEXTS,
    )
    assert restored.decisions == restored.updates == 30
    assert restored.model.weights == ranker.model.weights
    assert restored.model.prior.tobytes() == ranker.model.prior.tobytes()
    assert restored._settings == ranker._settings


def test_every_damaged_byte_is_noticed():
    data = make().to_bytes()
    for i in range(len(data)):
        damaged = data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]
        with pytest.raises(LearnerError, match="snapshot"):
            ActionRanker.from_bytes(damaged)
    for cut in (0, 3, 14, 100, len(data) - 1):
        with pytest.raises(LearnerError, match="snapshot"):
            ActionRanker.from_bytes(data[:cut])


def test_a_logged_decision_can_be_made_again_and_changes_nothing():
    ranker = make()
    logged = []
    for context, features, eligible, _ in decisions(20):
        logged.append((context, features, eligible, ranker.pull(context, features, eligible)))
    before = ranker.to_bytes()
    for context, features, eligible, pull in reversed(logged):
        again = ranker.pull(context, features, eligible, decision=pull.decision)
        assert bits([again]) == bits([pull])
    assert ranker.to_bytes() == before


def test_a_pull_cannot_be_changed():
    pull = make().pull({}, np.zeros((4, 3)))
    with pytest.raises(AttributeError):
        pull.arm = 1
    for array in (pull.scores, pull.propensities):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_a_pull_learns_nothing():
    ranker = make()
    run(ranker, decisions(20))
    mean, variance = ranker.model.mean.copy(), ranker.model.variance.copy()
    for context, features, eligible, _ in decisions(50, seed=4):
        ranker.pull(context, features, eligible)
    assert ranker.model.mean.tobytes() == mean.tobytes()
    assert ranker.model.variance.tobytes() == variance.tobytes()


def test_the_chosen_arms_row_is_enough_to_learn():
    full, row = make(), make()
    for context, features, _, rewards in decisions(50):
        full.update(context, features, 2, float(rewards[2]))
        row.update(context, features[2], 2, float(rewards[2]))
    assert full.to_bytes() == row.to_bytes()


def test_a_missing_feature_contributes_and_learns_nothing():
    features = np.zeros((4, 3))
    features[:, 1] = np.nan
    ranker = make()
    run(ranker, decisions(100))
    before = ranker.model.weights["recency"]
    zero = np.nan_to_num(features)
    missing, present = (ranker.pull({}, x, decision=1).scores for x in (features, zero))
    assert missing.tolist() == present.tolist()
    ranker.update({}, features, 0, 1.0)
    assert ranker.model.weights["recency"] == before


def test_contributions_add_up_to_the_logit():
    ranker = make()
    run(ranker, decisions(200))
    context, features, _, _ = next(decisions(1, seed=2))
    features = np.nan_to_num(features, nan=0.5)
    for arm in range(4):
        reasons = ranker.explain(context, features, arm)
        z, _ = ranker.model.logit_one(ranker.encode(context, features, arm))
        assert sum(value for _, value in reasons) == pytest.approx(z, abs=1e-12)
        sizes = [abs(value) for _, value in reasons]
        assert sizes == sorted(sizes, reverse=True)
        assert ranker.explain(context, features, arm, top=2) == reasons[:2]
        assert {name for name, _ in reasons} >= {"on average", "affinity", f"arm = {ARMS[arm]}"}


def test_it_finds_the_rewarding_arm_of_each_context():
    ranker = make(gamma=20.0, arm_variance=1.0, context_variance=1.0)
    features = np.zeros((4, 3))
    earned = 0.0
    for i in range(2000):
        hour = "am" if i % 2 else "pm"
        arm = ranker.pull({"hour": hour}, features).arm
        reward = float(ARMS[arm] == ("milk" if hour == "am" else "soup"))
        ranker.update({"hour": hour}, features, arm, reward)
        earned += reward * (i >= 1000)
    assert earned / 1000 > 0.9


def test_categories_are_bounded_and_later_ones_share():
    ranker = make(max_categories=3)
    features = np.zeros((4, 3))
    for i in range(100):
        ranker.update({"hour": f"h{i}", "age": None}, features, 1, 1.0)
    assert len(ranker.model.mean) == 1 + 3 + 4 + 4 * (3 + 1) + 4
    scores = [ranker.pull({"hour": h}, features).scores[1] for h in ("h50", "h99", "h1")]
    assert scores[0] == scores[1] != scores[2]
    assert ("milk & hour", "(other)") in ranker.model.weights


def test_customers_do_not_grow_the_model():
    ranker = make()
    run(ranker, decisions(500))
    n = len(ranker.model.mean)
    for i, (context, features, _, _) in enumerate(decisions(500)):
        ranker.update({**context, "customer": f"c{i}"}, features, 0, 0.0)
    assert len(ranker.model.mean) == n


def test_the_json_of_a_snapshot_holds_no_code():
    data = make().to_bytes()
    length = int.from_bytes(data[6:14], "little")
    header = json.loads(data[14 : 14 + length])
    assert header["kind"] == "ActionRanker"
    assert [array["name"] for array in header["arrays"]] == ["mean", "variance"]


X = np.zeros((4, 3))
INFINITE = np.where(np.arange(12).reshape(4, 3) == 7, np.inf, 0.0)
HUGE = np.where(np.arange(12).reshape(4, 3) == 7, -1e155, 0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.pull({}, X, np.zeros(4, bool)), "no arm is eligible"),
        (lambda r: r.pull({}, X[:2]), r"\(4, 3\), got \(2, 3\)"),
        (lambda r: r.pull({}, X, [True]), r"eligible must be bool\(4,\)"),
        (lambda r: r.pull({}, INFINITE), "'recency' of arm 'eggs' is not a finite number"),
        (lambda r: r.pull({}, HUGE), "'recency' of arm 'eggs' is not a finite number"),
        (lambda r: r.pull({}, "four"), "must be numbers"),
        (lambda r: r.pull({"hour": 7}, X), "'hour' must be a string or None, got 7"),
        (lambda r: r.pull({}, X, decision=0), "numbered from 1"),
        (lambda r: r.update({}, X, 4, 1.0), "unknown arm 4"),
        (lambda r: r.update({}, X, -1, 1.0), "unknown arm -1"),
        (lambda r: r.update({}, X, 0, float("nan")), "reward"),
        (lambda r: r.update({}, X, 0, 1.5), "reward"),
        (lambda r: r.update({}, X, 0, -0.1), "reward"),
        (lambda r: r.update({}, X[:3], 0, 1.0), r"got \(3, 3\)"),
        (lambda r: r.update({}, INFINITE, 2, 1.0), "'recency' of arm 'eggs' is not a finite"),
        (lambda r: r.update({"hour": "new"}, HUGE, 2, 1.0), "'recency' of arm 'eggs' is not"),
        (lambda r: r.update({"hour": 1.5}, X, 0, 1.0), "'hour'"),
        (lambda r: r.explain({}, X, 9), "unknown arm 9"),
    ],
)
def test_a_bad_call_says_why_and_changes_nothing(call, message):
    ranker = make()
    before = ranker.to_bytes()
    with pytest.raises(LearnerError, match=message):
        call(ranker)
    assert ranker.to_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (((), FEATURES, CONTEXTS), {}, "at least one arm"),
        ((("a", "a"), FEATURES, CONTEXTS), {}, "'a' is given twice"),
        ((("a", ""), FEATURES, CONTEXTS), {}, "arm 1 must be a name"),
        ((ARMS, ("f", "f"), CONTEXTS), {}, "'f' is given twice"),
        ((ARMS, ("arm",), CONTEXTS), {}, "'arm' is given twice"),
        ((ARMS, FEATURES, ("hour", "hour")), {}, "'hour' is given twice"),
        ((("a", "a & b"), FEATURES, ("b & c", "c")), {}, "'a & b & c' is given twice"),
        ((ARMS, FEATURES, CONTEXTS), {"gamma": 0.0}, "gamma"),
        ((ARMS, FEATURES, CONTEXTS), {"arm_variance": 0.0}, "arm_variance"),
        ((ARMS, FEATURES, CONTEXTS), {"forgetting": 1.0}, "forgetting"),
        ((ARMS, FEATURES, CONTEXTS), {"max_categories": 0}, "max_categories"),
        ((ARMS, FEATURES, CONTEXTS), {"seed": -1}, "seed"),
    ],
)
def test_a_ranker_that_cannot_be_is_refused(arguments, settings, message):
    with pytest.raises(LearnerError, match=message):
        ActionRanker(*arguments, **settings)


def test_scoring_a_thousand_arms_agrees_with_thirty():
    ids = [f"a{i}" for i in range(1000)]
    features = np.random.default_rng(1).normal(size=(1000, 3))
    many = ActionRanker(ids, FEATURES, ())
    few = ActionRanker(ids[:30], FEATURES, ())
    for arm in range(30):
        many.update({}, features, arm, 1.0)
        few.update({}, features[:30], arm, 1.0)
    assert (
        many.pull({}, features).scores[:30].tolist() == few.pull({}, features[:30]).scores.tolist()
    )


def test_equal_scores_are_ranked_in_arm_order():
    scores, eligible = np.tile([0.5, 0.9, 0.5], 100), np.ones(300, bool)
    eligible[[0, 4]] = False
    expected = sorted(np.flatnonzero(eligible), key=lambda arm: -scores[arm])
    assert rank.order(scores, eligible).tolist() == expected
