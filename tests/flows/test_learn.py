"""Deciding and learning: the order of the log and nothing else; every decision has one outcome."""

from __future__ import annotations

import pickle
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from nextbest.features import StateError
from nextbest.features.batch import DUPLICATE
from nextbest.flows.decisions import Script
from nextbest.flows.learn import Examples, LearnLogic, Model, Progress
from nextbest.learners import ActionRanker
from tests.flows.test_decode import (
    ARMS,
    MINUTE,
    START,
    Event,
    decision_point,
    features_of,
    make_event,
    make_log,
    point,
)
from tests.flows.test_featurize import one_by_one, run

Outcome = tuple[str, int, str, str, float, float, float, str]


class Learned:
    """What has come out of a learner."""

    def __init__(self) -> None:
        self.examples: list[dict[str, Any]] = []
        self.models: list[bytes] = []

    def take(self, logic: LearnLogic, items: Sequence[Any]) -> None:
        for out in logic.on_items(list(items)):
            if isinstance(out, Examples):
                self.examples += out.table.to_pylist()
            else:
                assert isinstance(out, Model)
                self.models.append(out.data)

    def outcomes(self) -> list[tuple[str, float, str]]:
        return [(e["decision_id"], e["reward"], e["outcome"]) for e in self.examples]


def without_chunks(logic: LearnLogic) -> dict[str, Any]:
    """A snapshot, but for the number of the next chunk."""
    saved: dict[str, Any] = msgspec.msgpack.decode(logic.snapshot())
    assert saved.pop("next_seq") > 0
    return saved


def by_chunk(items: Sequence[Any]) -> list[list[Any]]:
    several: dict[int, list[Any]] = {}
    for item in items:
        several.setdefault(item.seq, []).append(item)
    return list(several.values())


def learn(
    tmp: Path, log: Sequence[Event], sizes: Sequence[int] = (7,), *, shards: int = 4, **changes: Any
) -> tuple[Learned, LearnLogic]:
    chosen = decision_point(**changes)
    logic, learned = LearnLogic(chosen), Learned()
    learned.take(logic, run(tmp, log, sizes, shards=shards).items)
    return learned, logic


def twin(tmp: Path, log: Sequence[Event]) -> tuple[list[dict[str, Any]], ActionRanker]:
    """The same rules over one event at a time, from features that were read one by one."""
    _, flags, read = one_by_one(log, tmp)
    rows = {int(line[0]): np.array(line[1:]) for line in read}
    ranker = ActionRanker(ARMS, point.action_feature_names, point.contexts)
    waiting: dict[str, dict[str, Any]] = {}
    told: list[dict[str, Any]] = []

    def end(customer: str, reward: float, outcome: str) -> None:
        d = waiting.pop(customer)
        ranker.update(d["context"], d["matrix"], d["number"], reward)
        told.append({**d, "reward": reward, "outcome": outcome})

    for n, e in enumerate(log):
        kind, when, who = e["type"], e["event_timestamp"], e["customer_id"]
        category = e["properties"].get("category")
        counts = kind in ("visit", "leave") or (kind == "buy" and category in ARMS)
        if flags[n] == DUPLICATE or not counts:
            continue
        for oldest in list(waiting)[:2]:
            if waiting[oldest]["when"] >= when - 120 * MINUTE:
                break
            end(oldest, 0.0, "no response in time")
        if who in waiting and when - waiting[who]["when"] > 60 * MINUTE:
            end(who, 0.0, "no response in time")
        if kind == "visit":
            if who in waiting:
                end(who, 0.0, "no response")
            matrix = features_of(rows[n])
            context = {"channel": e.get("channel"), "mood": e["properties"].get("mood")}
            pull = ranker.pull(context, matrix)
            waiting[who] = {
                "decision_id": e["event_id"],
                "when": when,
                "position": n,
                "customer_id": who,
                "context": context,
                "matrix": matrix,
                "number": pull.arm,
                "arm": ARMS[pull.arm],
                "propensity": pull.propensity,
                "score": float(pull.scores[pull.arm]),
                "features": matrix[pull.arm].tolist(),
            }
        elif who in waiting and when >= waiting[who]["when"]:
            if kind == "leave":
                end(who, 0.0, "no response")
            elif category == waiting[who]["arm"]:
                end(who, 1.0, "response")
    return told, ranker


COLUMNS = ("decision_id", "position", "customer_id", "arm", "propensity", "score", "features")


