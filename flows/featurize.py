"""The shard step: events in, published rows, archived events and read features out.

Knows no dataflow engine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..features.batch import DUPLICATE, LATE
from ..features.delta_log import DeltaLog
from ..features.errors import StateError
from ..features.online import key_prefix
from ..features.plan import Plan
from ..features.state import FeatureRows, RowCommands, ShardState
from .decode import ADDED_COLUMNS, ShardEvents

_POSITION, _LATE = ADDED_COLUMNS
_PUBLISHING_SHARE = 8.0
"""Encoding rows may take one part in so many of the worker's time; sending takes as much again."""

_LONGEST_PAUSE = 0.25
"""Seconds between two publications of a shard, at most."""


@dataclass(frozen=True, slots=True)
class Published:
    """Rows to send to the store; the oldest event in them was received at ``received``."""

    commands: RowCommands
    received: float


@dataclass(frozen=True, slots=True)
class Archived:
    """Accepted events of a partition of the log, for the archive."""

    table: pa.Table
    partition: int = 0


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


ShardOutput: TypeAlias = Published | Archived | ReadFeatures | Counted
Pointer: TypeAlias = tuple[int, int]
"""A shard and the committed end of its delta log, bytes."""


class ShardLogic:
    """One shard's features.

    Parameters
    ----------
    plan
        The compiled catalog.
    shard
        Which shard.
    state_dir
        Where delta logs are kept; None: nowhere, a snapshot then keeps nothing.
    pointer
        What `snapshot` returned last; None: a new shard.
    peers
        How many shards share the worker's time.

    Raises
    ------
    StateError
        If the shard's delta log is damaged or of another declaration.
    """

    def __init__(
        self,
        plan: Plan,
        shard: int,
        state_dir: Path | None = None,
        pointer: int | None = None,
        *,
        peers: int = 1,
    ) -> None:
        self.shard = shard
        self._peers = peers
        self._state = ShardState(plan)
        self._prefix = key_prefix(plan.catalog)
        self._log: DeltaLog | None = None
        self._oldest: float | None = None
        self._not_before = 0.0
        if state_dir is not None:
            self._log = DeltaLog(state_dir / f"shard-{shard:04d}.log", pointer)
            for changes in self._log.replay():
                try:
                    self._state.load_changes(changes)
                except StateError as error:
                    raise StateError(f"{self._log.path}: {error}") from error

    def on_events(self, part: ShardEvents) -> Iterator[ShardOutput]:
        """Apply events; yield what follows from them."""
        batch = part.batch
        if part.marked is None:
            flags = self._state.apply(batch)
        else:
            flags, rows = self._state.apply_and_read(batch, part.marked)
            positions = batch.positions
            yield ReadFeatures(
                part.seq,
                positions[part.marked].copy(),
                rows,
                positions[flags == DUPLICATE].copy(),
            )
        counts = np.bincount(flags, minlength=3)
        yield Counted(int(counts[0]), int(counts[1]), int(counts[2]), len(self._state))
        if batch.table is not None:
            yield Archived(_archived(batch.table, batch.positions, flags), part.partition)
        if self._oldest is None and self._state.unpublished:
            self._oldest = part.received

    def publish(self, *, force: bool = False) -> Iterator[Published]:
        """Yield the changed rows, unless it is too soon for it (see `publish_at`)."""
        if not self._state.unpublished:
            return
        began = time.perf_counter()
        if not force and began < self._not_before:
            return
        received, self._oldest = self._oldest, None
        yield Published(self._state.encode_changes(self._prefix), received or began)
        ended = time.perf_counter()
        pause = _PUBLISHING_SHARE * self._peers * (ended - began)
        self._not_before = ended + min(pause, _LONGEST_PAUSE)

    def publish_at(self) -> float | None:
        """Seconds from now at which waiting rows should be published; None if none wait."""
        if not self._state.unpublished:
            return None
        return max(0.0, self._not_before - time.perf_counter())

    def snapshot(self) -> Pointer:
        """Make the state durable; return what the next `ShardLogic` begins from."""
        if self._log is None:
            return (self.shard, 0)
        changes = self._state.take_changes()
        return (self.shard, self._log.append(changes) if changes else self._log.pointer)


def _archived(
    table: pa.Table, positions: npt.NDArray[np.int64], flags: npt.NDArray[np.uint8]
) -> pa.Table:
    """Drop duplicates; add each event's log position and whether it was late."""
    table = table.append_column(_POSITION, pa.array(positions))
    table = table.append_column(_LATE, pa.array(flags == LATE))
    kept = flags != DUPLICATE
    return table if kept.all() else table.filter(pa.array(kept))
