"""An archive of a workload's events, as a run writes it, and queries of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextbest.features.codec import EventDecoder
from nextbest.features.events import EventSchema
from nextbest.flows.sinks.parquet import EpochFile

from .workload import DAY, START

EPOCH_EVENTS = 250_000


def write_archive(directory: Path, schema: EventSchema, events: pa.Table) -> int:
    """Write events to one partition, an epoch a file; return the bytes on disk."""
    decoder = EventDecoder(schema)
    place = directory / "partition=0"
    place.mkdir(parents=True)
    size = 0
    for number, start in enumerate(range(0, events.num_rows, EPOCH_EVENTS)):
        part = events.slice(start, EPOCH_EVENTS).combine_chunks()
        table = decoder.decode_arrow(part).table
        positions = pa.array(np.arange(start, start + table.num_rows))
        late = pa.array(np.zeros(table.num_rows, np.bool_))
        path = place / f"epoch-{number:08d}.parquet"
        file = EpochFile(path)
        file.add(table.append_column("position", positions).append_column("late", late))
        file.finish()
        size += path.stat().st_size
    return size


def ask(
    customers: int, queries: int, days: float, *, seed: int
) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Draw queries of any customer at any time of the days."""
    rng = np.random.default_rng(seed)
    names = pa.array(np.char.add("customer-", np.arange(customers).astype(str)))
    at = START + rng.uniform(0.0, days * DAY, queries).astype(np.int64)
    return names.take(pa.array(rng.integers(0, customers, queries))), at