def plain(examples: Sequence[dict[str, Any]]) -> bytes:
    """Examples as bytes: floats to the last bit."""
    names = (*COLUMNS, "reward", "outcome")
    return pickle.dumps([repr([e[name] for name in names]) for e in examples])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_stream_learns_what_one_event_at_a_time_teaches(tmp_path: Path, seed: int) -> None:
    log = make_log(seed, 700)
    expected, ranker = twin(tmp_path, log)
    learned, logic = learn(tmp_path, log, [700], shards=1)
    assert learned.outcomes() == [(e["decision_id"], e["reward"], e["outcome"]) for e in expected]
    assert plain(learned.examples) == plain(expected)
    assert logic.ranker.to_bytes() == ranker.to_bytes()
    outcomes = {e["outcome"] for e in learned.examples}
    assert outcomes == {"response", "no response", "no response in time"}


def test_chunks_shards_and_the_order_of_arrival_change_no_bit(tmp_path: Path) -> None:
    log = make_log(4, 900)
    first, one = learn(tmp_path, log, [900], shards=1)
    assert len(first.examples) > 150
    rng = random.Random(4)
    for sizes, shards in (([1, 3, 100, 8], 5), ([50], 16), ([13], 2)):
        items = run(tmp_path, log, sizes, shards=shards).items
        logic, learned = LearnLogic(point), Learned()
        window: list[Any] = []
        # A log is read by one source: its first script comes before the others.
        begin = next(i for i, item in enumerate(items) if isinstance(item, Script))
        learned.take(logic, [items.pop(begin)])
        for chunk in by_chunk(items):
            window += chunk
            if len(window) > 12:
                rng.shuffle(window)
                for item in window:
                    learned.take(logic, [item])
                window = []
        learned.take(logic, window)
        assert plain(learned.examples) == plain(first.examples)
        assert without_chunks(logic) == without_chunks(one)
        assert asdict(logic.progress) == asdict(one.progress)


def test_a_resumed_learner_goes_on_bit_for_bit(tmp_path: Path) -> None:
    log = make_log(5, 400)
    several = by_chunk(run(tmp_path, log, [10]).items)
    whole, whole_learned = LearnLogic(point), Learned()
    whole_learned.take(whole, [item for chunk in several for item in chunk])
    for cut in (1, 9, 25, len(several)):
        reports: list[Progress] = []
        begun, learned = LearnLogic(point), Learned()
        learned.take(begun, [item for chunk in several[:cut] for item in chunk])
        state = begun.snapshot()
        resumed = LearnLogic(point, state, on_progress=reports.append)
        assert reports[0].decisions == begun.progress.decisions
        assert resumed.snapshot() == state
        (published,) = resumed.publish()
        assert isinstance(published, Model)
        assert published.data == begun.ranker.to_bytes()
        for chunk in several[cut:]:
            learned.take(resumed, chunk)
        assert plain(learned.examples) == plain(whole_learned.examples)
        assert resumed.snapshot() == whole.snapshot()
        assert asdict(reports[-1]) == asdict(whole.progress)


def test_a_chunk_that_is_not_complete_waits_and_cannot_be_lost(tmp_path: Path) -> None:
    several = by_chunk(run(tmp_path, make_log(6, 120), [40], shards=3).items)
    logic, learned = LearnLogic(point), Learned()
    (script,) = (item for item in several[0] if isinstance(item, Script))
    reads = [item for item in several[0] if not isinstance(item, Script)]
    learned.take(logic, [script, *several[1]])
    assert logic.progress.decisions == 0
    with pytest.raises(StateError, match="next: chunk 0 of the log is incomplete"):
        logic.snapshot()
    learned.take(logic, reads[:-1])
    assert logic.progress.decisions == 0
    learned.take(logic, reads[-1:])
    assert logic.progress.decisions > 10
    logic.snapshot()


def visit(n: int, minute: float, who: str = "ann", **properties: Any) -> Event:
    return make_event(n, who, "visit", minute, **properties)


