"""Snapshots with a right checksum of what no learning can lead to: refused, and not half taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from nextbest.learners import ActionRanker, BayesianRanker, Fleet, LearnerError, SegmentOfOne
from nextbest.learners.checkpoint import Arrays, pack, unpack
from nextbest.learners.off_policy import BettingSequence
from nextbest.learners.published import PublishedArms

Values = dict[str, Any]


class Kind(NamedTuple):
    make: Callable[[], Any]
    read: Callable[[bytes], Any]


def betting() -> BettingSequence:
    sequence = BettingSequence(difference=True)
    sequence.update([0.0, 1.0] * 20)
    return sequence


def bayesian() -> BayesianRanker:
    ranker = BayesianRanker(["a", "b", "c"], contexts=["hour"], max_categories=2)
    for i, hour in enumerate(("am", "pm", "night")):
        ranker.learn({"hour": hour}, None, i % 2, float(i % 2))
    ranker.retire_arm("b")
    return ranker


def segments() -> SegmentOfOne:
    one = SegmentOfOne(BayesianRanker(["a", "b"]), ["region"])
    for region in ("north", "south"):
        one.learn({"region": region}, None, 0, 1.0)
    return one


def action_ranker() -> ActionRanker:
    ranker = ActionRanker(["a", "b"], ["f"], ["hour"])
    ranker.update({"hour": "am"}, [1.0], 0, 1.0)
    return ranker


def fleet() -> Fleet:
    made = Fleet("base", {"a": {"share": 0.1}})
    for at in range(30):
        made.outcome("base", 0.0, at)
        made.outcome("a", float(at % 2), at)
    return made


KINDS = {
    "BettingSequence": Kind(betting, BettingSequence.from_bytes),
    "BayesianRanker": Kind(bayesian, BayesianRanker.from_bytes),
    "PublishedArms": Kind(lambda: bayesian().publish(), PublishedArms.from_bytes),
    "SegmentOfOne": Kind(
        segments, lambda data: SegmentOfOne.from_bytes(data, BayesianRanker.from_bytes)
    ),
    "ActionRanker": Kind(action_ranker, ActionRanker.from_bytes),
    "Fleet": Kind(fleet, Fleet.from_bytes),
}
BLOCKS = ("mean", "variance")
NO_COUNTS = ["x", -5, 1.5, True, None, 2**63]


def to(*path: Any) -> Callable[[Values, Arrays], None]:
    """Set what lies at the path, of which the last is the new value."""
    *keys, last, value = path

    def change(values: Values, arrays: Arrays) -> None:
        place: Any = values
        for key in keys:
            place = place[key]
        place[last] = value

    return change


def without(name: str) -> Callable[[Values, Arrays], None]:
    def change(values: Values, arrays: Arrays) -> None:
        del (arrays if name in arrays else values)[name]

    return change


def array(name: str, new: Callable[[Any], Any]) -> Callable[[Values, Arrays], None]:
    return lambda values, arrays: arrays.update({name: new(arrays[name])})


CASES: list[tuple[str, str, Callable[[Values, Arrays], None]]] = [
    *(("BettingSequence", f"without {n}", without(n)) for n in ("n", "alpha", "gained", "lost")),
    *(("BettingSequence", f"n {bad!r}", to("n", bad)) for bad in NO_COUNTS),
    ("BettingSequence", "alpha", to("alpha", "x")),
    ("BettingSequence", "difference", to("difference", "x")),
    ("BettingSequence", "no rows", to("n", 0)),
    ("BettingSequence", "int64", array("gained", lambda a: a.astype(np.int64))),
    ("BettingSequence", "shape", array("lost", lambda a: a[:1])),
    ("BettingSequence", "NaN", array("gained", lambda a: a * np.nan)),
    ("BettingSequence", "infinite", array("lost", lambda a: a + np.inf)),
    *(("BayesianRanker", f"updates {bad!r}", to("updates", bad)) for bad in NO_COUNTS),
    ("BayesianRanker", "arms twice", to("arms", ["a", "", "a"])),
    ("BayesianRanker", "arms of numbers", to("arms", [1, 2, 3])),
    ("BayesianRanker", "arms of None", to("arms", ["a", None, "c"])),
    ("BayesianRanker", "more arms", to("arms", ["a", "", "c", "d"])),
    ("BayesianRanker", "fewer arms", to("arms", ["a", ""])),
    ("BayesianRanker", "fewer rows", lambda _, a: a.update({n: a[n][:1] for n in BLOCKS})),
    ("BayesianRanker", "fewer slots", lambda _, a: a.update({n: a[n][:, :2] for n in BLOCKS})),
    *(
        (kind, f"{what} {bad!r}", to(what, bad))
        for kind in ("BayesianRanker", "PublishedArms")
        for what, bad in [
            ("categories", [["hour", "am"]] * 3),
            ("categories", [["hour", "am"], ["hour", 7], ["hour", "(other)"]]),
            ("categories", [["day", "am"], ["hour", "pm"], ["hour", "(other)"]]),
            ("categories", [["hour", "am"]]),
            ("closed", [99, "q"]),
            ("closed", [1]),
            ("closed", [-1]),
            ("closed", [False]),
            ("closed", 7),
        ]
    ),
    *(("SegmentOfOne", f"updates {bad!r}", to("updates", bad)) for bad in NO_COUNTS),
    ("SegmentOfOne", "weights", array("weights", lambda a: a * 5)),
    ("SegmentOfOne", "weights of one", array("weights", lambda a: np.append(2 * a[:1], a[1:]))),
    ("SegmentOfOne", "single", array("evidence", lambda a: a.astype(np.float32))),
    ("SegmentOfOne", "twice", to("rows", "categories", [[["region", "a", 0], ["region", "a", 1]]])),
    ("SegmentOfOne", "no owners", to("rows", "owners", [])),
    ("SegmentOfOne", "owners", to("rows", "owners", ["a", 5])),
    ("ActionRanker", "updates", to("updates", -3)),
    ("ActionRanker", "decisions", to("decisions", -3)),
    ("Fleet", "no trial", to("members", 1, "trial", None)),
    ("Fleet", "no pairing", to("members", 1, "pairing", None)),
    ("Fleet", "trial of the champion", to("members", 0, "trial", {"alpha": 0.05})),
    ("Fleet", "order", lambda values, _: values["members"].reverse()),
    ("Fleet", "name", to("members", 1, "name", 7)),
    ("Fleet", "since", to("members", 1, "since", "x")),
    ("Fleet", "spec", to("members", 1, "spec", [])),
    ("Fleet", "fresh", to("members", 1, "fresh", 1)),
    ("Fleet", "level", to("levels", ["x", 1, True, 0])),
    ("Fleet", "levels", to("levels", [0.05, -1, True, 0])),
    ("Fleet", "more", to("levels", [0.05, 1, "x", 0])),
    ("Fleet", "counts", to("counts", [-1, 0, 0, 0])),
    ("Fleet", "count", to("counts", [1.5, 0, 0, 0])),
]


@pytest.mark.parametrize(
    ("kind", "change"),
    [(kind, change) for kind, _, change in CASES],
    ids=[f"{kind}, {what}" for kind, what, _ in CASES],
)
def test_it_is_refused(kind: str, change: Callable[[Values, Arrays], None]) -> None:
    values, arrays = unpack(KINDS[kind].make().to_bytes(), kind)
    change(values, arrays)
    with pytest.raises(LearnerError):
        KINDS[kind].read(pack(kind, values, arrays))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_learned_is_read(kind: str) -> None:
    data = KINDS[kind].make().to_bytes()
    assert KINDS[kind].read(data).to_bytes() == data
