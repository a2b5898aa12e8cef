"""Late and repaired rewards: the same weights as in order, each once, or a clear refusal."""

import copy
import json
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import linear_model

from nextbest.learners import (
    BayesianRanker,
    Example,
    LearnerError,
    RepairingLearner,
    SegmentOfOne,
    learn_label,
    learn_person,
)
from nextbest.learners.arm_weights import Expert

ARMS = ["tea", "coffee", "milk"]
ONE = [Expert(0.3, 1e-3)]
WINDOW = 1000


class Log:
    """A model that keeps what it was taught: any difference in order shows."""

    def __init__(self, taught=()):
        self.taught = list(taught)

    def learn(self, context, features, arm, reward):
        if arm < 0:
            self.taught.append("half")
            raise LearnerError("no such arm")
        self.taught.append((context["of"], reward))


def example(name, time, position=0, reward=0.0, **more):
    return Example(name, time, position, {"of": name}, None, 0, reward, **more)


def in_order(examples, window=WINDOW):
    """The law: of every id the best example, in order."""
    best = {}
    for e in examples:
        old = best.get(e.id)
        rank = (e.silence, e.time, e.position, -e.reward)
        if old is None or rank < (old.silence, old.time, old.position, -old.reward):
            best[e.id] = e
    return sorted(best.values(), key=lambda e: (e.time, e.position, e.id))


class Arrival(NamedTuple):
    examples: list
    cuts: list
    every: int
    snapshots: int


