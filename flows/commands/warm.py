"""Making the kernels ready before the first event waits for them."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from ...features.plan import Plan
from ..decisions import DecisionPoint, Script
from ..decode import ChunkDecoder, ShardEvents
from ..featurize import ReadFeatures, ShardLogic
from ..learn import LearnLogic
from ..settings import Settings
from ..sources.chunk import RawChunk
from ..sources.parquet import RowReader

_ROWS = 256


def warm(plan: Plan, settings: Settings, point: DecisionPoint, file: Path) -> None:
    """Run the first events of a Parquet file through steps that nothing is kept of.

    Raises
    ------
    SourceError
        If the file cannot be read.
    """
    reader = RowReader(file, batch_rows=_ROWS, columns=None, dictionary_columns=("type", "channel"))
    piece = reader.read()
    reader.close()
    if piece is None:
        return
    _play(
        RawChunk(0, 0, "arrow", piece.payload, str(file), piece.line, 0, piece.records),
        plan,
        settings,
        point,
    )


def warm_kernels(plan: Plan, settings: Settings, point: DecisionPoint | None) -> None:
    """Run one made-up event through steps that nothing is kept of.

    The workers of a cluster wait for each other at every epoch's end: one that loads its kernels
    in the first would keep all of them waiting.
    """
    event = {
        "event_id": "warm",
        "event_timestamp": time.time_ns() // 1000,
        "customer_id": "warm",
        "type": plan.catalog.source.types[0],
        "channel": "warm",
        "properties": {},
    }
    line = msgspec.json.encode(event)
    _play(RawChunk(0, 0, "ndjson", line, "warm", 1, 0, 1), plan, settings, point)


def _play(chunk: RawChunk, plan: Plan, settings: Settings, point: DecisionPoint | None) -> None:
    inputs: list[Script | ReadFeatures] = []
    for part in ChunkDecoder(plan, settings, point)(chunk):
        if isinstance(part, Script):
            inputs.append(part)
            continue
        if not isinstance(part, ShardEvents):
            continue
        shard = ShardLogic(plan, part.shard)
        inputs += [out for out in shard.on_events(part) if isinstance(out, ReadFeatures)]
        list(shard.publish(force=True))
        shard.snapshot()
    if point is not None:
        list(LearnLogic(point).on_items(inputs))
