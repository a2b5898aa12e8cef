"""What attribution sees of a chunk of the log, and what is archived of it: Arrow tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...features.arrow_columns import TIME_TYPE
from ...features.events import EXTRA, RESERVED, EventSchema
from ...learners.fleet_parts import Change
from ..assemble import WholeChunk
from .credits import Seen
from .loop_events import LoopEvent
from .open_decisions import Credit

_RECORDS: Any = [
    pa.field("position", pa.int64()),
    pa.field("event_id", pa.string()),
    pa.field("event_timestamp", TIME_TYPE),
    pa.field("customer_id", pa.string()),
    pa.field("type", pa.string()),
    pa.field("record", pa.string()),
]
DECISIONS = pa.schema(_RECORDS)
"""The archive of decisions and outcomes; ``record`` is the loop's own JSON text."""

_TOLD: Any = [
    pa.field("position", pa.int64()),
    pa.field("event_timestamp", TIME_TYPE),
    pa.field("customer_id", pa.string()),
    pa.field("objective", pa.string()),
    pa.field("example", pa.string()),
    pa.field("revision", pa.int64()),
    pa.field("action", pa.string()),
    pa.field("reward", pa.float64()),
    pa.field("silence", pa.bool_()),
    pa.field("withdrawn", pa.bool_()),
    pa.field("inputs", pa.string()),
    pa.field("features", pa.list_(pa.float64())),
    pa.field("member", pa.string()),
    pa.field("chance", pa.float64()),
]
CREDITS = pa.schema(_TOLD)
"""The archive of what was learned: of one example the highest revision counts."""

_CHANGED: Any = [
    pa.field("number", pa.int64()),
    pa.field("event_timestamp", TIME_TYPE),
    pa.field("what", pa.string()),
    pa.field("member", pa.string()),
    pa.field("champion", pa.string()),
    pa.field("by", pa.string()),
    pa.field("note", pa.string()),
    pa.field("pairs", pa.int64()),
    pa.field("differing", pa.int64()),
    pa.field("mean", pa.float64()),
    pa.field("low", pa.float64()),
    pa.field("high", pa.float64()),
    pa.field("log_e", pa.float64()),
    pa.field("alpha", pa.float64()),
]
CHANGES = pa.schema(_CHANGED)
"""The audit log of a fleet: who became what, when and why, and the evidence of the trial."""

AHEAD_US = 60_000_000
"""How far an event may move a partition's clock ahead of the log's own: clocks differ a little."""


class ChunkEvents(NamedTuple):
    """What `Attribution.take` is given."""

    events: list[LoopEvent | Seen]
    newest: Callable[[int], int]
    end: int


