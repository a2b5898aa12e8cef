"""A strategy's models learned anew from the archive of what was learned.

The archive of credits holds all that the objectives were told, so that models and customers' own
weights end at the very bits that they had. What was not told yet, because decisions were open, is
not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ..features.errors import SourceError
from ..features.manifest import Manifest
from .decision.increments import IncrementLog
from .decision.open_decisions import Credit
from .decision.record import Value
from .loop_flow import Loop
from .settings import Settings

_ROWS = 4096
_INPUTS = msgspec.json.Decoder(dict[str, Value])


def relearn(loop: Loop, settings: Settings, archived: Mapping[str, int]) -> tuple[Manifest, int]:
    """Learn from the archive; return what the next run goes on from, and how many examples it was.

    Parameters
    ----------
    loop
        The strategy: its models are to be of this shape.
    settings
        The data directory.
    archived
        By the archive's partition: the number of the next file. Later ones were never committed.

    Raises
    ------
    SourceError
        If a file cannot be read.
    StateError
        If the disk fails.
    """
    learning = loop.learning(None, (), len(archived), settings.apart_seconds)
    table = _final(settings.archive_dir / "credits", archived)
    for start in range(0, table.num_rows, _ROWS):
        learning.learn(_credits(table.slice(start, _ROWS)))
    log = IncrementLog(settings.state_dir, f"loop-{loop.strategy.name}")
    try:
        return log.save(learning.change(), learning.to_bytes), table.num_rows
    finally:
        log.close()


def _final(directory: Path, archived: Mapping[str, int]) -> pa.Table:
    """Return the last word on each example, in the order that examples are learned."""
    parts = []
    for name, end in archived.items():
        for path in sorted((directory / f"partition={name}").glob("epoch-*.parquet")):
            if int(path.stem.partition("-")[2]) < end:
                try:
                    parts.append(pq.read_table(path, partitioning=None))
                except (OSError, pa.ArrowException) as error:
                    raise SourceError(f"{path}: cannot be read: {error}") from None
    if not parts:
        return pa.table({})
    table = pa.concat_tables(parts, promote_options="default")  # older ones have fewer columns
    last = table.sort_by(
        [("objective", "ascending"), ("example", "ascending"), ("revision", "ascending")]
    )
    keys = [_codes(last[name]) for name in ("objective", "example")]
    ends = np.ones(last.num_rows, np.bool_)
    ends[:-1] = np.logical_or.reduce([codes[1:] != codes[:-1] for codes in keys])
    kept = last.filter(pa.array(ends & ~last["withdrawn"].to_numpy()))
    return kept.sort_by(
        [(name, "ascending") for name in ("event_timestamp", "position", "example")]
    )


def _codes(column: Any) -> npt.NDArray[np.int64]:
    codes: npt.NDArray[np.int64] = column.combine_chunks().dictionary_encode().indices.to_numpy()
    return codes


def _credits(table: pa.Table) -> list[Credit]:
    times: Any = table["event_timestamp"].cast(pa.int64()).to_pylist()
    return [
        Credit(
            row["objective"], row["example"], at, row["position"], row["customer_id"],
            row["action"], row["reward"], row["silence"], False, row["revision"],
            _INPUTS.decode(row["inputs"]), row["features"], row.get("member") or "",
            row.get("chance"),
        )
        for at, row in zip(times, table.to_pylist(), strict=True)
    ]  # fmt: skip
