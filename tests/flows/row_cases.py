"""What tests of rows in somebody's own columns share: a schema, and all that a file becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nextbest.features import Catalog, Columns, EventSchema, FeatureView
from nextbest.features import aggregations as agg
from nextbest.features.plan import Plan
from nextbest.flows.assemble import ChunkTable
from nextbest.flows.dead_letters import DeadLetter
from nextbest.flows.decode import ChunkDecoder
from nextbest.flows.settings import Settings
from nextbest.flows.sources import FileSource
from nextbest.flows.sources.row_events import RowEvents, Rows

shop = EventSchema(
    "shop",
    types=["view", "order"],
    properties={"category": str, "amount": float, "pieces": int, "gift": bool},
)
_plan = Plan.compile(
    Catalog(name="shop", views=[FeatureView(name="v", source=shop, features=[agg.count("events")])])
)
OURS = "event_id,event_timestamp,customer_id,type,category,amount,pieces,gift\n"

Place = tuple[str, int]


def part_of(
    path: Path, columns: Columns | dict[str, Columns] | None = None, state: Any = None, **more: Any
) -> Any:
    """The partition that reads a file or directory."""
    rows: Rows
    if isinstance(columns, dict):
        rows = {pattern: RowEvents(shop, of) for pattern, of in columns.items()}
    else:
        rows = RowEvents(shop, columns)
    source = FileSource(path, rows=rows, mapped=columns is not None, **more)
    return source.build_part("in", "0", state)


def chunks_of(part: Any) -> list[Any]:
    """All chunks that a partition has left."""
    chunks: list[Any] = []
    while True:
        try:
            found = part.next_batch()
        except StopIteration:
            return chunks
        if not found and part._follower is not None:
            return chunks
        chunks += found


def decode(chunks: list[Any]) -> tuple[list[dict[str, Any]], list[DeadLetter]]:
    """The events of chunks, with what they left out dropped; and their dead letters."""
    decoder = ChunkDecoder(_plan, Settings(), tables=True)
    events: list[dict[str, Any]] = []
    letters: list[DeadLetter] = []
    for chunk in chunks:
        for found in decoder(chunk):
            if isinstance(found, DeadLetter):
                letters.append(found)
            elif isinstance(found, ChunkTable):
                events += found.events.table.to_pylist()
    return [{k: v for k, v in each.items() if v is not None} for each in events], letters


def taken(
    path: Path, columns: Columns | dict[str, Columns] | None = None, **more: Any
) -> tuple[list[dict[str, Any]], list[DeadLetter]]:
    """What a file becomes: events and dead letters."""
    return decode(chunks_of(part_of(path, columns, **more)))
