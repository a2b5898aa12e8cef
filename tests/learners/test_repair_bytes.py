"""A repairing learner as bytes: another process goes on to the same weights."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import (
    BayesianRanker,
    Example,
    LearnerError,
    RepairingLearner,
    SegmentOfOne,
    learn_person,
)
from nextbest.learners.arm_weights import Expert


def load(data):
    return SegmentOfOne.from_bytes(data, BayesianRanker.from_bytes)


HOW = {"learn": learn_person, "save": SegmentOfOne.to_bytes, "load": load}


def make():
    shared = BayesianRanker(["tea", "coffee"], action_features=["fit"], experts=[Expert(1.0, 0.0)])
    model = SegmentOfOne(shared, ["region"])
    return RepairingLearner(model, window=300, every=4, snapshots=4, max_examples=20, **HOW)


def stream(n):
    """Every third comes 100 late; every fifth was silent and is heard of 60 later."""
    out = []
    for i in range(n):
        context = {"region": "north" if i % 2 else None, "visits": i / 2, "new": i < 5}
        fit = [[0.5], [i % 4 / 4]] if i % 7 else [[float("nan")], [1.0]]
        e = Example(
            f"e{i}", i * 10, i, context, fit, i % 2, float(i % 3 == 0), i % 5 == 0, f"c{i % 6}"
        )
        out.append((i * 10 + 100 * (i % 3 == 0), e))
        if e.silence:
            out.append((i * 10 + 60, e._replace(time=i * 10 + 5, reward=1.0, silence=False)))
    return [e for _, e in sorted(out, key=lambda pair: pair[0])]


@given(cut=st.integers(0, 36))
@settings(max_examples=6, deadline=None)
def test_a_restored_learner_goes_on_bit_for_bit(cut):
    whole, first = make(), make()
    given_ = stream(30)
    rows, again = {}, {}
    for e in given_:
        rows |= whole.learn_many([e], rows).people
    for e in given_[:cut]:
        again |= first.learn_many([e], again).people
    second = RepairingLearner.from_bytes(first.to_bytes(), **HOW)
    assert second.to_bytes() == first.to_bytes()
    for e in given_[cut:]:
        again |= second.learn_many([e], again).people
    assert again == rows
    assert second.model.to_bytes() == whole.model.to_bytes()
    assert (second.learned, second.replaced) == (whole.learned, whole.replaced)
    assert second.reach == whole.reach


def test_damaged_bytes_are_refused():
    learner = make()
    learner.learn_many(stream(10))
    data = learner.to_bytes()
    for i in range(0, len(data), 97):
        damaged = data[:i] + bytes([data[i] ^ 4]) + data[i + 1 :]
        with pytest.raises(LearnerError, match="snapshot"):
            RepairingLearner.from_bytes(damaged, **HOW)


def test_without_a_way_to_bytes_there_are_none():
    with pytest.raises(LearnerError, match="save"):
        RepairingLearner(BayesianRanker(["a"]), window=1).to_bytes()