def answers(n: int, minute: float, who: str = "ann") -> list[Event]:
    """A purchase of each arm's category: one of them is the right one."""
    return [
        make_event(n + i, who, "buy", minute, category=category) for i, category in enumerate(ARMS)
    ]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (answers(10, 5), ("e1", 1.0, "response")),
        (answers(10, 60), ("e1", 1.0, "response")),
        (answers(10, 0), ("e1", 1.0, "response")),
        (answers(10, 60.1), ("e1", 0.0, "no response in time")),
        ([make_event(10, "ann", "leave", 3)], ("e1", 0.0, "no response")),
        ([make_event(10, "ann", "leave", 61)], ("e1", 0.0, "no response in time")),
        ([visit(10, 2)], ("e1", 0.0, "no response")),
        ([visit(10, 300)], ("e1", 0.0, "no response in time")),
        (answers(10, -1), None),
        ([make_event(10, "ann", "leave", -1)], None),
        (answers(10, 5, "ben"), None),
        ([make_event(10, "ann", "buy", 5, category="nuts")], None),
        ([make_event(10, "ann", "buy", 5)], None),
        ([make_event(10, "ann", "view", 400)], None),
        ([make_event(10, "ben", "leave", 119.9)], None),
        ([make_event(10, "ben", "leave", 120.1)], ("e1", 0.0, "no response in time")),
    ],
)
def test_every_way_a_decision_can_end(
    tmp_path: Path, after: list[Event], expected: tuple[str, float, str] | None
) -> None:
    learned, logic = learn(tmp_path, [visit(1, 0), *after])
    assert learned.outcomes()[:1] == ([expected] if expected else [])
    assert logic.ranker.updates == len(learned.examples)
    assert logic.progress.resolved == logic.progress.reward.n == len(learned.examples)
    assert logic.progress.expired == sum(o == "no response in time" for *_, o in learned.outcomes())


def test_what_is_repeated_is_learned_once(tmp_path: Path) -> None:
    log = [visit(1, 0), visit(1, 0), *answers(10, 5), visit(1, 0), *answers(10, 5), visit(2, 6)]
    once, logic = learn(tmp_path, log, [3])
    assert once.outcomes() == [("e1", 1.0, "response")]
    assert (logic.progress.decisions, logic.ranker.updates) == (2, 1)
    plainly, other = learn(tmp_path, [visit(1, 0), *answers(10, 5), visit(2, 6)], [100])
    assert plainly.outcomes() == once.outcomes()
    assert other.ranker.to_bytes() == logic.ranker.to_bytes()


def test_silent_customers_do_not_pile_up(tmp_path: Path) -> None:
    log = [visit(i, i, f"c{i}") for i in range(1000)]
    learned, logic = learn(tmp_path, log, [100])
    assert logic.progress.decisions == 1000
    assert logic.progress.expired == len(learned.examples) == 1000 - 121
    assert [e["customer_id"] for e in learned.examples[:3]] == ["c0", "c1", "c2"]
    assert len(logic.snapshot()) < 40_000


def test_one_event_from_the_future_does_not_end_all_decisions(tmp_path: Path) -> None:
    log = [visit(i, i / 100, f"c{i}") for i in range(50)]
    learned, _ = learn(tmp_path, [*log, visit(99, 1000, "clock"), *answers(100, 3, "c7")])
    assert learned.outcomes() == [
        ("e0", 0.0, "no response in time"),
        ("e1", 0.0, "no response in time"),
        ("e7", 1.0, "response"),
    ]


@pytest.mark.parametrize("value", [np.inf, -1e155])
def test_an_overflowing_feature_is_one_that_is_not_known(tmp_path: Path, value: float) -> None:
    def explode(row: Any) -> Any:
        return np.stack([np.full(3, value), np.arange(3.0)], axis=1)

    learned, _ = learn(tmp_path, [visit(1, 0), visit(2, 1)], action_features=explode)
    (example,) = learned.examples
    assert np.isnan(example["features"][0])
    assert example["features"][1] == ARMS.index(example["arm"])


def test_the_model_is_published_at_most_once_a_second_and_always_at_last(tmp_path: Path) -> None:
    several = by_chunk(run(tmp_path, make_log(7, 300), [20]).items)
    logic, learned = LearnLogic(point), Learned()
    assert logic.publish_at() is None
    for chunk in several:
        learned.take(logic, chunk)
    assert len(learned.models) == 1
    wait = logic.publish_at()
    assert wait is not None
    assert 0 <= wait <= 1
    (last,) = logic.publish()
    assert isinstance(last, Model)
    assert ActionRanker.from_bytes(last.data).to_bytes() == logic.ranker.to_bytes()
    assert not list(logic.publish())
    assert logic.publish_at() is None


def test_examples_say_what_was_decided_and_when(tmp_path: Path) -> None:
    learned, _ = learn(tmp_path, [visit(1, 0, mood="fine"), *answers(10, 5)])
    (example,) = learned.examples
    assert int(example["event_timestamp"].timestamp() * 1_000_000) == START
    assert (example["position"], example["customer_id"]) == (0, "ann")
    assert 0.0 < example["propensity"] <= 1.0
    assert len(example["features"]) == len(point.action_feature_names)
