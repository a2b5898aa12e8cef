"""Tables of many small chunks, made at once."""

from __future__ import annotations

import json
import random
from typing import Any

import pyarrow as pa

from nextbest.features import EventSchema
from nextbest.features.codec import EventDecoder
from nextbest.features.decoded import join_tables

SHOP = EventSchema("shop", types=("view", "cart"), properties={"word": str, "value": float})


def make_line(rng: random.Random, number: int) -> bytes:
    """A line; one in five needs more than a scan, one in ten is no event."""
    event: dict[str, Any] = {
        "event_id": f"e{number}",
        "event_timestamp": 1 + rng.randrange(10**15),
        "customer_id": f"c{rng.randrange(9)}",
        "type": rng.choice(("view", "cart")),
    }
    if rng.random() < 0.5:
        event["channel"] = rng.choice(("web", "app"))
    if rng.random() < 0.7:
        event["properties"] = {"word": f"w{rng.randrange(5)}", "value": rng.randrange(100) / 4}
    if rng.random() < 0.2:
        event["customer_id"] = f"kündin {number}"
    if rng.random() < 0.1:
        event["type"] = "steal"
    return json.dumps(event).encode()


def test_a_joined_table_is_the_tables_end_to_end() -> None:
    rng = random.Random(4)
    decoder = EventDecoder(SHOP)
    scanned = 0
    for _ in range(60):
        lines = [make_line(rng, number) for number in range(40)]
        cuts = sorted(rng.sample(range(1, 40), rng.randrange(1, 20)))
        bounds = list(zip([0, *cuts], [*cuts, 40], strict=True))
        parts = [decoder.decode_ndjson(b"\n".join(lines[i:j])) for i, j in bounds]
        scanned += sum(part.is_scanned for part in parts)
        joined = join_tables(parts)
        apart = pa.concat_tables([part.table for part in parts])
        assert joined.schema == apart.schema
        assert joined.to_pylist() == apart.to_pylist()
    assert scanned > 100


def test_a_table_that_was_given_stays_as_it_is() -> None:
    line = make_line(random.Random(8), 1)
    decoder = EventDecoder(SHOP)
    given = decoder.decode_arrow(decoder.decode_ndjson(line).table)
    assert not given.is_scanned
    both = join_tables([given, decoder.decode_ndjson(line)])
    assert both.num_rows == 2
    assert both.slice(0, 1).to_pylist() == both.slice(1).to_pylist()


def test_a_table_that_was_made_is_not_made_again() -> None:
    decoder = EventDecoder(SHOP)
    parts = [decoder.decode_ndjson(make_line(random.Random(8), number)) for number in range(2)]
    assert all(part.is_scanned for part in parts)
    assert join_tables(parts[:1]).num_rows == 1
    made = parts[0].table
    assert not parts[0].is_scanned
    assert join_tables(parts[:1]) is made
    assert join_tables(parts).to_pylist() == [*made.to_pylist(), *parts[1].table.to_pylist()]
