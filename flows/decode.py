"""From raw chunks of the log to each shard's events, and dead letters for the rest.

Knows no dataflow engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypedDict

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..features.arrow_columns import to_python
from ..features.batch import EventBatch
from ..features.codec import Decoded, EventDecoder
from ..features.encoder import RecordEncoder
from ..features.errors import SourceError
from ..features.events import EXTRA, RESERVED
from ..features.plan import Plan
from .assemble import ChunkTable
from .dead_letters import DeadLetter
from .decision.loop_events import LoopEvent, LoopReader
from .decision.record import Response
from .decision.triggering import Marked
from .decisions import DecisionPoint, Script, write_script
from .marking import EventMarker, Marks
from .settings import Settings
from .sources.chunk import RawChunk
from .telemetry import tracing
from .telemetry.context import Traced

_NOTHING = Decoded(pa.table({}), np.zeros(0, np.int64), [], 0)
_JSON = msgspec.json.Encoder(enc_hook=str)


class Limits(TypedDict):
    """What is asked of every event."""

    now: Callable[[], int]
    future_skew_us: int
    max_event_bytes: int


@dataclass(frozen=True, slots=True)
class ShardEvents:
    """The events of one chunk that belong to one shard, in log order.

    Attributes
    ----------
    shard
        Which shard.
    seq
        Which chunk of the log.
    batch
        The events.
    marked
        bool[n]: read the customer's features right after this event; None: after none.
    received
        When the chunk entered the worker, ``time.perf_counter`` seconds.
    partition
        Of the log.
    order
        int64[n]: the events' ordinals in the chunk's table, if that is needed; else None.
    asking
        The marked events, if a strategy may decide at them.
    traced
        Of the events, those that are part of a trace.
    """

    entity: ClassVar[str] = ""  # the customers

    shard: int
    seq: int
    batch: EventBatch
    marked: npt.NDArray[np.bool_] | None
    received: float
    partition: int = 0
    order: npt.NDArray[np.int64] | None = None
    asking: Marked | None = None
    traced: tuple[Traced, ...] = ()


class ChunkDecoder:
    """Decodes, checks, encodes and splits chunks.

    Parameters
    ----------
    plan
        The compiled catalog.
    settings
        Limits, the number of shards, whether events are archived.
    decisions
        The decision point to write scripts for, if any.
    tables
        Whether each chunk's table is needed even if events are not archived.
    loop
        Whether decisions and outcomes are events of the log: they are then split off, and travel
        with the chunk's table. If not, they are unknown types of events.
    marker
        Marks the events at which a strategy may decide; not together with ``decisions``.
    now
        The clock, microseconds.

    Raises
    ------
    DeclarationError
        If the decision point asks for what events do not carry.
    """

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        decisions: DecisionPoint | None = None,
        *,
        tables: bool = False,
        loop: bool = False,
        marker: EventMarker | None = None,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        schema = plan.catalog.source
        if decisions is not None:
            decisions.check(schema)
        self._plan = plan
        self._settings = settings
        self._tables = tables or settings.archive or loop
        self._decisions, self._marker = decisions, marker
        self._now = now
        limits: Limits = {
            "now": now,
            "future_skew_us": int(settings.future_skew_seconds * 1_000_000),
            "max_event_bytes": settings.max_event_bytes,
        }
        self._decoder = EventDecoder(schema, **limits)
        self._loop = LoopReader(schema, **limits) if loop else None
        self._encoder = RecordEncoder(plan.categorical, plan.numeric)

    def __call__(self, chunk: RawChunk) -> Iterator[ShardEvents | ChunkTable | Script | DeadLetter]:
        """Yield what a chunk holds.

        Dead letters, a script of decisions, the archive's table, each shard's events.
        """
        received = time.perf_counter()
        loop: list[LoopEvent] = []
        if chunk.fault is not None:
            assert isinstance(chunk.payload, bytes)
            origin, line, position = chunk.where(0, 0)
            yield DeadLetter.of(
                chunk.payload,
                reason=chunk.fault,
                origin=origin,
                line=line,
                position=position,
                received_at=self._now(),
                size=chunk.size,
            )
            decoded = _NOTHING
        else:
            decoded = self._decode(chunk)
            if self._loop is not None and decoded.rejected:
                decoded, loop = self._split_loop(self._loop, chunk, decoded)
            yield from self._rejected(chunk, decoded)
        positions = chunk.positions(decoded.index)
        marked, marks, parts = None, None, []
        if len(positions):
            batch = decoded.encode(self._encoder, positions)
            if self._decisions is not None:
                marked = self._decisions.triggers(decoded.table)
            elif self._marker is not None:
                marks = self._marker.mark(decoded.table)
            traces = chunk.traced(decoded.index)
            parts = list(self._split(chunk, batch, marked, marks, received, traces))
        if self._decisions is not None:
            yield write_script(self._decisions, chunk.seq, len(parts), decoded.table, positions)
        if (parts or loop) and self._tables:
            same = chunk.partition, chunk.seq, len(parts)
            logged = chunk.logged(decoded.index)
            yield ChunkTable(*same, decoded, positions, received, loop, logged)
        yield from parts

    def _decode(self, chunk: RawChunk) -> Decoded:
        if isinstance(chunk.payload, bytes):
            return self._decoder.decode_ndjson(chunk.payload)
        try:
            decoded = self._decoder.decode_arrow(chunk.payload)
        except SourceError as error:
            raise SourceError(f"{chunk.origin}: {error}") from error
        if self._settings.archive:
            decoded = replace(decoded, events=self._fold_undeclared(decoded.events))
        return decoded

    def _split_loop(
        self, reader: LoopReader, chunk: RawChunk, decoded: Decoded
    ) -> tuple[Decoded, list[LoopEvent]]:
        rejected, found = reader.split(decoded.rejected)
        loop = []
        for place, event in found.items():
            record = decoded.rejected[place]
            origin, line, position = chunk.where(record.index, record.line)
            where: dict[str, Any] = {"position": position, "origin": origin, "line": line}
            logged = chunk.logged(np.array([record.index]))
            if logged is not None:
                where["logged_at"] = int(logged[0])
            loop.append(msgspec.structs.replace(event, received_at=self._now(), **where))
        if tracing.is_on():
            _trace_outcomes(chunk, decoded, found)
        return replace(decoded, rejected=rejected), loop

    def _fold_undeclared(self, table: pa.Table) -> pa.Table:
        """Make undeclared columns one of JSON text: files may differ in them, the archive not."""
        declared = (*RESERVED, *self._plan.catalog.source.properties)
        names = [name for name in table.column_names if name not in declared]
        if not names:
            return table.append_column(EXTRA, pa.nulls(table.num_rows, pa.string()))
        texts: list[str | None] = []
        for values in zip(*(to_python(table[name]) for name in names), strict=True):
            kept = {n: v for n, v in zip(names, values, strict=True) if v is not None}
            texts.append(_JSON.encode(kept).decode() if kept else None)
        known = table.select([name for name in table.column_names if name in declared])
        return known.append_column(EXTRA, pa.array(texts, pa.string()))

    def _rejected(self, chunk: RawChunk, decoded: Decoded) -> Iterator[DeadLetter]:
        for rejected in decoded.rejected:
            origin, line, position = chunk.where(rejected.index, rejected.line)
            told = (chunk.faults or {}).get(rejected.index)
            reason, path, raw, size = told or (rejected.reason, rejected.path, rejected.raw, 0)
            yield DeadLetter.of(
                raw,
                reason=reason,
                path=path,
                origin=origin,
                line=line,
                position=position,
                received_at=self._now(),
                size=size,
            )

    def _split(
        self,
        chunk: RawChunk,
        batch: EventBatch,
        marked: npt.NDArray[np.bool_] | None,
        marks: Marks | None,
        received: float,
        traces: Mapping[int, str],
    ) -> Iterator[ShardEvents]:
        read = time.time_ns() if traces else 0
        for shard, part, order in batch.split(self._settings.shards):
            asked = None if marked is None else marked[order]
            asking = None if marks is None else marks.of(order)
            if marks is not None and asking is not None:
                asked = marks.flags(order)
            place = order if self._tables else None
            traced: tuple[Traced, ...] = ()
            if traces:
                own = dict.fromkeys(traces[i] for i in order.tolist() if i in traces)
                traced = tuple(Traced(parent, read, chunk.partition) for parent in own)
            same = chunk.partition, place, asking, traced
            yield ShardEvents(shard, chunk.seq, part, asked, received, *same)


def _trace_outcomes(chunk: RawChunk, decoded: Decoded, found: Mapping[int, LoopEvent]) -> None:
    """Say which outcomes there are in a chunk."""
    said = {
        decoded.rejected[place].index: event.own
        for place, event in found.items()
        if isinstance(event.own, Response)
    }
    traces = chunk.traced(np.array(list(said), np.int64)) if said else {}
    told = [(own, traces.get(i)) for i, own in enumerate(said.values())]
    tracing.heard(told, chunk.partition, time.time_ns())
