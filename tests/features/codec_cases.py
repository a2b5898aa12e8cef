"""Events that the codec's tests share: a schema, its decoder, and how chunks are written."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from nextbest.features import EventSchema
from nextbest.features.codec import Decoded, EventDecoder

NOW = 1_767_225_600_000_000
DAY = 86_400_000_000
SCHEMA = EventSchema(
    "shop",
    types=("view", "cart"),
    properties={"value": float, "count": int, "good": bool, "word": str},
)
DECODER = EventDecoder(SCHEMA, now=lambda: NOW, max_event_bytes=20_000)
GOOD = {"event_id": "e", "event_timestamp": NOW, "customer_id": "c", "type": "cart"}
WORDS = pa.dictionary(pa.int32(), pa.string())
TIME = pa.timestamp("us", "UTC")
CANONICAL: dict[str, Any] = {
    "event_id": pa.string(),
    "event_timestamp": TIME,
    "customer_id": pa.string(),
    "type": WORDS,
    "channel": WORDS,
    "value": pa.float64(),
    "count": pa.float64(),
    "good": pa.float64(),
    "word": WORDS,
}


def line(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def with_property(text: str) -> bytes:
    return line(properties={"value": "?"}).replace(b'"value": "?"', text.encode())


def ndjson(*lines: bytes) -> Decoded:
    return DECODER.decode_ndjson(b"\n".join(lines))


def rows(table: pa.Table) -> list[dict[str, Any]]:
    plain = [c.cast(pa.string()) if c.type == WORDS else c for c in table.columns]
    return pa.table(plain, names=table.column_names).to_pylist()
