"""Making the kernels ready before the first event waits for them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from ...features.plans import Plans
from ..assemble import Assembler, ChunkTable, Verdict
from ..decision.open_decisions import Credit
from ..decision.record import Value
from ..decisions import DecisionPoint, Script
from ..decode import ChunkDecoder, ShardEvents
from ..entities import EntityEvents, EntityLogic, EntitySplitter
from ..featurize import ReadFeatures, ShardLogic
from ..learn import LearnLogic
from ..loop_flow import Loop
from ..settings import Settings
from ..shard import Shard
from ..sources.chunk import RawChunk
from ..sources.parquet import RowReader

_ROWS = 256


def warm(plans: Plans, settings: Settings, point: DecisionPoint, file: Path) -> None:
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
        plans,
        settings,
        point,
    )


def warm_kernels(
    plans: Plans, settings: Settings, point: DecisionPoint | None, loop: Loop | None = None
) -> None:
    """Run one made-up event, and for a strategy responses, through steps of which nothing is kept.

    The workers of a cluster wait for each other at every epoch's end: one that loads its kernels
    in the first would keep all of them waiting.
    """
    event = {
        "event_id": "warm",
        "event_timestamp": time.time_ns() // 1000,
        "customer_id": "warm",
        "type": plans.catalog.source.types[0],
        "channel": "warm",
        "properties": {},
    }
    line = msgspec.json.encode(event)
    _play(RawChunk(0, 0, "ndjson", line, "warm", 1, 0, 1), plans, settings, point)

    if loop is not None:
        _learn(loop)


def _learn(loop: Loop) -> None:
    """Learn a response, and one that comes late: what was learned is taken back for it."""
    model = loop.strategy.model
    words = dict.fromkeys((*model.contexts, *model.segments), "warm")
    inputs: dict[str, Value] = {**words, **dict.fromkeys(model.numbers, 1.0)}
    learning, action = loop.learning(None, ()), next(iter(loop.strategy.actions))
    for number, at in enumerate((2, 1)):
        told = [
            Credit(
                goal.name, f"warm-{number}/0", at, number, "warm", action, 1.0,
                False, False, 0, inputs, [1.0] * len(model.action_features),
            )
            for goal in loop.goals
        ]  # fmt: skip
        learning.learn(told)
        learning.changed_models()


def _play(chunk: RawChunk, plans: Plans, settings: Settings, point: DecisionPoint | None) -> None:
    inputs: list[Script | ReadFeatures] = []
    whole = Assembler()
    split = EntitySplitter(plans, settings.shards)
    parts: list[ChunkTable | Verdict] = []
    tables = bool(plans.others)
    for part in ChunkDecoder(plans.customer, settings, point, tables=tables)(chunk):
        if isinstance(part, Script):
            inputs.append(part)
        elif isinstance(part, ChunkTable):
            parts.append(part)
        elif isinstance(part, ShardEvents):
            out = _run(ShardLogic(plans.customer, part.shard), part)
            inputs += [each for each in out if isinstance(each, ReadFeatures)]
            parts += [each for each in out if isinstance(each, Verdict)]
    named = {plan.catalog.entity.name: plan for plan in plans.others}
    for _, events in split(("", each) for each in whole.on_items(parts)):
        _run(EntityLogic(named[events.entity], events.shard), events)
    if point is not None:
        list(LearnLogic(point).on_items(inputs))


def _run(shard: Shard, part: ShardEvents | EntityEvents) -> list[Any]:
    out = list(shard.on_events(part))
    list(shard.publish(force=True))
    shard.snapshot()
    return out
