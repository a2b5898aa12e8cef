"""What is served believes as the live model, for all and for one person, and goes through bytes."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import (
    BayesianRanker,
    LearnerError,
    Policy,
    PublishedArms,
    SegmentOfOne,
    load,
    save,
)
from nextbest.learners.checkpoint import pack, unpack
from nextbest.learners.person import Person, pack_person
from nextbest.learners.policies import (
    Budget,
    ControlGroup,
    Greedy,
    Shortlist,
    SquareCB,
    Thompson,
    Uniform,
)
from tests.learners.bayesian_cases import ARMS, NAMES, ONE, THREE, contexts, stream
from tests.learners.worlds import PlainArms

LEVELS = {"several": (0.0, 0.1, 1.0), "one": 0.5, "zero": 0.0}
MATRIX = st.lists(
    st.lists(st.one_of(st.just(math.nan), st.floats(-3, 3)), min_size=2, max_size=2),
    min_size=3,
    max_size=3,
)
REGION = st.sampled_from(["north", "south", "west", "unseen", None])
WHO = st.sampled_from([None, "new", "ann", "bob"])


def trained(experts, variance, **more):
    ranker = BayesianRanker(ARMS, **NAMES, experts=experts)
    one = SegmentOfOne(
        ranker, ["region"], segment_variance=variance, person_variance=variance, **more
    )
    blocks = {"ann": b"", "bob": b""}
    for i, (context, features, arm, reward) in enumerate(stream(400)):
        who = ("ann", "bob", None)[i % 3]
        region = ("north", "south", None, "west")[i % 4]
        block = None if who is None else blocks[who]
        new = one.learn({**context, "region": region}, features, arm, reward, person=block)
        if who is not None:
            blocks[who] = new
    return one, {**blocks, "new": b"", None: None}


CASES = {
    f"{experts}-{kind}": trained({"one": ONE, "three": THREE}[experts], variance)
    for experts in ("one", "three")
    for kind, variance in LEVELS.items()
}


@pytest.mark.parametrize("case", CASES)
@given(context=contexts(), region=REGION, features=MATRIX, who=WHO)
@settings(max_examples=60, deadline=None)
def test_believes_as_the_live_model(case, context, region, features, who):
    one, blocks = CASES[case]
    context = {**context, "region": region}
    found = one.publish().belief(context, features, blocks[who])
    expected = one.belief(context, features, blocks[who])
    size = 1.0 + max(float(np.abs(part).max()) for part in expected)
    for served, live in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_allclose(served, live, rtol=0, atol=2e-6 * size)
    np.testing.assert_allclose(found.probability, expected.probability, rtol=0, atol=2e-6)


def test_a_belief_has_the_scores_of_a_decision_bit_for_bit():
    one, _ = CASES["three-one"]
    served = one.model.publish()
    for context, features, _, _ in stream(50, seed=4):
        choice = served.decide(context, features, gamma=10.0, draw=0.5)
        belief = served.belief(context, features)
        assert belief.probability.tobytes() == choice.scores.tobytes()


@pytest.mark.parametrize("case", CASES)
def test_bytes_make_an_equal_model(case, tmp_path):
    one, blocks = CASES[case]
    served = one.publish()
    save(tmp_path / "model", served.to_bytes())
    again = PublishedArms.from_bytes(load(tmp_path / "model"))
    assert again.to_bytes() == served.to_bytes()
    assert (again.arms, again.version) == (ARMS, 400)
    for context, features, _, _ in stream(20, seed=4):
        for who in blocks.values():
            for region in ("north", "unseen"):
                two = [
                    model.belief({**context, "region": region}, features, who)
                    for model in (served, again)
                ]
                assert np.array(two[0]).tobytes() == np.array(two[1]).tobytes()


def test_another_process_believes_the_same(tmp_path):
    one, blocks = CASES["three-several"]
    served = one.publish()
    save(tmp_path / "model", served.to_bytes())
    save(tmp_path / "ann", blocks["ann"])
    code = (
        "import sys, numpy as np\n"
        "from nextbest.learners import PublishedArms, load\n"
        "model = PublishedArms.from_bytes(load(sys.argv[1]))\n"
        "context = {'age': 0.5, 'hour': 'a', 'region': 'north'}\n"
        "print(np.array(model.belief(context, np.ones((3, 2)), load(sys.argv[2]))).tobytes().hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "model", tmp_path / "ann"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    context = {"age": 0.5, "hour": "a", "region": "north"}
    here = np.array(served.belief(context, np.ones((3, 2)), blocks["ann"]))
    assert done.stdout.strip() == here.tobytes().hex()


POLICIES = [
    Policy(SquareCB(20.0), floor=0.02, seed=1),
    Policy(Thompson(), floor=0.02, budget=Budget(0.3, 0.1), seed=2),
    Policy(Uniform(), shortlist=Shortlist(1, 1, 2), floor=0.01, seed=3),
    Policy(Greedy(), control=ControlGroup(0.5, fixed=["milk"]), seed=4),
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy.explorer).__name__)
def test_a_policy_serves_it_as_it_serves_the_live_model(policy):
    one, blocks = CASES["three-several"]
    served = PublishedArms.from_bytes(one.publish().to_bytes())
    for i, (context, features, _, _) in enumerate(stream(60, seed=8)):
        who = ("ann", "bob", "new")[i % 3]
        eligible = [None, ["bread", "eggs"]][i % 2]
        live, replica = (
            policy.pull(
                model.of(blocks[who]), {**context, "region": "north"}, features, eligible,
                decision=i + 1, customer=who,
            )
            for model in (one, served)
        )  # fmt: skip
        assert (live.draw, live.control) == (replica.draw, replica.control)
        np.testing.assert_allclose(replica.scores, live.scores, rtol=0, atol=2e-6)
        np.testing.assert_allclose(replica.propensities, live.propensities, rtol=0, atol=5e-4)
        assert replica.propensity == replica.propensities[replica.arm]
        assert replica.version == f"{policy.version}.400"


def test_arms_that_went_are_never_chosen():
    ranker = BayesianRanker(ARMS, **NAMES)
    ranker.retire_arm("milk")
    one = SegmentOfOne(ranker, ["region"])
    block = one.learn({}, np.zeros((3, 2)), 0, 1.0, person=b"")
    served = PublishedArms.from_bytes(one.publish().to_bytes())
    pull = Policy(Uniform()).pull(served.of(block), {}, np.zeros((3, 2)), decision=1)
    assert pull.propensities.tolist() == [0.5, 0.0, 0.5]


def test_what_comes_later_changes_nothing():
    one, blocks = trained(THREE, (0.0, 1.0))
    served, before = one.publish(), one.publish().to_bytes()
    for context, features, arm, reward in stream(50, seed=9):
        one.learn({**context, "region": "later"}, features, arm, reward, person=blocks["ann"])
    one.model.retire_arm("milk")
    assert served.to_bytes() == before


def changed(change):
    values, arrays = unpack(CASES["three-several"][0].publish().to_bytes(), "PublishedArms")
    change(values, arrays)
    return pack("PublishedArms", values, arrays)


def put(name, value):
    def change(values, arrays):
        arrays[name].reshape(-1)[-1] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *((put(n, math.nan), "not finite") for n in ("table", "dense", "action", "weights")),
        *((put(n, math.inf), "not finite") for n in ("moments", "unseen", "persons")),
        *((put(n, -1.0), "below zero") for n in ("moments", "unseen", "persons")),
        (put("weights", 0.9), "no probabilities"),
        (lambda v, a: a.update(table=a["table"][:, 1:]), "'table'.*is float32"),
        (lambda v, a: a.update(dense=a["dense"].astype(float)), "'dense'.*is float64"),
        (lambda v, a: a.update(moments=a["moments"][:, :1]), "segments"),
        (lambda v, a: a.update(unseen=a["unseen"][:0]), "unseen"),
        (lambda v, a: a.update(persons=a["persons"][..., :0]), "candidates"),
        (lambda v, a: a.pop("table"), "lacks 'table'"),
        (lambda v, a: v.pop("levels"), "lacks 'levels'"),
        (lambda v, a: v.update(arms=["bread", "bread", "eggs"]), "arm 'bread' is given twice"),
        (lambda v, a: v.update(arms=["bread", "oats", "eggs"]), "other arms"),
        (lambda v, a: v.update(arms=[], action_features=[]), "0 arms"),
        (lambda v, a: v.update(version="x"), "PublishedArms"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_bytes_of_what_is_no_model_are_refused(change, message):
    with pytest.raises(LearnerError, match=message):
        PublishedArms.from_bytes(changed(change))


def test_damage_is_noticed():
    data = bytearray(CASES["one-one"][0].publish().to_bytes())
    data[len(data) // 2] ^= 1
    with pytest.raises(LearnerError, match="wrong checksum"):
        PublishedArms.from_bytes(data)
    with pytest.raises(LearnerError, match="expected a 'PublishedArms'"):
        PublishedArms.from_bytes(CASES["one-one"][0].to_bytes())


def test_a_bad_call_says_why():
    one, blocks = CASES["one-one"]
    served, shared = one.publish(), one.model.publish()
    with pytest.raises(LearnerError, match="without weights of persons"):
        shared.belief({}, np.zeros((3, 2)), blocks["ann"])
    with pytest.raises(LearnerError, match="wrong checksum"):
        served.belief({}, np.zeros((3, 2)), blocks["ann"][:-1] + b"x")
    for person in (
        Person(1, math.nan, 1.0, (), (), ()),
        Person(1, 0.0, -1.0, (), (), ()),
        Person(1, 0.0, 1.0, (7,), (math.inf,), (1.0,)),
        Person(1, 0.0, 1.0, (7,), (0.0,), (-1.0,)),
    ):
        with pytest.raises(LearnerError, match="not finite, or less than nothing"):
            served.belief({}, np.zeros((3, 2)), pack_person(person, 16))
    with pytest.raises(LearnerError, match="'region' must be a string"):
        served.belief({"region": 3}, np.zeros((3, 2)))
    with pytest.raises(LearnerError, match=r"contexts must not be beyond 1e\+12"):
        served.belief({"age": 1e13}, np.zeros((3, 2)))
    with pytest.raises(LearnerError, match="got None"):
        served.belief({})
    with pytest.raises(LearnerError, match=r"features must not be beyond 1e\+12"):
        served.belief({}, np.full((3, 2), 1e13))
    with pytest.raises(LearnerError, match="'affinity' in row 0 is not finite"):
        served.belief({}, np.full((3, 2), -np.inf))
    with pytest.raises(LearnerError, match="PlainArms has no publish"):
        SegmentOfOne(PlainArms(["a"])).publish()
