"""The shard step: events in, published rows, verdicts for the archive and read features out.

Knows no dataflow engine.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from ..features.batch import ACCEPTED, DUPLICATE, LATE, EventBatch
from ..features.online import key_prefix
from ..features.plan import Plan
from ..features.row_commands import RowCommands
from ..features.state import FeatureRows, empty_rows
from ..features.store import MEMORY_BYTES, ShardStore
from .assemble import Verdict
from .decode import ShardEvents
from .marks import CHECK_SECONDS
from .publication import LAG_SECONDS, Marks, Publication, mark_key, new_timeline
from .resp import encode_command
from .watch import Look, MarkWatch

_BUSY_SHARE = 8.0
"""Where events come in large batches, encoding rows takes at most one part in so many of the
worker's time; sending takes as much again."""

_BUSY_EVENTS = 256

_LONGEST_PAUSE = 0.25
"""Seconds between two publications of a shard, at most."""

_ROWS_A_FLUSH = 8192
_HOLD_SECONDS = 30.0
"""For so long after a restart at most, rows older than those in the store are not published."""

Snapshot: TypeAlias = dict[str, Any]
"""Plain values: ``shard``, the store's ``manifest``, the newest ``position``, the ``counts``."""


@dataclass(frozen=True, slots=True)
class Published:
    """Commands for the online store; the oldest event in their rows was received at ``received``.

    ``marks``, if any, are to be executed before and after them.
    """

    commands: RowCommands
    received: float
    marks: Marks | None = None


