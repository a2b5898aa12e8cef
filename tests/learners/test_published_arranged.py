"""A published model of other arms: those it knows keep their belief, others are as untried."""

import numpy as np
import pytest

from nextbest.learners import BayesianRanker, LearnerError, SegmentOfOne
from nextbest.learners.arranging import arranged
from nextbest.learners.published import PublishedArms


def taught():
    """A model with segments, persons, action features and one place that is free."""
    rng = np.random.default_rng(1)
    ranker = BayesianRanker(
        ["a", "b", "gone", "c"], numbers=["x"], contexts=["h"], action_features=["f"]
    )
    one = SegmentOfOne(ranker, ["s"], person_arms=4)
    ann = b""
    for i in range(200):
        context = {"h": str(i % 3), "s": str(i % 2), "x": float(rng.normal())}
        features = rng.normal(size=(4, 1))
        arm = int(rng.integers(4))
        ann = one.learn(context, features, arm, float(rng.random() < 0.2 + 0.2 * arm), person=ann)
    ranker.retire_arm("gone")
    return one, ann


ONE, ANN = taught()
CONTEXT = {"h": "1", "s": "0", "x": 0.4}


def test_known_arms_keep_their_belief_bit_for_bit_in_any_order():
    served = ONE.publish()
    features = np.array([[0.1], [0.2], [0.3], [0.4]])
    before = served.belief(CONTEXT, features, ANN)
    turned = arranged(served, ["c", "a"])
    after = turned.belief(CONTEXT, features[[3, 0]], ANN)
    for was, now in zip(before, after, strict=True):
        assert now.tolist() == was[[3, 0]].tolist()
    assert turned.arms == ("c", "a")
    assert turned.version == served.version


def test_an_unknown_arm_is_as_one_that_was_just_added():
    served = arranged(ONE.publish(), ["new", "b", "newer"])
    own = served.belief(CONTEXT, [[0.2], [0.3], [0.7]], ANN)
    live = SegmentOfOne.from_bytes(ONE.to_bytes(), BayesianRanker.from_bytes)
    place = live.model.add_arm("new")
    expected = live.belief(CONTEXT, np.full((4, 1), 0.2), ANN)
    for was, now in zip(expected, own, strict=True):
        assert now[0] == pytest.approx(was[place], abs=2e-6)
    other = live.belief(CONTEXT, np.full((4, 1), 0.7), ANN)
    assert own.probability[2] == pytest.approx(other.probability[place], abs=2e-6)


def test_a_segment_of_which_nothing_is_known_is_as_uncertain_for_all():
    served = arranged(ONE.publish(), ["new", "a"])
    unseen = {**CONTEXT, "s": "never"}
    live = SegmentOfOne.from_bytes(ONE.to_bytes(), BayesianRanker.from_bytes)
    place = live.model.add_arm("new")
    expected = live.belief(unseen, np.zeros((4, 1)), b"")
    own = served.belief(unseen, np.zeros((2, 1)), b"")
    assert own.variance[0] == pytest.approx(expected.variance[place], rel=1e-5)


def test_it_travels_as_bytes():
    served = arranged(ONE.publish(), ["new", "b"])
    again = PublishedArms.from_bytes(served.to_bytes())
    features = np.zeros((2, 1))
    for was, now in zip(
        served.belief(CONTEXT, features, ANN), again.belief(CONTEXT, features, ANN), strict=True
    ):
        assert now.tolist() == was.tolist()


@pytest.mark.parametrize(
    ("arms", "said"),
    [(["a", "a"], "twice"), ([""], "name"), (["a", "new"], "no place free")],
    ids=["twice", "empty", "no-room"],
)
def test_what_cannot_be_arranged_is_refused(arms, said):
    full = BayesianRanker(["a", "b"]).publish()
    with pytest.raises(LearnerError, match=said):
        arranged(full, arms)
