"""The kernels driven as the dataflow drives them, beside their naive twin."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings

from nextbest.features import Catalog
from nextbest.features.batch import ID_TEXT, EventBatch
from nextbest.features.codec import EventDecoder
from nextbest.features.encoder import RecordEncoder
from nextbest.features.events import MAX_TIMESTAMP, EventSchema
from nextbest.features.plan import Plan
from nextbest.features.state import ShardState
from tests.laws.strategies import Row
from tests.naive.features import NaiveFeatures
from tests.naive.formulas import TOLERANCE, Cell

PROFILE = "NEXTBEST_LAWS"
"""Environment variable: ``long`` runs the laws on 40 times the examples, ``short`` on a fifth."""
LONG = os.environ.get(PROFILE) == "long"
SHARE = {"long": 40.0, "short": 0.2}.get(os.environ.get(PROFILE, ""), 1.0)
patience = pytest.mark.timeout(7200 if LONG else 300)
NAMES = {0: "present", 1: "missing", 2: "expired"}

_F = TypeVar("_F", bound=Callable[..., Any])


def law(examples: int) -> Callable[[_F], _F]:
    """Settings of a law that draws so many examples by default."""
    return settings(
        max_examples=max(1, round(examples * SHARE)),
        deadline=None,  # the first example compiles the kernels
        derandomize=os.environ.get("CI") == "true",
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def new_state(plan: Plan) -> ShardState:
    """A state with room for few customers, as hundreds live in one process."""
    return ShardState(plan, max_slots=1 << 15)


class Kernels:
    """One shard's state, fed with the events of the wire."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.plan = Plan.compile(catalog)
        self.decoder = EventDecoder(catalog.source, now=lambda: MAX_TIMESTAMP)
        self.encoder = RecordEncoder(self.plan.categorical, self.plan.numeric)
        self.state = new_state(self.plan)
        self.position = 0

    def encode(self, rows: Sequence[Row]) -> EventBatch:
        """Encode events as they come from the log."""
        table = decode_rows(self.catalog.source, rows, self.decoder)
        positions = np.arange(self.position, self.position + len(rows), dtype=np.int64)
        self.position += len(rows)
        return self.encoder.encode(table, positions)

    def apply(self, rows: Sequence[Row]) -> list[int]:
        """Apply one batch; return what became of each event."""
        return [int(flag) for flag in self.state.apply(self.encode(rows))]


def decode_rows(
    schema: EventSchema, rows: Sequence[Row], decoder: EventDecoder | None = None
) -> pa.Table:
    """The table of events that come over the wire."""
    lines = b"\n".join(json.dumps(_wire(row)).encode() for row in rows)
    decoder = decoder or EventDecoder(schema, now=lambda: MAX_TIMESTAMP)
    table = decoder.decode_ndjson(lines).table
    assert table.num_rows == len(rows)
    return table


def _wire(row: Row) -> Row:
    """An event as an app sends it: no channel rather than a null one."""
    return {key: value for key, value in row.items() if key != "channel" or value is not None}


def both(catalog: Catalog) -> tuple[Kernels, NaiveFeatures]:
    """The kernels and their twin."""
    return Kernels(catalog), NaiveFeatures(catalog)


def batches(rows: Sequence[Row], sizes: Sequence[int]) -> Iterator[Sequence[Row]]:
    """Split rows into batches whose sizes repeat in a cycle."""
    start = turn = 0
    while start < len(rows):
        size = sizes[turn % len(sizes)]
        yield rows[start : start + size]
        start, turn = start + size, turn + 1


def assert_equal_answers(
    kernels: Kernels, naive: NaiveFeatures, ids: Sequence[str], times: Iterable[int]
) -> None:
    """Assert that both say the same of every customer at every time."""
    for at in times:
        rows = kernels.state.read(ids, at)
        for i, customer in enumerate(ids):
            where = f"{customer} at {at}"
            assert int(rows.age_ms[i]) == naive.age_ms(customer, at), where
            assert_equal_cells(kernels.catalog, rows.values[i], rows.state[i], naive, customer, at)


def assert_equal_cells(
    catalog: Catalog,
    values: npt.NDArray[np.float64],
    states: npt.NDArray[np.uint8],
    naive: NaiveFeatures,
    customer: str,
    at: int,
) -> None:
    """Assert that one customer's numbers equal the twin's."""
    cells = naive.cells(customer, at)
    assert_near(catalog.columns, cells, values, states, f"of {customer} at {at}")


def assert_near(
    columns: Sequence[str],
    cells: Sequence[Cell],
    values: npt.NDArray[np.float64],
    states: npt.NDArray[np.uint8],
    whose: str,
) -> None:
    """Assert that numbers equal the twin's cells."""
    assert len(cells) == len(values) == len(states) == len(columns)
    for column, cell, value, code in zip(
        columns, cells, values.tolist(), states.tolist(), strict=True
    ):
        state = NAMES[code]
        where = f"{column} {whose}: {value} ({state}), twin {cell}"
        assert math.isnan(value) == (state != "present"), where
        if math.isinf(cell.scale):
            assert state in ("present", "missing"), where
            continue
        assert state == cell.state, where
        if cell.value is not None:
            assert abs(value - cell.value) <= TOLERANCE * cell.scale, where


def assert_same_answers(
    some: ShardState, others: ShardState, columns: Sequence[str], ids: Sequence[str], at: int
) -> None:
    """Assert that two states answer alike, bit by bit."""
    ours, theirs = some.read(ids, at), others.read(ids, at)
    differ = ours.values.view(np.uint64) != theirs.values.view(np.uint64)
    differ |= ours.state != theirs.state
    assert not differ.any(), [
        f"{columns[c]} of {ids[i]} at {at}: {ours.values[i, c]!r} and {theirs.values[i, c]!r}"
        for i, c in np.argwhere(differ).tolist()
    ]
    assert ours.age_ms.tolist() == theirs.age_ms.tolist()


def id_texts(batch: EventBatch) -> list[str]:
    """The customer of every event of a batch."""
    text = batch.ids.tobytes()
    words = [int(word) for word in batch.records[:, ID_TEXT]]
    return [text[w >> 16 : (w >> 16) + (w & 0xFFFF)].decode() for w in words]


def reading_times(catalog: Catalog, latest: Iterable[int]) -> list[int]:
    """Times at which something changes for customers with these newest events.

    Session ends, tile boundaries, the ends of windows and time to live, each with the
    microsecond before and after; and times long before and after everything.
    """
    times: set[int] = set()
    for newest in latest:
        marks = {newest}
        for view, feature in catalog.features():
            marks |= {newest + view.gap_us, newest + view.ttl_us}
            hop, width = feature.window.hop, feature.window.width
            if hop:
                marks |= {(newest // hop + 1) * hop, ((newest + width) // hop + 1) * hop}
            marks.add(newest + feature.window.half_life * 63)
        times |= {mark + offset for mark in marks for offset in (-1, 0, 1)}
        times |= {newest - 3_600_000_000, newest + 90 * 86_400_000_000}
    return sorted(time for time in times if time > 0)