class ChunkReader:
    """Finds the events of a chunk that attribution needs, in log order.

    Parameters
    ----------
    types
        Of the events that objectives name.
    schema
        Of the users' events.
    """

    def __init__(self, types: Sequence[str], schema: EventSchema) -> None:
        self._types = pa.array(sorted(set(types)), pa.string())
        self._conditions = [name for name, kind in schema.properties.items() if kind == "bool"]

    def read(self, whole: WholeChunk, waits_for: Callable[[str], bool]) -> ChunkEvents:
        """Return the loop's events, the named ones of customers who are waited for, and the clock.

        A customer is waited for too if the chunk itself has a decision for them. An event moves
        the clock to its own time, but not further than `AHEAD_US` after the log took it in; where
        the log does not say when that was, as files do not, there is no such bound.
        """
        chunk = whole.chunk
        loop = sorted(chunk.loop, key=lambda event: event.position)
        positions = np.array([event.position for event in loop], np.int64)
        clocks = np.array([min(event.at, event.logged_at + AHEAD_US) for event in loop], np.int64)
        if not whole.rows:
            return _with_clock(list(loop), positions, clocks)
        table: Any = chunk.events.table
        accepted = whole.accepted
        times = table["event_timestamp"].cast(pa.int64()).to_numpy()
        if chunk.logged is not None:
            times = np.minimum(times, chunk.logged + AHEAD_US)
        times = np.where(accepted, times, -1)
        seen: list[LoopEvent | Seen] = []
        if len(self._types):
            own = {event.customer for event in loop}
            rows = np.flatnonzero(accepted & self._named(table))
            if len(rows):
                customers = table["customer_id"].take(pa.array(rows)).to_pylist()
                wanted = [name in own or waits_for(name) for name in customers]
                seen = self._seen(table, chunk.positions, rows[np.array(wanted)])
        events = sorted([*loop, *seen], key=lambda event: event.position)
        if not loop:
            return _with_clock(events, chunk.positions, times)
        positions = np.concatenate([chunk.positions, positions])
        order = np.argsort(positions, kind="stable")
        return _with_clock(events, positions[order], np.concatenate([times, clocks])[order])

    def _seen(
        self, table: Any, positions: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
    ) -> list[LoopEvent | Seen]:
        chosen = table.take(pa.array(rows))
        names = [name for name in chosen.column_names if name not in (*RESERVED[:3], EXTRA)]
        fields = chosen.select(names).to_pylist()
        for name in self._conditions:  # as numbers in the table
            for each in fields:
                each[name] = None if each[name] is None else bool(each[name])
        columns = zip(
            chosen["event_id"].to_pylist(),
            chosen["event_timestamp"].cast(pa.int64()).to_pylist(),
            chosen["customer_id"].to_pylist(),
            positions[rows].tolist(),
            fields,
            strict=True,
        )
        return [Seen(*values) for values in columns]

    def _named(self, table: Any) -> npt.NDArray[np.bool_]:
        found: Any = pc.is_in(table["type"].cast(pa.string()), value_set=self._types)
        named: npt.NDArray[np.bool_] = found.to_numpy()
        return named


def _with_clock(
    events: list[LoopEvent | Seen], positions: npt.NDArray[np.int64], clocks: npt.NDArray[np.int64]
) -> ChunkEvents:
    """Return events with the clock that all the partition's events make, given in log order."""
    newest = np.maximum.accumulate(clocks)

    def at(position: int) -> int:
        place = int(np.searchsorted(positions, position, side="right"))
        return int(newest[place - 1]) if place else -1

    return ChunkEvents(events, at, int(newest[-1]) if len(newest) else -1)


def decisions_table(events: Sequence[LoopEvent]) -> pa.Table:
    """Return the rows of the archive of decisions."""
    columns = [
        [e.position for e in events],
        [e.event_id for e in events],
        pa.array([e.at for e in events], pa.int64()).cast(TIME_TYPE),
        [e.customer for e in events],
        [e.type for e in events],
        [e.text for e in events],
    ]
    return pa.table(columns, schema=DECISIONS)


_JSON = msgspec.json.Encoder(order="deterministic")


def credits_table(told: Sequence[Credit]) -> pa.Table:
    """Return the rows of the archive of what was learned."""
    columns = [
        [c.position for c in told],
        pa.array([c.time for c in told], pa.int64()).cast(TIME_TYPE),
        [c.customer for c in told],
        [c.objective for c in told],
        [c.id for c in told],
        [c.revision for c in told],
        [c.action for c in told],
        [c.reward for c in told],
        [c.silence for c in told],
        [c.withdrawn for c in told],
        [_JSON.encode(c.inputs).decode() for c in told],
        [c.features for c in told],
        [c.member for c in told],
        [c.chance for c in told],
    ]
    return pa.table(columns, schema=CREDITS)


def changes_table(changes: Sequence[Change]) -> pa.Table:
    """Return the rows of a fleet's audit log."""
    evidence = [change.evidence for change in changes]
    columns = [
        [c.number for c in changes],
        pa.array([c.at for c in changes], pa.int64()).cast(TIME_TYPE),
        *([getattr(c, name) for c in changes] for name in CHANGES.names[2:7]),
        *(
            [None if one is None else getattr(one, name) for one in evidence]
            for name in CHANGES.names[7:]
        ),
    ]
    return pa.table(columns, schema=CHANGES)
