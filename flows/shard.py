"""One shard of rows: events applied, rows durable, and published to the online store.

Knows no dataflow engine.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from ..features.batch import EventBatch
from ..features.errors import StateError
from ..features.online import key_prefix
from ..features.plan import Plan
from ..features.row_commands import RowCommands
from ..features.state import FeatureRows, empty_rows
from ..features.store import MEMORY_BYTES, ShardStore
from .marks import CHECK_SECONDS
from .publication import LAG_SECONDS, Marks, Publication, mark_key, new_timeline, shard_key
from .resp import encode_command
from .telemetry.context import Traced
from .watch import Look, MarkWatch

CUSTOMERS = ""
"""Stands for the customers where another entity's name could."""

NO_COMMANDS = RowCommands(np.zeros(0, np.uint8), 0, 0)

_BUSY_SHARE = 8.0
"""Where events come in large batches, encoding rows takes at most one part in so many of the
worker's time; sending takes as much again."""

_BUSY_EVENTS = 256

_LONGEST_PAUSE = 0.25
"""Seconds between two publications of a shard, at most."""

_ROWS_A_FLUSH = 8192
_MOST_TRACED = 64
_HOLD_SECONDS = 30.0
"""For so long after a restart at most, rows older than those in the store are not published."""

Snapshot: TypeAlias = dict[str, Any]
"""Plain values: ``entity``, ``shard``, the store's ``manifest``, the newest ``position``, the
``counts``, and where it all comes from: `Origin`."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a snapshot says of the state besides what is in it.

    Attributes
    ----------
    generation
        The directory below that of all state which holds it; ``""``: that one itself. Each
        rebuild from the archive makes another.
    declaration
        `Plans.schema_id`: the whole declaration, of which a shard's rows are a part.
    """

    generation: str = ""
    declaration: int | None = None

    @classmethod
    def of(cls, snapshot: Snapshot) -> Origin:
        """Return the origin that a snapshot names; an old one names none.

        >>> Origin.of({"shard": 3})
        Origin(generation='', declaration=None)
        """
        return cls(snapshot.get("generation", ""), snapshot.get("declaration"))

    def check(self, snapshot: Snapshot) -> None:
        """Refuse a snapshot of another declaration.

        Raises
        ------
        StateError
            Saying of which.
        """
        found = Origin.of(snapshot).declaration
        if found is not None and found != self.declaration:
            raise StateError(
                f"shard {snapshot['shard']}: the state was written under another declaration "
                f"(schema {found:08x}, now {self.declaration or 0:08x}); make it anew with "
                "`nextbest rebuild --catalog` and that declaration, or go on with the other"
            )


@dataclass(frozen=True, slots=True)
class Published:
    """Commands for the online store; the oldest event in their rows was received at ``received``.

    ``marks``, if any, are to be executed before and after them. With them all that ``traced``
    events did is there.
    """

    commands: RowCommands
    received: float
    marks: Marks | None = None
    traced: tuple[Traced, ...] = ()


