"""What producers append to the log by hand: each line is taken in, or a dead letter says why.

One run reads them all; whatever is wrong costs only itself.
"""

from __future__ import annotations

import io
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pytest
import redis
from rich.console import Console

from nextbest.flows.commands.inputs import Job
from nextbest.flows.commands.job import run_job
from nextbest.flows.decision.record import (
    Offer,
    Record,
    Response,
    Served,
    event_of,
    outcome_event,
)
from nextbest.flows.settings import Settings
from nextbest.flows.sources import publish
from tests.flows.service.loop_cases import TEXT
from tests.flows.service.world import REFERENCE

AT = 1_767_225_600_000_000
SECOND, HOUR = 1_000_000, 3_600_000_000
OWN = "$.properties.nextbest"
FUTURE = (time.time_ns() // 1000) + 48 * HOUR
LONGEST = 1 << 16


def decided(
    name: str, at: int = AT, *, actions: tuple[str, ...] = ("tea", "mug"), **more: Any
) -> bytes:
    offers = [Offer(action=a, score=1.0, propensity=0.5, draw=0.1) for a in actions]
    told: dict[str, Any] = {
        "strategy": "5e", "offers": offers, "inputs": {"page": "home", "spend": 1.0},
        "eligible": [*actions], "scores": np.ones(len(actions)).tobytes(), **more,
    }  # fmt: skip
    return event_of(Record(id=name, customer="ann", at=at, channel="web", **told))


def came(
    name: str, decision: str, word: str = "accept", at: int = AT + SECOND, customer: str = "ann",
    **more: Any,
) -> bytes:  # fmt: skip
    own = Response(decision_id=decision, response=word, **more)
    return outcome_event(name, at, customer, "web", own)


def put(line: bytes, value: Any, *path: str | int) -> bytes:
    """Change one value of a line."""
    event = json.loads(line)
    inner = event
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return json.dumps(event).encode()


_RECORD = ("properties", "nextbest")
GOOD = [
    decided("good"),
    decided("empty", actions=()),
    decided("other"),
    came("first", "good", action="tea"),
]
# Of what is wrong: the line, why, and where.
WRONG: dict[str, tuple[bytes, str, str | None]] = {
    # Decisions.
    "decision-cut-off": (decided("w1")[:-9], "truncated|malformed", None),
    "decision-no-record": (
        put(decided("w2"), {}, "properties"),
        "missing required",
        "$.properties",
    ),
    "decision-record-is-text": (
        put(decided("w3"), "x", *_RECORD),
        "Expected `object`, got `str`",
        OWN,
    ),
    "decision-no-strategy": (
        put(decided("w4"), {"id": "w4", "customer": "ann", "at": AT, "channel": "web"}, *_RECORD),
        "missing required field `strategy`",
        OWN,
    ),
    "decision-base64": (put(decided("w5"), "%", *_RECORD, "contacts"), "base64", f"{OWN}.contacts"),
    "decision-too-many": (
        decided("w6", actions=tuple(f"a{n}" for n in range(101))),
        "offers has 101 actions, more than 100",
        f"{OWN}.offers",
    ),
    "decision-no-name": (
        decided("w7", actions=("tea", "")),
        "is no name of 1 to 64 characters",
        f"{OWN}.offers[1].action",
    ),
    "decision-propensity-0": (
        put(decided("w8"), 0.0, *_RECORD, "offers", 0, "propensity"),
        "is 0, not above 0 and up to 1",
        f"{OWN}.offers[0].propensity",
    ),
    "decision-propensity-nan": (
        put(decided("w9"), float("nan"), *_RECORD, "offers", 1, "propensity"),
        "malformed",
        None,
    ),
    "decision-propensity-text": (
        put(decided("w10"), "0.5", *_RECORD, "offers", 1, "propensity"),
        "Expected `float`, got `str`",
        f"{OWN}.offers[1].propensity",
    ),
    "decision-eligible": (
        decided("w11", eligible=["tea", "cup"]),
        "lacks an action that was offered",
        f"{OWN}.eligible",
    ),
    "decision-scores": (
        decided("w12", scores=b"12345678"),
        "not a number for each of 2",
        f"{OWN}.scores",
    ),
    "decision-chances": (
        decided("w13", chances={"accept": b"1"}),
        "not a number for each of 2",
        f"{OWN}.chances.accept",
    ),
    "decision-served": (
        decided("w14", served=Served(position=1, age_ms=1, values=b"12345678", state=b"12")),
        "has not as many values as states",
        f"{OWN}.served",
    ),
    "decision-endless-input": (
        decided("w18", inputs={"visits": 10**400}),
        "is beyond 9007199254740992",
        f"{OWN}.inputs.visits",
    ),
    "decision-endless-tag": (
        put(decided("w19"), {"year": -(10**30)}, *_RECORD, "offers", 1, "tags"),
        "is beyond 9007199254740992",
        f"{OWN}.offers[1].tags.year",
    ),
    "decision-at": (put(decided("w15"), AT + 1, *_RECORD, "at"), "is not the event's", f"{OWN}.at"),
    "decision-in-two-days": (
        decided("w16", at=FUTURE),
        "in the future",
        "$.event_timestamp",
    ),
    "decision-huge": (
        decided("w17", context={"page": "x" * LONGEST}),
        f"more than {LONGEST}",
        None,
    ),
    "decision-long-id": (decided("w" * 241), "has 241 bytes, more than 240", f"{OWN}.id"),
    # Outcomes.
    "outcome-of-nothing": (came("v1", "gone"), "'gone' is not known", f"{OWN}.decision_id"),
    "outcome-before-its-decision": (
        came("v2", "later"),
        "'later' is not known",
        f"{OWN}.decision_id",
    ),
    "outcome-unknown-action": (
        came("v3", "good", action="gold"),
        "did not offer 'gold'",
        f"{OWN}.action",
    ),
    "outcome-of-another": (
        came("v4", "good", customer="eve"),
        "is of another customer",
        f"{OWN}.decision_id",
    ),
    "outcome-older": (came("v5", "good", at=AT - 1), "older than decision", f"{OWN}.decision_id"),
    "outcome-no-value": (
        came("v6", "good", "buy"),
        "'spend' needs a number 'amount'",
        f"{OWN}.value",
    ),
    "outcome-endless-value": (
        put(came("v18", "good", "buy"), 10**400, "properties", "amount"),
        "'spend' needs a number 'amount'",
        f"{OWN}.value",
    ),
    "outcome-value-text": (
        put(came("v7", "good", "buy"), "9", *_RECORD, "value"),
        "Expected `float | null`, got `str`",
        f"{OWN}.value",
    ),
    "outcome-value-nan": (
        put(came("v8", "good", "buy"), float("nan"), *_RECORD, "value"),
        "malformed",
        None,
    ),
    "outcome-value-endless": (
        came("v9", "good", "buy", value=7e7).replace(b"70000000.0", b"1e999"),
        "out of range",
        f"{OWN}.value",
    ),
    "outcome-offered-nothing": (
        came("v10", "empty"),
        "'empty' offered nothing",
        f"{OWN}.decision_id",
    ),
    "outcome-no-word": (came("v11", "good", ""), "length >= 1", f"{OWN}.response"),
    "outcome-in-two-days": (
        came("v12", "good", at=FUTURE),
        "in the future",
        "$.event_timestamp",
    ),
    "outcome-huge-property": (
        put(came("v13", "good"), "x" * LONGEST, "properties", "note"),
        f"more than {LONGEST}",
        None,
    ),
    "outcome-list": (
        put(came("v14", "good"), [1], "properties", "note"),
        "got `array`",
        "$.properties.note",
    ),
    "corrects-nothing": (
        came("v15", "good", action="tea", corrects="none"),
        "no outcome 'none' of this offer",
        f"{OWN}.corrects",
    ),
    "corrects-another-offer": (
        came("v16", "good", action="mug", corrects="first"),
        "no outcome 'first' of this offer",
        f"{OWN}.corrects",
    ),
    "corrects-another-decision": (
        came("v17", "other", corrects="first"),
        "no outcome 'first' of this offer",
        f"{OWN}.corrects",
    ),
}
# What looks odd and is taken in: its lines, and by objective what is learned of its first offer.
ODD: dict[str, tuple[list[bytes], dict[str, float]]] = {
    "unknown-version": ([decided("o1", strategy="ff"), came("p1", "o1")], {"accept": 1.0}),
    "unknown-action": ([decided("o2", actions=("yacht",)), came("p2", "o2")], {"accept": 1.0}),
    "unknown-word": ([decided("o3"), came("p3", "o3", "shrug")], {}),
    "twice": ([decided("o4"), came("p4", "o4"), came("p4", "o4"), decided("o4")], {"accept": 1.0}),
    "value-above": ([decided("o5"), came("p5", "o5", "buy", value=9e9)], {"spend": 1.0}),
    "value-below": ([decided("o6"), came("p6", "o6", "buy", value=-1.0)], {"spend": 0.0}),
    "value-as-property": (
        [decided("o7"), put(came("p7", "o7", "buy"), 25, "properties", "amount")], {"spend": 0.5},
    ),
    "corrected-twice": (
        [
            decided("o8"), came("p8", "o8", "buy", value=5.0),
            came("q8", "o8", "buy", value=10.0, corrects="p8"),
            came("r8", "o8", "buy", value=40.0, corrects="p8"),
        ],
        {"spend": 0.8},
    ),
    "corrected-away": (
        [decided("o9"), came("p9", "o9"), came("q9", "o9", "refuse", corrects="p9")], {},
    ),
    "strange-inputs": (
        [
            decided("o10", inputs={"page": 7, "spend": "much", "mood": None, "": True}),
            came("p10", "o10"),
        ],
        {"accept": 1.0},
    ),
    "too-many-features": (
        [
            put(decided("o11"), [1e308, None, 3.0], *_RECORD, "offers", 0, "features"),
            came("p11", "o11"),
        ],
        {"accept": 1.0},
    ),
    "after-its-window": ([decided("o12"), came("p12", "o12", at=AT + 24 * HOUR + 1)], {}),
}  # fmt: skip


@dataclass
class Found:
    said: str
    letters: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    credits: list[dict[str, Any]]


@pytest.fixture(scope="module")
def found(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What became of the log."""
    home = tmp_path_factory.mktemp("bad")
    settings = Settings(
        data_dir=home, redis_url=embedded_store, shards=2, epoch_seconds=0.1,
        max_event_bytes=LONGEST,
    )  # fmt: skip
    lines = [*GOOD, *(line for line, _, _ in WRONG.values()), decided("later")]
    lines += [line for several, _ in ODD.values() for line in several]
    with redis.Redis.from_url(embedded_store) as store:
        store.flushall()
        # Each producer's own: what is cut off harms nobody else.
        publish(store, "by-hand", [line + b"\n" for line in lines])
        store.xadd("by-hand", {"other": "x"})
        store.xadd("by-hand", {"events": b"\xff\xfe\n"})
    console = Console(file=io.StringIO(), width=400)
    job = Job(stream="by-hand", drain=True, catalog=REFERENCE, strategy=TEXT)
    run_job(job, settings, console)
    said: Any = console.file
    dead = settings.dead_letters_dir / "dead.ndjson"
    return Found(
        " ".join(said.getvalue().split()),
        [json.loads(line) for line in dead.read_bytes().splitlines()],
        _rows(settings.archive_dir / "decisions"),
        _rows(settings.archive_dir / "credits"),
    )


def _rows(directory: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ds.dataset(directory).to_table().to_pylist()
    return sorted(rows, key=lambda row: row["position"])


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_line_is_a_dead_letter_that_says_why(found: Found, name: str) -> None:
    line, reason, path = WRONG[name]
    place = len(GOOD) + list(WRONG).index(name)
    [letter] = [one for one in found.letters if one["position"] == place << 20]
    assert re.search(reason, letter["reason"]), letter
    assert letter.get("path") == path
    kept = {row["event_id"].encode() for row in found.decisions}
    assert re.findall(rb'"event_id": ?"(.*?)"', line)[0] not in kept


@pytest.mark.parametrize("name", ODD)
def test_an_odd_line_means_what_it_means(found: Found, name: str) -> None:
    lines, expected = ODD[name]
    decision = json.loads(lines[0])["event_id"]
    last = {row["objective"]: row for row in found.credits if row["example"] == f"{decision}/0"}
    rows = [row for row in last.values() if not (row["silence"] or row["withdrawn"])]
    told = {row["objective"]: row["reward"] for row in rows}
    assert told == pytest.approx(expected)
    ids = [json.loads(line)["event_id"] for line in lines]
    kept = [row["event_id"] for row in found.decisions]
    assert all(kept.count(one) == 1 for one in ids)


def test_everything_is_accounted_for(found: Found) -> None:
    wrong = len(WRONG) + 2  # and two entries of the stream that are none
    assert len(found.letters) == wrong
    odd = sum(len(several) for several, _ in ODD.values())
    assert len(found.decisions) == len(GOOD) + 1 + odd - 2  # two came twice
    assert f"0 duplicate, {wrong} dead letters" in found.said
    kept = {row["event_id"] for row in found.decisions}
    assert kept >= {"good", "empty", "other", "later", "first"}