@dataclass(frozen=True, slots=True)
class ReadFeatures:
    """Features as of the marked events of one shard's part of one chunk.

    ``positions`` (int64[m]) are the log positions of the rows; ``dropped`` (int64[d]) those of
    the part's duplicates.
    """

    seq: int
    positions: npt.NDArray[np.int64]
    rows: FeatureRows
    dropped: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of the events of one part."""

    accepted: int
    late: int
    duplicate: int
    customers: int


ShardOutput: TypeAlias = Published | Verdict | ReadFeatures | Counted


class ShardLogic:
    """One shard's features.

    Parameters
    ----------
    plan
        The compiled catalog.
    shard
        Which shard.
    state_dir
        Where the state is kept; None: nowhere, a snapshot then keeps nothing.
    snapshot
        What `snapshot` returned last; None: a new shard.
    memory_bytes, idle_seconds
        See `ShardStore`.
    look
        Returns what the online store has under a mark's key, if it was looked at since; None:
        publications are not marked.
    home
        A name of the data directory that outlives the process, for marks.
    lag_seconds
        How long the store may be behind before that counts as a loss.
    peers
        How many shards share the worker's time.

    Raises
    ------
    StateError
        If the shard's state is damaged or of another declaration.
    """

    def __init__(
        self,
        plan: Plan,
        shard: int,
        state_dir: Path | None = None,
        snapshot: Snapshot | None = None,
        *,
        memory_bytes: int = MEMORY_BYTES,
        idle_seconds: float = 3600.0,
        look: Look | None = None,
        home: str = "",
        lag_seconds: float = LAG_SECONDS,
        peers: int = 1,
    ) -> None:
        timeline = new_timeline()
        self.shard = shard
        self.store = ShardStore(
            plan, state_dir, shard, None if snapshot is None else snapshot["manifest"],
            memory_bytes=memory_bytes, idle_seconds=idle_seconds, timeline=timeline,
        )  # fmt: skip
        self._peers = peers
        self._columns = plan.reads.columns
        self._prefix = key_prefix(plan.catalog)
        self._counts_key = f"nextbest:{plan.catalog.name}:shard:{shard}:counts".encode()
        self._counts = np.zeros(3, np.int64)  # by ACCEPTED, LATE, DUPLICATE
        self._position = -1
        if snapshot is not None:
            self._counts += snapshot["counts"]
            self._position = int(snapshot["position"])
        self._oldest: float | None = None
        self._batch = 0  # events that came last
        self._not_before = 0.0
        self._hold_until = time.perf_counter() + _HOLD_SECONDS
        self._publication = Publication(
            mark_key(plan.catalog, shard), timeline,
            resumed_timeline=self.store.resumed_timeline or home,
            resumed_version=self.store.resumed_version,
            lag_seconds=lag_seconds,
        )  # fmt: skip
        self._watch = None if look is None else MarkWatch(look, self._publication)
        if look is None:
            self.store.republish(None)

    def on_events(self, part: ShardEvents) -> Iterator[ShardOutput]:
        """Apply events; yield what follows from them."""
        batch = part.batch
        self._batch = len(batch)
        flags, rows = yield from self._apply(batch, part.marked)
        positions = batch.positions
        if part.marked is not None:
            dropped = positions[flags == DUPLICATE]
            yield ReadFeatures(part.seq, positions[part.marked].copy(), rows, dropped.copy())
        counts = np.bincount(flags, minlength=3)
        self._counts += counts
        accepted, late, duplicate = (int(counts[kind]) for kind in (ACCEPTED, LATE, DUPLICATE))
        yield Counted(accepted, late, duplicate, len(self.store.state))
        if part.order is not None:
            yield Verdict(
                part.partition, part.seq, part.order[flags == DUPLICATE], part.order[flags == LATE]
            )
        if self._oldest is None and self.store.unpublished:
            self._oldest = part.received

    def publish(self, *, force: bool = False) -> Iterator[Published]:
        """Yield the rows that wait, unless it is too soon for it (see `publish_at`)."""
        yield from self._find_lost(force)
        if not self.store.unpublished:
            return
        began = time.perf_counter()
        if not force and (began < self._not_before or not self._may_publish(began)):
            return
        yield self._flush(began)
        while force and self.store.unpublished:
            yield self._flush(began)
        ended = time.perf_counter()
        # Where they come one by one there is time to spare, and each is waited for.
        share = _BUSY_SHARE * min(1.0, self._batch / _BUSY_EVENTS)
        pause = share * self._peers * (ended - began)
        self._not_before = ended + min(pause, _LONGEST_PAUSE)

    def publish_at(self) -> float | None:
        """Seconds from now at which `publish` should be called again; None: there is no need."""
        wait = None if self._watch is None else CHECK_SECONDS
        now = time.perf_counter()
        if self.store.unpublished and self._may_publish(now):
            wait = max(0.0, self._not_before - now)
        return wait

    def prepare(self) -> None:
        """Begin what `snapshot` will wait for."""
        self.store.prepare()

    def snapshot(self) -> Snapshot:
        """Make the state durable; return what the next `ShardLogic` begins from."""
        return {
            "shard": self.shard,
            "manifest": self.store.snapshot(),
            "position": self._position,
            "counts": self._counts.tolist(),
        }

    def _apply(
        self, batch: EventBatch, marked: npt.NDArray[np.bool_] | None
    ) -> Generator[Published, None, tuple[npt.NDArray[np.uint8], FeatureRows]]:
        """Apply a batch, in pieces if memory cannot hold that many new customers."""
        size = self.store.most_events
        flags, rows = [], []
        for first in range(0, len(batch), size):
            piece = EventBatch(batch.records[first : first + size], batch.ids)
            if self.store.needs_room(len(piece)):
                # Who waits to be published cannot leave memory.
                yield from self.publish(force=True)
            if marked is None:
                flags.append(self.store.apply(piece))
            else:
                became, read = self.store.apply_and_read(piece, marked[first : first + size])
                flags.append(became)
                rows.append(read)
            # Before the next piece: what is published ahead of it must not claim to be older.
            self._position = max(self._position, int(piece.positions.max()))
        return _joined(flags, rows, self._columns)

    def _flush(self, began: float) -> Published:
        store = self.store
        counts = encode_command(b"SET", self._counts_key, _shown(self._counts))
        commands = store.encode_changes(self._prefix, _ROWS_A_FLUSH, counts)
        received, left = self._oldest or began, store.unpublished
        if not left:
            self._oldest = None
        if self._watch is None:
            return Published(commands, received)
        version = self._publication.version if left else store.version
        return Published(commands, received, self._watch.marks(version, self._position))

    def _may_publish(self, now: float) -> bool:
        if self._watch is None:
            return True
        return self._watch.resumed and (
            self._publication.may_publish(self._position) or now > self._hold_until
        )

    def _find_lost(self, force: bool) -> Iterator[Published]:
        """Find out what the store does not have, so that it is published again.

        The first time, yield a mark alone: what gets lost from here on will be missed.
        """
        if self._watch is None:
            return
        is_first = not self._watch.resumed
        again = self._watch.look(force=force)
        if again is None:
            return
        if is_first:
            marks = self._watch.marks(self._publication.version, -1)
            nothing = RowCommands(np.zeros(0, np.uint8), 0, 0)
            yield Published(nothing, time.perf_counter(), marks)
        if again.needed:
            self.store.republish(again.since)


def _joined(
    flags: list[npt.NDArray[np.uint8]], rows: list[FeatureRows], columns: int
) -> tuple[npt.NDArray[np.uint8], FeatureRows]:
    one = flags[0] if len(flags) == 1 else np.concatenate([np.zeros(0, np.uint8), *flags])
    if len(rows) == 1:
        return one, rows[0]
    parts = zip(empty_rows(0, columns), *rows, strict=True)
    return one, FeatureRows(*(np.concatenate(part) for part in parts))


def _shown(counts: npt.NDArray[np.int64]) -> bytes:
    names = ("accepted", "late", "duplicate")
    return msgspec.json.encode(dict(zip(names, counts.tolist(), strict=True)))
