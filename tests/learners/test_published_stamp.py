"""A published model can say where it stands among others; and can have a place to spare."""

import pytest

from nextbest.learners import BayesianRanker, LearnerError, PublishedArms, SegmentOfOne, Stamp
from nextbest.learners.checkpoint import pack, unpack
from tests.learners.bayesian_cases import make, stream

LINE, OTHER = "0123456789abcdef", "fedcba9876543210"


def taught():
    one = SegmentOfOne(make(), ["hour"])
    for context, features, arm, reward in stream(50):
        one.learn(context, features, arm, reward, person=b"")
    return one


def test_a_stamp_goes_through_bytes_and_changes_nothing_else():
    served = taught().publish()
    plain, stamp = served.to_bytes(), Stamp(LINE, 2**63 - 1)
    stamped = PublishedArms.from_bytes(served.stamped(stamp).to_bytes())
    assert (served.stamp, stamped.stamp, stamped.version) == (None, stamp, 50)
    assert stamped.stamped(None).to_bytes() == plain
    assert stamped.to_bytes() != plain


def test_only_of_one_timeline_is_it_known_what_is_older():
    known = Stamp(LINE, 5)
    older = [stamp for stamp in (Stamp(LINE, 4), Stamp(LINE, 5), Stamp(LINE, 6), Stamp(OTHER, 4))
             if stamp.is_older(known)]  # fmt: skip
    assert older == [Stamp(LINE, 4)]
    assert not known.is_older(None)


@pytest.mark.parametrize(
    "stamp",
    [
        "x", [LINE], [LINE, 1, 2], [7, 1], ["0" * 15, 1], ["G" * 16, 1], [LINE + "\n", 1],
        [LINE, -1], [LINE, 1.0], [LINE, True], [LINE, 2**63], {"timeline": LINE},
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_stamp_is_refused(stamp):
    served = taught().publish()
    with pytest.raises(LearnerError, match="a published model's"):
        served.stamped(stamp)
    values, arrays = unpack(served.to_bytes(), "PublishedArms")
    with pytest.raises(LearnerError, match="a published model's"):
        PublishedArms.from_bytes(pack("PublishedArms", {**values, "stamp": stamp}, arrays))


def test_a_place_to_spare_is_a_new_arm_and_the_learner_keeps_none():
    one = taught()
    before = one.to_bytes()
    served = one.publish(spare=True)
    assert one.to_bytes() == before
    assert served.arms == (*one.arms, "")
    one.model.add_arm("free")
    one.model.retire_arm("free")
    assert one.publish(spare=True).to_bytes() == one.publish().to_bytes() == served.to_bytes()
    # It learns on as if it had never been published.
    again = SegmentOfOne.from_bytes(before, BayesianRanker.from_bytes)
    one = SegmentOfOne.from_bytes(before, BayesianRanker.from_bytes)
    one.publish(spare=True)
    for learner in (one, again):
        for context, features, arm, reward in stream(20, seed=1):
            learner.learn({**context, "hour": "new"}, features, arm, reward)
    assert one.to_bytes() == again.to_bytes()
