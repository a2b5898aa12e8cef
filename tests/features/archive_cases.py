"""Archives for tests, written as a run writes them: one file for each partition and epoch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextbest.features.batch import DUPLICATE, LATE
from nextbest.features.events import EventSchema
from nextbest.flows.sinks.parquet import EpochFile
from tests.laws.driver import decode_rows
from tests.laws.strategies import Row


def write_file(directory: Path, partition: int, number: int, table: pa.Table) -> Path:
    """One epoch of one partition."""
    path = directory / f"partition={partition}" / f"epoch-{number:08d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = EpochFile(path)
    file.add(table)
    file.finish()
    return path


def archive_rows(
    directory: Path,
    schema: EventSchema,
    rows: Sequence[Row],
    flags: Sequence[int],
    *,
    cuts: Sequence[int] = (),
    partitions: int = 1,
) -> npt.NDArray[np.int64]:
    """Write the rows that are no duplicates; return int64[n], the position of each row.

    A customer's partition is told by the first letter; positions are those in the partition.
    """
    table = decode_rows(schema, rows)
    own = np.array([ord(row["customer_id"][0]) % partitions for row in rows], np.int64)
    positions = np.zeros(len(rows), np.int64)
    for partition in range(partitions):
        positions[own == partition] = np.arange((own == partition).sum())
    flag = np.array(flags)
    table = table.append_column("position", pa.array(positions))
    table = table.append_column("late", pa.array(flag == LATE))
    bounds = [0, *sorted(cut % (len(rows) + 1) for cut in cuts), len(rows)]
    for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
        for partition in range(partitions):
            place = np.arange(len(rows))
            chosen = (place >= start) & (place < stop) & (own == partition) & (flag != DUPLICATE)
            if chosen.any():
                write_file(directory, partition, number, table.filter(pa.array(chosen)))
    return positions


def event_table(columns: dict[str, Any]) -> pa.Table:
    """Events as the archive holds them, from what is given and what does not matter."""
    n = len(columns["event_timestamp"])
    given = {
        "event_id": [f"e{i}" for i in range(n)],
        "customer_id": ["ada"] * n,
        "type": pa.array(["view"] * n).dictionary_encode(),
        "channel": pa.nulls(n, pa.dictionary(pa.int32(), pa.string())),
        "position": pa.array(range(n), pa.int64()),
        "late": [False] * n,
    } | columns
    times = pa.array(given.pop("event_timestamp"), pa.int64()).cast(pa.timestamp("us", "UTC"))
    return pa.table({"event_id": given.pop("event_id"), "event_timestamp": times, **given})