@st.composite
def arrivals(draw):
    """Examples inside one window, some of them twice, in any order and any batches."""
    given_ = draw(
        st.lists(
            st.builds(
                lambda n, t, p, r, s: example(f"e{n}", t, p, r / 4, silence=s),
                st.integers(0, 25),
                st.integers(0, WINDOW // 10).map(lambda t: t * 10),
                st.integers(0, 2),
                st.integers(0, 4),
                st.booleans(),
            ),
            max_size=40,
        )
    )
    cuts = draw(st.lists(st.integers(0, 40), max_size=8).map(sorted))
    return Arrival(given_, cuts, draw(st.integers(1, 6)), draw(st.integers(4, 7)))


def feed(learner, arrival, **more):
    bounds = [0, *arrival.cuts, len(arrival.examples)]
    results = []
    for a, b in pairwise(bounds):
        results.append(learner.learn_many(arrival.examples[a:b], **more))
    return results


@given(arrivals())
@settings(max_examples=100, deadline=None)
def test_any_arrival_inside_the_window_ends_as_in_order(arrival):
    learner = RepairingLearner(
        Log(), window=WINDOW, every=arrival.every, snapshots=arrival.snapshots
    )
    results = feed(learner, arrival)
    expected = in_order(arrival.examples)
    assert learner.model.taught == [(e.id, e.reward) for e in expected]
    assert sum(r.learned + r.ignored for r in results) == len(arrival.examples)
    assert learner.learned - learner.replaced == learner.pending == len(expected)
    assert learner.refused == 0


@given(arrivals())
@settings(max_examples=15, deadline=None)
def test_a_model_and_its_persons_end_bit_for_bit_as_in_order(arrival):
    named = [
        e._replace(
            context={"of": "even" if e.time % 20 else "odd"},
            arm=int(e.id[1:]) % 3,
            customer=f"c{int(e.id[1:]) % 4}",
        )
        for e in arrival.examples
    ]
    model = SegmentOfOne(BayesianRanker(ARMS, experts=ONE), ["of"], person_arms=2)
    learner = RepairingLearner(
        copy.deepcopy(model), window=WINDOW, learn=learn_person, every=arrival.every
    )
    rows = {}
    for result in feed(learner, arrival._replace(examples=named)):
        rows |= result.people
    expected = {}
    for e in in_order(named):
        block = expected.get(e.customer, b"")
        expected[e.customer] = model.learn(e.context, None, e.arm, e.reward, person=block)
    assert rows == expected
    assert learner.model.to_bytes() == model.to_bytes()


def test_a_river_model_is_repaired_too():
    stream = [
        Example(f"e{i}", i * 10, i, {"x": (i * 7 % 11) / 11, "y": 1.0}, reward=float(i % 3 == 0))
        for i in range(60)
    ]
    straight = linear_model.LogisticRegression()
    for e in stream:
        learn_label(straight, e, None)
    learner = RepairingLearner(
        linear_model.LogisticRegression(), window=600, learn=learn_label, every=4
    )
    for i in (*range(0, 60, 2), *range(59, 0, -2)):
        learner.learn_many([stream[i]])
    assert learner.model.weights == straight.weights
    assert learner.model.intercept == straight.intercept


def test_a_late_response_takes_the_place_of_silence():
    learner = RepairingLearner(Log(), window=WINDOW, every=1)
    learner.learn_many([example("a", 10, silence=True), example("b", 20), example("c", 30)])
    done = learner.learn_many([example("a", 25, reward=1.0)])
    assert (done.learned, done.replaced, done.ignored, done.refused) == (1, 1, 0, ())
    assert learner.model.taught == [("b", 0.0), ("a", 1.0), ("c", 0.0)]
    again = learner.learn_many([example("a", 10, silence=True), example("a", 25, reward=1.0)])
    assert (again.learned, again.ignored, again.replayed) == (0, 2, 0)


def test_a_batch_is_one_way_back_and_one_replay():
    learner = RepairingLearner(Log(), window=WINDOW, every=10)
    learner.learn_many([example(f"e{i}", i) for i in range(100)])
    late = [example(f"late{i}", i) for i in (95, 60, 80)]
    at_once = copy.deepcopy(learner).learn_many(late)
    one_by_one = [learner.learn_many([e]) for e in late]
    assert at_once.replayed < sum(r.replayed for r in one_by_one)
    assert at_once.replayed <= 100


def test_the_later_an_example_the_more_is_replayed():
    learner = RepairingLearner(Log(), window=10_000, every=10, max_examples=20_000)
    learner.learn_many([example(f"e{i}", i) for i in range(4000)])
    replayed = {
        age: copy.deepcopy(learner).learn_many([example("late", 4000 - age)]).replayed
        for age in (5, 100, 1000)
    }
    assert replayed[5] <= 20
    assert replayed[100] <= 300
    assert replayed[1000] <= 2500


def test_what_comes_after_the_window_is_refused_and_counted():
    learner = RepairingLearner(Log(), window=100, every=1)
    learner.learn_many([example("a", 0, silence=True), example("b", 100)])
    assert learner.reach == 0
    before = learner.learn_many([example("c", 101)])
    assert before.refused == ()
    done = learner.learn_many([example("late", 0), example("a", 50, reward=1.0)])
    assert done.refused == ("late", "a")  # the silence of "a" can no longer be taken back
    assert learner.refused == 2
    assert [name for name, _ in learner.model.taught] == ["a", "b", "c"]


def test_whether_an_example_is_late_does_not_hang_on_batches():
    stream = [example("a", 0), example("b", 150), example("c", 40), example("d", 60)]
    together = RepairingLearner(Log(), window=100)
    assert together.learn_many(stream).refused == ("c",)
    apart = RepairingLearner(Log(), window=100)
    assert [apart.learn_many([e]).refused for e in stream] == [(), (), ("c",), ()]
    assert together.model.taught == apart.model.taught


def test_memory_is_bounded_however_long_the_stream():
    learner = RepairingLearner(Log(), window=10**9, every=8, snapshots=6, max_examples=200)
    for i in range(1500):
        learner.learn_many([example(f"e{i}", i)])
        assert learner.pending <= 200
        assert len(learner._taken) <= 6
        assert len(learner._settled) <= 200
    assert learner.pending >= 50
    assert [name for name, _ in learner.model.taught] == [f"e{i}" for i in range(1500)]
    assert learner.reach >= 1300
    assert learner.learn_many([example("late", 800)]).refused == ("late",)
    assert learner.learn_many([example("e1290", 1499, reward=1.0)]).refused == ("e1290",)


def test_an_id_is_remembered_for_as_long_as_is_asked_for_also_by_a_restored_learner():
    ways = {
        "save": lambda model: json.dumps(model.taught).encode(),
        "load": lambda data: Log(map(tuple, json.loads(data))),
    }
    learner = RepairingLearner(Log(), window=100, every=4, remember=300, **ways)
    for i in range(1000):
        learner.learn_many([example(f"e{i}", i)])
        assert len(learner._settled) <= 300
    again = RepairingLearner.from_bytes(learner.to_bytes(), learn=learner._learn, **ways)
    for each in (learner, again):
        assert each.learn_many([example("e700", 999)]).refused == ("e700",)
        assert each.learn_many([example("e600", 999)]).learned == 1
    assert again.to_bytes() == learner.to_bytes()


def test_an_old_window_leaves_the_journal():
    learner = RepairingLearner(Log(), window=100, every=4)
    for i in range(1000):
        learner.learn_many([example(f"e{i}", i)])
    assert learner.pending < 400


def test_what_cannot_be_learned_changes_nothing():
    learner = RepairingLearner(Log(), window=WINDOW, every=2)
    learner.learn_many([example(f"e{i}", i, customer=f"c{i}") for i in range(9)])
    before, taught = learner.latest, list(learner.model.taught)
    bad = example("bad", 3)._replace(arm=-1)
    with pytest.raises(LearnerError, match="example 'bad'"):
        learner.learn_many([example("x", 2), example("e4", 1, reward=1.0), bad, example("y", 99)])
    assert learner.model.taught == taught
    assert (learner.latest, learner.pending, learner.learned) == (before, 9, 9)
    assert learner.learn_many([example("x", 2), example("y", 99)]).learned == 2
    assert learner.model.taught[3] == ("x", 0.0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * 257}, "id"),
        ({"id": 7}, "id"),
        ({"time": 1.5}, "time"),
        ({"time": 2**63}, "time"),
        ({"position": None}, "position"),
        ({"arm": True}, "arm"),
        ({"context": [1]}, "context"),
        ({"context": {"a": [1]}}, "'a'"),
        ({"context": {1: "a"}}, "context"),
        ({"features": "many"}, "features"),
        ({"features": [[[1.0]]]}, "dimensions"),
        ({"reward": float("nan")}, "reward"),
        ({"customer": 5}, "customer"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(map(str, value))[:20],
)
def test_a_malformed_example_is_named(change, named):
    learner = RepairingLearner(Log(), window=WINDOW)
    with pytest.raises(LearnerError, match=named):
        learner.learn_many([example("fine", 1), example("bad", 2)._replace(**change)])
    assert learner.pending == 0
    assert learner.model.taught == []


@pytest.mark.parametrize(
    "setting",
    [
        {"window": -1},
        {"snapshots": 3},
        {"every": 0},
        {"max_examples": 100},
        {"save": lambda model: b""},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_a_setting_out_of_range_is_named(setting):
    with pytest.raises(LearnerError, match=next(iter(setting))):
        RepairingLearner(Log(), **{"window": WINDOW, **setting})
