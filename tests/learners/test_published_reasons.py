"""What a published model says for an arm adds up to what it believes of it."""

import math

import numpy as np
import pytest

from nextbest.learners import BayesianRanker, LearnerError, SegmentOfOne
from nextbest.learners.published_reasons import published_reasons


def taught():
    rng = np.random.default_rng(3)
    ranker = BayesianRanker(
        ["a", "b", "c"], numbers=["x", "y"], contexts=["h"], action_features=["f"]
    )
    one = SegmentOfOne(ranker, ["s"])
    ann = b""
    for i in range(150):
        context = {"h": str(i % 3), "s": str(i % 2), "x": float(rng.normal()), "y": 0.1 * i}
        arm = int(rng.integers(3))
        ann = one.learn(context, rng.normal(size=1), arm, float(i % 3 == arm), person=ann)
    return one, ann


ONE, ANN = taught()
FEATURES = np.array([[0.5], [-1.0], [np.nan]])


@pytest.mark.parametrize("person", [None, b"", ANN], ids=["nobody", "new", "ann"])
@pytest.mark.parametrize("arm", range(3))
@pytest.mark.parametrize("hour", ["1", "never"])
def test_reasons_add_up_to_the_mean(arm, person, hour):
    model = ONE.publish()
    context = {"h": hour, "s": "1", "x": 0.7, "y": -0.2}
    found = published_reasons(model, context, FEATURES[arm], arm, person)
    mean = model.belief(context, FEATURES, person).mean[arm]
    assert math.fsum(part for _, part in found) == pytest.approx(mean, abs=1e-5)
    sizes = [abs(part) for _, part in found]
    assert sizes == sorted(sizes, reverse=True)


def test_they_are_the_live_models_reasons():
    context = {"h": "1", "s": "1", "x": 0.7, "y": -0.2}
    found = dict(published_reasons(ONE.publish(), context, FEATURES[1], 1, ANN))
    live = dict(ONE.model.explain(context, FEATURES, 1))
    assert found["h = 1"] == pytest.approx(live["h = 1"] + live["b & h = 1"], abs=1e-5)
    assert found["x"] == pytest.approx(live["x"] + live["b & x"], abs=1e-5)
    assert found["f"] == pytest.approx(live["f"], abs=1e-5)
    for label, part in ONE.explain(context, 1, ANN):
        assert found[label] == pytest.approx(part, abs=1e-5)


def test_only_the_largest_are_kept():
    assert len(published_reasons(ONE.publish(), {"h": "1"}, FEATURES[0], 0, top=2)) == 2


def test_an_unknown_place_is_refused():
    with pytest.raises(LearnerError, match="unknown arm 3"):
        published_reasons(ONE.publish(), {}, FEATURES[0], 3)