class Shard(ABC):
    """One shard's rows: durable, and published; what they are made from is a subclass's matter.

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
    publishes
        Whether the rows are published; the counts are in any case.
    declaration
        Commands that tell the store of the catalog. They are sent whenever it has nothing that
        it can be proved to have, if publications are marked.
    origin
        What snapshots say of the state besides.

    Attributes
    ----------
    names
        What is counted.

    Raises
    ------
    StateError
        If the shard's state is damaged or of another declaration.
    """

    names: ClassVar[tuple[str, ...]]

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
        publishes: bool = True,
        declaration: RowCommands = NO_COMMANDS,
        origin: Origin = Origin(),  # frozen
    ) -> None:
        timeline = new_timeline()
        self.shard = shard
        self.store = ShardStore(
            plan, state_dir, shard, None if snapshot is None else snapshot["manifest"],
            memory_bytes=memory_bytes, idle_seconds=idle_seconds, timeline=timeline,
        )  # fmt: skip
        self._entity = CUSTOMERS if plan.catalog.entity.is_customer else plan.catalog.entity.name
        self._origin = origin
        self._peers = peers
        self._columns = plan.reads.columns
        self._prefix = key_prefix(plan.catalog)
        self._publishes = publishes
        self._declaration = declaration
        self._counts_key = shard_key(plan.catalog, shard, "counts")
        self._counts = np.zeros(len(self.names), np.int64)
        self._owes_counts = False  # to the store, though no row may wait
        self._position = -1
        if snapshot is not None:
            self._counts += snapshot["counts"]
            self._position = int(snapshot["position"])
        self._oldest: float | None = None
        self._traced: tuple[Traced, ...] = ()
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
            self._republish(None)
        elif not publishes:
            self.store.publish_nothing()

    @abstractmethod
    def on_events(self, part: Any) -> Iterator[Any]:
        """Apply events; yield what follows from them."""

    def publish(self, *, force: bool = False) -> Iterator[Published]:
        """Yield the rows that wait, unless it is too soon for it (see `publish_at`)."""
        yield from self._find_lost(force)
        if not self._waits:
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
        if self._waits and self._may_publish(now):
            wait = max(0.0, self._not_before - now)
        return wait

    def trace(self, traced: tuple[Traced, ...]) -> None:
        """Have it said when the rows of these events, which come next, are stored."""
        if traced and self._publishes:
            self._traced = (*self._traced, *traced)[:_MOST_TRACED]

    def prepare(self) -> None:
        """Begin what `snapshot` will wait for."""
        self.store.prepare()

    def snapshot(self) -> Snapshot:
        """Make the state durable; return what the next `ShardLogic` begins from."""
        return {
            "entity": self._entity,
            "shard": self.shard,
            "manifest": self.store.snapshot(),
            "position": self._position,
            "counts": self._counts.tolist(),
            "generation": self._origin.generation,
            "declaration": self._origin.declaration,
        }

    @property
    def _waits(self) -> bool:
        return self._owes_counts or self.store.unpublished > 0

    def _take(
        self, batch: EventBatch, marked: npt.NDArray[np.bool_] | None, received: float
    ) -> Generator[Published, None, tuple[npt.NDArray[np.uint8], FeatureRows]]:
        """Apply a batch that was received then."""
        self._batch = len(batch)
        became = yield from self._apply(batch, marked)
        if self._oldest is None and self.store.unpublished:
            self._oldest = received
        return became

    def _count(self, counts: npt.ArrayLike, *, always: bool = False) -> None:
        """Add to the counts; ``always``: there may be no row that takes them to the store."""
        self._counts += np.asarray(counts)
        self._owes_counts |= always or not self._publishes

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
            if not self._publishes:
                self.store.publish_nothing()
            # Before the next piece: what is published ahead of it must not claim to be older.
            self._position = max(self._position, int(piece.positions.max()))
        return _joined(flags, rows, self._columns)

    def _flush(self, began: float) -> Published:
        store = self.store
        shown = dict(zip(self.names, self._counts.tolist(), strict=True))
        counts = encode_command(b"SET", self._counts_key, msgspec.json.encode(shown))
        self._owes_counts = False
        commands = store.encode_changes(self._prefix, _ROWS_A_FLUSH, counts)
        received, left = self._oldest or began, store.unpublished
        traced: tuple[Traced, ...] = ()
        if not left:
            self._oldest = None
            traced, self._traced = self._traced, ()
        if self._watch is None:
            return Published(commands, received, traced=traced)
        version = self._publication.version if left else store.version
        return Published(commands, received, self._watch.marks(version, self._position), traced)

    def _may_publish(self, now: float) -> bool:
        if self._watch is None:
            return True
        return self._watch.resumed and (
            self._publication.may_publish(self._position) or now > self._hold_until
        )

    def _find_lost(self, force: bool) -> Iterator[Published]:
        """Find out what the store does not have, so that it is published again.

        If all of it may be lost, yield the declaration. The first time, yield a mark at least:
        what gets lost from here on will be missed.
        """
        if self._watch is None:
            return
        is_first = not self._watch.resumed
        again = self._watch.look(force=force)
        if again is None:
            return
        is_lost = again.needed and again.since is None
        if is_first or is_lost:
            # A mark around it shows whether the declaration gets lost.
            marks = self._watch.marks(self._publication.version, -1)
            told = self._declaration if is_lost else NO_COMMANDS
            yield Published(told, time.perf_counter(), marks)
        if again.needed:
            self._republish(again.since)

    def _republish(self, since: int | None) -> None:
        if self._publishes:
            self.store.republish(since)
        else:
            self.store.publish_nothing()
            self._owes_counts = True


def _joined(
    flags: list[npt.NDArray[np.uint8]], rows: list[FeatureRows], columns: int
) -> tuple[npt.NDArray[np.uint8], FeatureRows]:
    one = flags[0] if len(flags) == 1 else np.concatenate([np.zeros(0, np.uint8), *flags])
    if len(rows) == 1:
        return one, rows[0]
    parts = zip(empty_rows(0, columns), *rows, strict=True)
    return one, FeatureRows(*(np.concatenate(part) for part in parts))
