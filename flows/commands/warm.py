"""Making the kernels ready before the first event waits for them."""

from __future__ import annotations

from pathlib import Path

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
    chunk = RawChunk(0, 0, "arrow", piece.payload, str(file), piece.line, 0, piece.records)
    learner = LearnLogic(point)
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
    list(learner.on_items(inputs))
