"""The loop's own events in the decoder: split off, checked, and refused where they are wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nextbest.features import Catalog, DeclarationError, EventSchema, FeatureView
from nextbest.features import aggregations as agg
from nextbest.features.plans import Plans
from nextbest.flows.assemble import ChunkTable
from nextbest.flows.dead_letters import DeadLetter
from nextbest.flows.decision.record import Offer, Record, Response, event_of, outcome_event
from nextbest.flows.decode import ChunkDecoder, ShardEvents
from nextbest.flows.settings import Settings
from nextbest.flows.sources.chunk import RawChunk

NOW = 1_767_225_600_000_000
RECORD = Record(
    id="d-1", customer="ann", at=NOW, channel="web", strategy="5e",
    offers=[Offer(action="tea", score=0.5, propensity=1.0, draw=0.25)], contacts=b"\x00\xff",
)  # fmt: skip
DECISION = event_of(RECORD)
OUTCOME = outcome_event("o-1", NOW, "ann", "web", Response(decision_id="d-1", response="accept"))
VIEW = json.dumps(
    {"event_id": "v", "event_timestamp": NOW, "customer_id": "ann", "type": "view"}
).encode()


def catalog_of(*types: str) -> Catalog:
    shop = EventSchema("shop", types=types, properties={"value": float})
    view = FeatureView(name="v", source=shop, features=[agg.count("n")])
    return Catalog(name="shop", views=[view])


def decode(*lines: bytes, loop: bool = True, **more: Any) -> list[Any]:
    decoder = ChunkDecoder(
        Plans.compile(catalog_of("view")).customer, Settings(shards=2, archive=False, **more),
        loop=loop, now=lambda: NOW,
    )  # fmt: skip
    payload = b"\n".join(lines) + b"\n"
    return list(decoder(RawChunk(0, 100, "ndjson", payload, "log", 7, 3, len(lines))))


def test_they_are_split_off_with_their_places() -> None:
    out = decode(VIEW, DECISION, VIEW.replace(b'"v"', b'"w"'), OUTCOME)
    [table] = [item for item in out if isinstance(item, ChunkTable)]
    assert table.positions.tolist() == [100, 102]
    assert [(e.event_id, e.type, e.position, e.origin, e.line) for e in table.loop] == [
        ("d-1", "decision", 101, "log", 8), ("o-1", "outcome", 103, "log", 10),
    ]  # fmt: skip
    assert table.loop[0].own == RECORD
    assert json.loads(table.loop[0].text)["id"] == "d-1"
    assert table.loop[1].properties == {"response": "accept"}
    parts = [item for item in out if isinstance(item, ShardEvents)]
    assert sum(len(part.batch) for part in parts) == 2
    assert len(out) == 1 + len(parts)


def test_a_chunk_of_nothing_else_waits_for_no_shard() -> None:
    [table] = decode(DECISION)
    assert (table.parts, len(table.positions), len(table.loop)) == (0, 0, 1)


def test_without_a_strategy_they_are_unknown_types_of_events() -> None:
    letters = decode(DECISION, OUTCOME, loop=False)
    assert [(type(x), x.path) for x in letters] == [(DeadLetter, "$.type")] * 2


def _without(line: bytes, *path: str, put: Any = None) -> bytes:
    event = json.loads(line)
    inner = event
    for name in path[:-1]:
        inner = inner[name]
    if put is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = put
    return json.dumps(event).encode()


_OWN = "properties", "nextbest"


@pytest.mark.parametrize(
    ("line", "reason", "path"),
    [
        (_without(OUTCOME, *_OWN), "Object missing required field `nextbest`", "$.properties"),
        (
            _without(OUTCOME, *_OWN, "decision_id"),
            "Object missing required field `decision_id`", "$.properties.nextbest",
        ),
        (
            _without(DECISION, *_OWN, "offers", put=[{"action": 7}]),
            "Expected `str`, got `int`", "$.properties.nextbest.offers[0].action",
        ),
        (_without(DECISION, "event_id", put=7), "Expected `str`, got `int`", "$.event_id"),
        (_without(OUTCOME, "customer_id"), "Object missing required field `customer_id`", None),
        (
            _without(DECISION, "event_id", put="d-2"),
            "id is not the event's 'd-2'", "$.properties.nextbest.id",
        ),
        (
            _without(DECISION, "customer_id", put="bob"),
            "customer is not the event's 'bob'", "$.properties.nextbest.customer",
        ),
        (
            _without(OUTCOME, "event_timestamp", put=NOW + 90_000 * 10**6),
            "timestamp is 90000 s in the future", "$.event_timestamp",
        ),
        (
            _without(OUTCOME, "properties", "mood", put=[1]),
            "Expected `bool | int | float | str | null`, got `array`", "$.properties.mood",
        ),
        (
            _without(OUTCOME, *_OWN, "response", put=""),
            "Expected `str` of length >= 1", "$.properties.nextbest.response",
        ),
    ],
    ids=[
        "nothing of its own", "no decision", "an offer's type", "an id's type", "no customer",
        "another id", "another customer", "from the future", "a list", "no word",
    ],
)  # fmt: skip
def test_malformed_ones_are_dead_letters(line: bytes, reason: str, path: str | None) -> None:
    [letter] = decode(line)
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.path, letter.position) == (reason, path, 100)


def test_lines_that_are_too_long_or_no_json_keep_their_reasons() -> None:
    long = _without(OUTCOME, "properties", "mood", put="x" * 2000)
    letters = decode(long, OUTCOME[:-1], max_event_bytes=1024)
    assert "more than 1024" in letters[0].reason
    assert letters[1].reason.startswith(("JSON is malformed", "Input data was truncated"))


def test_a_schema_may_not_declare_their_types() -> None:
    plan = Plans.compile(catalog_of("view", "outcome")).customer
    with pytest.raises(DeclarationError, match="'outcome' is the loop's own"):
        ChunkDecoder(plan, Settings(), loop=True)
    ChunkDecoder(plan, Settings())
