"""The segment of one: its twin, its blocks, its size, its snapshot, its errors."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import BayesianRanker, LearnerError, OnePerson, SegmentOfOne
from nextbest.learners.arm_weights import Expert
from nextbest.learners.base import ArmModel, Offset
from nextbest.learners.person import unpack_person
from tests.learners.worlds import PlainArms
from tests.naive.personal import NaiveSegmentOfOne

ARMS = ["tea", "coffee", "milk"]
CANDIDATES = (0.0, 0.1, 1.0)
EXPERTS = [Expert(0.3, 0.0), Expert(1.0, 1e-3)]


def make(**more):
    return SegmentOfOne(BayesianRanker(ARMS, experts=EXPERTS), ["region", "age"], **more)


def rewards(size=60):
    context = st.fixed_dictionaries(
        {"region": st.sampled_from(["north", "south", None])},
        optional={"age": st.sampled_from(["young", "old"])},
    )
    return st.lists(
        st.tuples(
            context,
            st.integers(0, 2),
            st.sampled_from([0.0, 0.25, 1.0]),
            st.sampled_from([None, "ann", "bob"]),
        ),
        min_size=1,
        max_size=size,
    )


def run(one, stream, blocks):
    for context, arm, reward, who in stream:
        if who is None:
            assert one.learn(context, None, arm, reward) == b""
        else:
            blocks[who] = one.learn(context, None, arm, reward, person=blocks.get(who, b""))
    return blocks


@pytest.mark.parametrize("variances", [CANDIDATES, (0.3,), (0.0,)], ids=["several", "one", "zero"])
@given(stream=rewards())
@settings(max_examples=25, deadline=None)
def test_equals_its_twin(variances, stream):
    one = SegmentOfOne(
        PlainArms(ARMS), ["region", "age"], segment_variance=variances, person_variance=variances
    )
    twin = NaiveSegmentOfOne(PlainArms(ARMS), ["region", "age"], variances, variances)
    blocks = {}
    for context, arm, reward, who in stream:
        block = None if who is None else blocks.get(who, b"")
        found = one.belief(context, None, block)
        expected = twin.belief(context, who)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        run(one, [(context, arm, reward, who)], blocks)
        twin.learn(context, arm, reward, who)
    for name, level in twin.levels.items():
        expected = sum(t * w for t, w in zip(level.variances, level.weights, strict=True))
        assert one.spread[name] == pytest.approx(expected, abs=1e-6)


def test_is_a_model_of_arms_for_one_person():
    one = make()
    ann: ArmModel = one.of(b"")
    assert isinstance(ann, OnePerson)
    step = ann.learn({"region": "north"}, None, 1, 1.0, Offset(0.2, 0.1))
    assert 0.0 < step.curvature < 0.25 < step.slope
    assert list(ann.arms) == ARMS
    assert ann.live.tolist() == [True] * 3
    np.testing.assert_array_equal(
        ann.belief({"region": "north"}).mean, one.belief({"region": "north"}, None, ann.block).mean
    )


def test_without_segments_and_persons_it_is_the_shared_model():
    shared = BayesianRanker(ARMS, experts=EXPERTS)
    one = SegmentOfOne(copy.deepcopy(shared), ["region"], segment_variance=0.0, person_variance=0.0)
    block = b""
    for i in range(60):
        context = {"region": str(i % 2)}
        block = one.learn(context, None, i % 3, float(i % 4 == 0), person=block)
        shared.learn(context, None, i % 3, float(i % 4 == 0))
    assert one.model.to_bytes() == shared.to_bytes()
    for ours, theirs in zip(
        one.belief({"region": "0"}, None, block), shared.belief({}), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_the_model_is_as_large_for_many_persons_as_for_few():
    def size(persons):
        one, blocks = make(), {}
        for i in range(1000):
            who = i % persons
            context = {"region": str(i % 3), "age": None}
            blocks[who] = one.learn(context, None, i % 3, float(i % 2), person=blocks.get(who, b""))
        assert {len(block) for block in blocks.values()} == {one.person_bytes}
        return len(make().to_bytes()), one._rows.row(0).nbytes, len(one.to_bytes())

    empty, few = size(2)[0], size(2)
    many = size(500)
    assert few[:2] == many[:2]
    assert abs(few[2] - many[2]) < 64  # the digits of a number in the header
    assert make().person_bytes < 300 < empty


def test_a_level_shrinks_towards_the_one_above():
    one, blocks = make(person_variance=0.5, segment_variance=0.5), {}
    rng = np.random.default_rng(0)
    for i in range(3000):
        region = "north" if i % 2 else "south"
        chance = 0.8 if region == "north" else 0.2
        run(
            one,
            [({"region": region}, 0, float(rng.random() < chance), f"{region}{i % 40}")],
            blocks,
        )
    run(one, [({"region": "north"}, 0, 0.0, "rebel")] * 12, blocks)
    p = [
        one.belief({"region": region}, None, blocks.get(who, b"")).probability[0]
        for region, who in (("south", ""), ("west", ""), ("north", ""), ("north", "rebel"))
    ]
    assert p[0] < 0.35 < p[1] < 0.65 < p[2]
    assert p[3] < 0.5  # twelve refusals of one's own count for more than the segment


def test_the_variance_of_persons_is_found():
    def spread(variance):
        rng = np.random.default_rng(4)
        own = rng.normal(0.0, variance**0.5, size=(60, 3))
        one = SegmentOfOne(PlainArms(ARMS))
        blocks = [b""] * 60
        for i in range(6000):
            who, arm = i % 60, int(rng.integers(3))
            chance = 1.0 / (1.0 + np.exp(-own[who, arm]))
            blocks[who] = one.learn({}, None, arm, float(rng.random() < chance), person=blocks[who])
        return one.spread["person & arm"]

    assert spread(0.0) < 0.03
    assert 0.5 < spread(1.0) <= 1.0


def test_a_full_block_keeps_the_arms_that_tell_most():
    arms = [f"arm{i}" for i in range(10)]
    one = SegmentOfOne(PlainArms(arms), person_arms=3, person_variance=1.0)
    block = b""
    for arm, times in ((0, 8), (1, 6), (2, 1), (3, 1), (4, 1)):
        for _ in range(times):
            block = one.learn({}, None, arm, 1.0, person=block)
            assert len(block) == one.person_bytes
    kept = [name for name, part in _parts(one, block).items() if part != 0.0]
    assert kept == ["arm0", "arm1", "arm4"]
    wider = SegmentOfOne(one.model, person_arms=5, person_variance=1.0)
    assert _parts(wider, block) == _parts(one, block)
    block = wider.learn({}, None, 9, 1.0, person=block)
    assert len(unpack_person(block).keys) == 4
    narrow = SegmentOfOne(one.model, person_arms=1, person_variance=1.0)
    assert len(unpack_person(narrow.learn({}, None, 9, 1.0, person=block)).keys) == 1


def _parts(one, block):
    return {
        name: dict(one.explain({}, arm, block))[f"person & {name}"]
        for arm, name in enumerate(one.arms)
    }


def test_an_arm_at_the_place_of_another_starts_anew():
    model = BayesianRanker(ARMS, experts=EXPERTS)
    one = SegmentOfOne(model, ["region"], segment_variance=0.5, person_variance=0.5)
    block = b""
    for _ in range(5):
        block = one.learn({"region": "north"}, None, 1, 1.0, person=block)
    place = model.retire_arm("coffee")
    with pytest.raises(LearnerError, match="place 1"):
        one.learn({"region": "north"}, None, 1, 1.0, person=block)
    assert model.add_arm("cocoa") == place == 1
    parts = dict(one.explain({"region": "north"}, 1, block))
    assert parts["region = north"] == parts["person & cocoa"] == 0.0
    assert parts["person"] > 0.0
    assert model.add_arm("water") == 3
    assert len(one.belief({"region": "north"}, None, block).mean) == 4


def test_what_explains_an_arm_adds_up():
    one, blocks = make(), {}
    run(one, [({"region": "north"}, i % 3, float(i % 2), "ann") for i in range(40)], blocks)
    for arm in range(3):
        parts = one.explain({"region": "north"}, arm, blocks["ann"])
        names = ["region = north", "age = (missing)", "person", f"person & {ARMS[arm]}"]
        assert [name for name, _ in parts] == names
        shared = one.model.belief({"region": "north"}).mean[arm]
        whole = one.belief({"region": "north"}, None, blocks["ann"]).mean[arm]
        assert shared + sum(part for _, part in parts) == pytest.approx(whole, abs=1e-12)


@given(stream=rewards(30), cut=st.integers(0, 30))
@settings(max_examples=10, deadline=None)
def test_a_restored_model_continues_bit_for_bit(stream, cut):
    whole = make(max_categories=2, forgetting=0.01)
    blocks = run(whole, stream, {})
    first = make(max_categories=2, forgetting=0.01)
    again = run(first, stream[:cut], {})
    second = SegmentOfOne.from_bytes(first.to_bytes(), BayesianRanker.from_bytes)
    assert run(second, stream[cut:], again) == blocks
    assert second.to_bytes() == whole.to_bytes()


def test_segments_are_bounded():
    one = SegmentOfOne(PlainArms(ARMS), ["region"], max_categories=3)
    for i in range(50):
        one.learn({"region": f"r{i}"}, None, 0, 1.0)
    assert one._rows.state()[1].shape == (2, 4, 3)


def test_what_the_model_refuses_changes_nothing():
    one = make()
    block = one.learn({"region": "north"}, None, 0, 1.0, person=b"")
    before = one.to_bytes()
    for context, arm, reward in (
        ({"region": "west"}, 0, 2.0),
        ({"region": "west"}, 7, 1.0),
        ({"region": 5}, 0, 1.0),
    ):
        with pytest.raises(LearnerError):
            one.learn(context, None, arm, reward, person=block)
    assert one.to_bytes() == before


@pytest.mark.parametrize(
    "setting",
    [
        {"segment_variance": -0.1},
        {"person_variance": []},
        {"person_variance": "much"},
        {"person_variance": float("nan")},
        {"forgetting": 1.0},
        {"person_arms": 0},
        {"person_arms": 256},
        {"max_categories": 0},
    ],
    ids=lambda setting: "-".join(map(str, *setting.items())),
)
def test_a_setting_out_of_range_is_named(setting):
    with pytest.raises(LearnerError, match=next(iter(setting))):
        make(**setting)


@pytest.mark.parametrize("names", [["a", "a"], [""], [3]], ids=str)
def test_a_bad_segment_is_named(names):
    with pytest.raises(LearnerError, match="segment"):
        SegmentOfOne(PlainArms(ARMS), names)
