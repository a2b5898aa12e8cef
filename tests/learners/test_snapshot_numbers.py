"""Weights that nothing learned can lead to, in a snapshot with a right checksum, are refused."""

import math

import numpy as np
import pytest

from nextbest.learners import ActionRanker, BayesianRanker, LearnerError, SegmentOfOne
from nextbest.learners.checkpoint import pack, unpack


def action_ranker():
    ranker = ActionRanker(["a", "b"], ["f"], ["hour"], bias_variance=0.0)
    ranker.update({"hour": "am"}, [[1.0], [2.0]], 0, 1.0)
    return ranker


def bayesian():
    ranker = BayesianRanker(["a", "b"], numbers=["x"], contexts=["hour"], action_features=["f"])
    ranker.learn({"hour": "am", "x": 1.0}, [1.0], 0, 1.0)
    return ranker


def segments():
    one = SegmentOfOne(BayesianRanker(["a", "b"]), ["region"])
    one.learn({"region": "north"}, None, 0, 1.0)
    return one


def read_segments(data):
    return SegmentOfOne.from_bytes(data, BayesianRanker.from_bytes)


KINDS = {
    "ActionRanker": (action_ranker, ActionRanker.from_bytes, ["mean", "variance"], ["variance"]),
    "BayesianRanker": (
        bayesian,
        BayesianRanker.from_bytes,
        ["mean", "variance", "centre", "root", "action_mean", "action_variance", "chances"],
        ["variance", "action_variance", "chances"],
    ),
    "SegmentOfOne": (segments, read_segments, ["evidence", "weights"], ["evidence", "weights"]),
}
CASES = [
    (kind, name, bad) for kind in KINDS for name in KINDS[kind][2] for bad in (math.nan, math.inf)
]
CASES += [(kind, name, -1e-9) for kind in KINDS for name in KINDS[kind][3]]


@pytest.mark.parametrize(("kind", "name", "bad"), CASES)
def test_it_is_refused_and_named(kind, name, bad):
    make, read, *_ = KINDS[kind]
    data = make().to_bytes()
    assert read(data).to_bytes() == data
    values, arrays = unpack(data, kind)
    arrays[name].reshape(-1)[-1] = bad
    with pytest.raises(LearnerError, match=f"array '{name}' of the model snapshot holds"):
        read(pack(kind, values, arrays))


def test_experts_whose_weights_are_no_probabilities_are_refused():
    values, arrays = unpack(bayesian().to_bytes(), "BayesianRanker")
    arrays["chances"] = np.full_like(arrays["chances"], 0.5)
    with pytest.raises(LearnerError, match="no probabilities"):
        BayesianRanker.from_bytes(pack("BayesianRanker", values, arrays))
