"""A partition's clock: an event far ahead of the log's own time ends no window early."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from nextbest.features.plans import Plans
from nextbest.flows.assemble import Assembler, ChunkTable, Verdict, WholeChunk
from nextbest.flows.decision.attribution import Attribution
from nextbest.flows.decision.chunk_events import AHEAD_US, ChunkReader
from nextbest.flows.decision.goals import Goal
from nextbest.flows.decision.record import Offer, Record, Response, event_of, outcome_event
from nextbest.flows.decode import ChunkDecoder, ShardEvents
from nextbest.flows.featurize import ShardLogic
from nextbest.flows.partitions import NO_TIME
from nextbest.flows.settings import Settings
from nextbest.flows.sources.chunk import RawChunk
from nextbest.flows.sources.lines import LinePartition
from tests.flows.decision.test_loop_events import NOW, catalog_of

SECOND, HOUR = 1_000_000, 3_600_000_000
CATALOG = catalog_of("view", "buy")
PLAN = Plans.compile(CATALOG).customer
GOALS = [Goal("accept", "accept", None, HOUR), Goal("sale", None, "buy", 2 * HOUR)]


class Lines(LinePartition[Any]):
    """A log of entries that are given."""

    def read(self) -> None:
        """Nothing more comes."""

    def state(self) -> None:
        """Nothing is kept."""


def event(name: str, at: int, kind: str = "view", customer: str = "eve") -> bytes:
    return json.dumps(
        {"event_id": name, "event_timestamp": at, "customer_id": customer, "type": kind}
    ).encode()


def decision(name: str, at: int) -> bytes:
    offer = Offer(action="tea", score=0.0, propensity=1.0, draw=0.0)
    return event_of(
        Record(id=name, customer="ann", at=at, channel="web", strategy="5e", offers=[offer])
    )


def outcome(name: str, at: int, decided: str) -> bytes:
    return outcome_event(name, at, "ann", "web", Response(decision_id=decided, response="accept"))


def whole(chunk: RawChunk) -> WholeChunk:
    """Return a chunk as attribution is given it."""
    settings = Settings(shards=2, archive=False)
    parts: list[Any] = []
    for part in ChunkDecoder(PLAN, settings, loop=True, now=lambda: NOW)(chunk):
        if isinstance(part, ChunkTable):
            parts.append(part)
        elif isinstance(part, ShardEvents):
            out = ShardLogic(PLAN, part.shard).on_events(part)
            parts += [each for each in out if isinstance(each, Verdict)]
    [found] = Assembler().on_items(parts)
    return found


def chunk_of(*entries: tuple[bytes, int], first: int = 0) -> RawChunk:
    """Return what a log gives of lines, each with the milliseconds at which it was taken in."""
    log = Lines(0, "log", None, "id", stop=None, epoch_bytes=1 << 20)
    for ordinal, (line, took_ms) in enumerate(entries, first):
        log.add(str(ordinal), ordinal, line, took_ms)
    [chunk] = log.taken()
    return chunk


MS = NOW // 1000
LOG = [
    (decision("d", NOW), MS),
    (event("far", NOW + 20 * HOUR), MS + 1000),  # its app's clock is wrong
    (outcome("o", NOW + 5 * SECOND, "d"), MS + 5000),
    (decision("e", NOW + 9 * SECOND), MS + 9000),
    (event("buy", NOW + 10 * SECOND, "buy", "ann"), MS + 10_000),
]


def attributed(*chunks: RawChunk) -> tuple[list[tuple[str, str, bool]], int]:
    attribution = Attribution(GOALS, grace=0)
    reader = ChunkReader(["buy"], CATALOG.source)
    told = []
    for chunk in chunks:
        done = attribution.take(*reader.read(whole(chunk), attribution.waits_for))
        assert not done.refused
        told += [(c.objective, c.id, c.silence) for c in done.credits]
    return told, attribution.newest


@pytest.mark.parametrize("each", [False, True], ids=["one chunk", "a chunk each"])
def test_an_event_far_ahead_ends_no_window(each: bool) -> None:
    chunks = [chunk_of(*LOG)]
    if each:
        chunks = [chunk_of(entry, first=place) for place, entry in enumerate(LOG)]
    told, clock = attributed(*chunks)
    assert told == [("accept", "d/0", False), ("sale", "e/0", False)]
    assert clock == NOW + SECOND + AHEAD_US
    # Two hours later by the log's own clock, silence is silence.
    later = (event("later", NOW + 23 * HOUR), MS + 7_300_000)
    told, clock = attributed(*chunks, chunk_of(later, first=len(LOG)))
    assert told[2:] == [("accept", "e/0", True), ("sale", "d/0", True)]
    assert clock == NOW + 7300 * SECOND + AHEAD_US


def test_a_decision_ahead_of_the_log_does_not_move_the_clock_either() -> None:
    log = [(decision("d", NOW), MS), (decision("far", NOW + 20 * HOUR), MS)]
    assert attributed(chunk_of(*log)) == ([], NOW + AHEAD_US)


def test_a_log_that_does_not_say_when_has_the_newest_event_for_a_clock() -> None:
    chunk = chunk_of(*((line, -1) for line, _ in LOG))
    assert chunk.entries is not None
    assert chunk.entries.times is not None
    assert (chunk.entries.times == NO_TIME).all()
    files = RawChunk(0, 0, "ndjson", chunk.payload, "a.ndjson", 1, 0, len(LOG))
    assert files.logged(np.arange(2)) is None
    log = [decision("d", NOW), event("far", NOW + 20 * HOUR)]
    for entry in (-1, 7):  # 7: an id that a producer made up
        told, clock = attributed(chunk_of(*((line, entry) for line in log)))
        assert told == [("accept", "d/0", True), ("sale", "d/0", True)]
        assert clock == NOW + 20 * HOUR
