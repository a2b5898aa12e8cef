"""The durable, bounded state of one shard: rows in memory, all of them on disk.

Rows that changed are appended to a log at each snapshot; logs are merged into runs; a row that a
run holds may leave memory, and comes back with the customer's next event. See
`nextbest.features.files` for what is on disk.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .batch import KEY_1, KEY_2, EventBatch
from .errors import StateError
from .files import ShardFiles
from .kernels.layout import I64, U8, U64
from .manifest import Manifest
from .plan import Plan
from .row_commands import RowCommands, encode_rows
from .runs import NOBODY, Names, Run, newest_names
from .state import MAX_SLOTS, FeatureRows, ShardState, hash_ids, read_rows_at

MEMORY_BYTES = 256 << 20
SEAL_BYTES = 32 << 20
_ROWS_A_TIME = 2048  # brought from disk for a moment
_ID_BYTES = 64  # that a new customer's id may be expected to take
_LOOKS = 8  # for idle rows, in the time after which they are


class ShardStore:
    """Rows of the customers of one shard, durable and within a bound of memory.

    Parameters
    ----------
    plan
        The compiled catalog.
    directory
        Where the state is kept; None: nowhere, a snapshot then keeps nothing.
    shard
        Which shard.
    manifest
        What the last committed `snapshot` returned; None: a new shard.
    memory_bytes
        The most memory that customers may take. The least recently changed leave it for disk.
    idle_seconds
        After so long without an event a customer leaves memory.
    timeline
        Named in the manifests from the first change on.
    seal_bytes
        Length at which a log is merged; default: 32 MiB, less if memory is small.

    Attributes
    ----------
    state
        The part in memory.
    version
        Counts the snapshots that had changes.
    resumed_version, resumed_timeline
        As found in the manifest; 0 and "" without one.

    Raises
    ------
    StateError
        If what the manifest names is missing, damaged or of another declaration.

    Examples
    --------
    >>> import tempfile
    >>> from nextbest.features import Catalog, EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> views = FeatureView(name="v", source=shop, features=[agg.count("n")])
    >>> plan = Plan.compile(Catalog(name="demo", views=[views]))
    >>> directory = Path(tempfile.mkdtemp())
    >>> manifest = ShardStore(plan, directory, 0).snapshot()
    >>> store = ShardStore(plan, directory, 0, manifest)
    >>> store.read(["ann"], 0).age_ms.tolist()
    [-1]
    """

    def __init__(
        self,
        plan: Plan,
        directory: Path | None,
        shard: int,
        manifest: Manifest | None = None,
        *,
        memory_bytes: int = MEMORY_BYTES,
        idle_seconds: float = 3600.0,
        timeline: str = "",
        seal_bytes: int | None = None,
    ) -> None:
        self.plan = plan
        self.timeline = timeline
        self.resumed_version = int(manifest["version"]) if manifest else 0
        self.resumed_timeline = str(manifest["timeline"]) if manifest else ""
        self.version = self.resumed_version
        self._shard = shard
        self._memory_bytes = min(memory_bytes, (MAX_SLOTS - 2) * 8 * plan.words)
        self._seal_bytes = seal_bytes or min(SEAL_BYTES, memory_bytes // 8)
        most = memory_bytes // (8 * plan.words) + 2
        self.state = ShardState(plan, max_slots=min(MAX_SLOTS, most))
        self._republish: Iterator[tuple[int, Names]] = iter(())
        self._to_walk, self._found = 0, NOBODY
        self._idle_seconds = idle_seconds
        self._history: deque[tuple[float, int]] = deque([(time.monotonic(), self.version)])
        self._next_look = time.monotonic() + idle_seconds / _LOOKS
        self._files: ShardFiles | None = None
        if directory is None:
            return
        self._files = ShardFiles(directory, shard, plan.schema_id, manifest)
        if self._files.logged_rows * self._customer_bytes > memory_bytes:
            self._files.seal()
            self._files.merge_logs()
        else:
            self._files.load(self.state)
        self._watch()

    @property
    def unpublished(self) -> int:
        """How many rows wait to be published, at most."""
        return self.state.unpublished + self._to_walk + len(self._found.names)

    @property
    def most_events(self) -> int:
        """How many events may be applied at once, even if each is of a new customer."""
        return max(1, self._memory_bytes // 4 // self._customer_bytes)

    def apply(self, batch: EventBatch) -> U8:
        """Apply events in log order; return uint8[n]: ACCEPTED, LATE or DUPLICATE.

        Raises
        ------
        StateError
            If memory is full and nothing can leave it, or a file is damaged or cannot be written.
            The store must then be opened anew.
        """
        self._admit(batch)
        return self.state.apply(batch)

    def apply_and_read(
        self, batch: EventBatch, marked: npt.NDArray[np.bool_]
    ) -> tuple[U8, FeatureRows]:
        """Apply events and read, as `ShardState.apply_and_read`; errors as in `apply`."""
        self._admit(batch)
        return self.state.apply_and_read(batch, marked)

    def read(self, ids: Sequence[str], at: int) -> FeatureRows:
        """Read customers as of ``at`` (microseconds), or of their newest event if that is later.

        Those that are on disk only are not brought into memory.

        Raises
        ------
        StateError
            If a run is damaged.
        """
        keys = hash_ids(ids)
        slots = self.state.find(keys)
        rows = read_rows_at(self.plan, self.state.rows.u64, slots, at)
        away = np.flatnonzero(slots == 0) if self._runs else slots[:0]
        for first in range(0, len(away), _ROWS_A_TIME):
            part = away[first : first + _ROWS_A_TIME]
            memory, found = self._bring(keys[part])
            got = read_rows_at(self.plan, memory, found, at)
            rows.put(part, got)
        return rows

    def needs_room(self, events: int) -> bool:
        """Return whether so many events could take memory beyond the bound.

        If so, publish everything (`encode_changes`) and `make_room`.
        """
        room = events * self._customer_bytes
        return self.state.memory_bytes + room > self._memory_bytes

    def make_room(self, events: int) -> None:
        """Let customers leave memory until there is room for those of so many events.

        Who changed last stays; who waits to be published stays in any case.

        Raises
        ------
        StateError
            If too few can leave, or as `apply`.
        """
        if not self.needs_room(events):
            return
        if self._files is not None:
            least = self._surplus(self._memory_bytes - events * self._customer_bytes)
            # Half of it, so that the work is done seldom.
            most = max(least, self._surplus(self._memory_bytes // 2))
            leaving = self._evictable()
            if len(leaving) < max(least, most // 2):
                self._spill(self._files)
                leaving = self._evictable()
            self.state.evict(leaving[:most])
        if self.needs_room(events):
            raise StateError(
                f"shard {self._shard}: memory is full: {len(self.state)} customers and {events} "
                f"events exceed {self._memory_bytes} bytes; {self.state.unpublished} rows wait to "
                f"be published" + ("" if self._files else ", and nothing is kept on disk")
            )

    def encode_changes(
        self, key_prefix: bytes, most: int = 65536, trailing: bytes = b""
    ) -> RowCommands:
        """Encode at most so many of the rows that wait; call again while there are any.

        ``trailing``, if any, is one more command (RESP), to come after theirs.

        Raises
        ------
        StateError
            If a run is damaged.
        """
        if self.state.unpublished:
            return self.state.encode_changes(key_prefix, most, trailing)
        if not len(self._found.names):
            passed, self._found = next(self._republish, (self._to_walk, NOBODY))
            self._to_walk -= passed
        found, self._found = self._found.split(most)
        away = self.state.find(found.keys) == 0
        # A row that has changed and left memory since is in a newer run by now.
        memory, slots = self._bring(found.keys[away])
        names = np.vstack([np.zeros((1, 2), np.int64), found.names[away]])
        scratch = np.empty(self.plan.words + self.plan.words // 64 + 8, np.uint64)
        return encode_rows(
            self.plan, memory, slots, names, found.arena, key_prefix, scratch, trailing
        )

    def republish(self, since: int | None) -> None:
        """Have the rows published that changed after version ``since``; None: all.

        A row that is on disk only counts as changed in the newest version of its run.
        """
        self.state.publish_again(since)
        runs = [run for run in self._runs if since is None or run.version > since]
        self._to_walk, self._found = sum(run.rows for run in runs), NOBODY
        self._republish = newest_names(runs, _ROWS_A_TIME)

    def publish_nothing(self) -> None:
        """Forget which rows wait to be published."""
        self.state.publish_nothing()
        self._to_walk, self._found, self._republish = 0, NOBODY, iter(())

    def prepare(self) -> None:
        """Begin what `snapshot` will wait for; several stores wait for a disk as long as one."""
        if self._files is not None:
            self._log_changes(self._files)
            if self._files.newest_version > self.version:
                self._files.begin_sync()

    def snapshot(self) -> Manifest:
        """Make the state durable; return what the next `ShardStore` begins from.

        Raises
        ------
        StateError
            If a file is damaged or cannot be written. What the last manifest names is then still
            what it was.
        """
        if self._files is None:
            self.version += self.state.unlogged > 0
            self.state.log_nothing(self.version)
            return {"format": 1, "shard": self._shard, "version": 0, "timeline": ""}
        self._log_changes(self._files)
        if self._files.newest_version > self.version:
            self._files.sync()
            self.version += 1
        self._files.advance()
        self._evict_idle(self._files)
        if self._files.log_bytes > self._seal_bytes:
            self._files.seal()
            self._files.advance()
        self._watch()
        changed = self.version > self.resumed_version
        timeline = self.timeline if changed else self.resumed_timeline
        return self._files.snapshot(self.version, timeline)

    def customers(self) -> Iterator[str]:
        """Yield the ids of all customers, those in memory first.

        Raises
        ------
        StateError
            If a run is damaged.
        """
        yield from self.state.customers()
        for _, found in newest_names(self._runs, _ROWS_A_TIME):
            away = self.state.find(found.keys) == 0
            for start, length in found.names[away].tolist():
                yield found.arena[start : start + length].tobytes().decode()

    def close(self) -> None:
        """Give up a merge in the background and close the files."""
        if self._files is not None:
            self._files.close()

    def __del__(self) -> None:
        # The dataflow engine tells no step that it is over.
        with contextlib.suppress(AttributeError):
            self.close()

    @property
    def _runs(self) -> list[Run]:
        return self._files.runs if self._files is not None else []

    @property
    def _customer_bytes(self) -> int:
        return self.state.customer_bytes + _ID_BYTES

    def _surplus(self, target: int) -> int:
        """Return how many customers must leave memory for it to shrink to so many bytes."""
        return -(-(self.state.memory_bytes - target) // self.state.customer_bytes)

    def _watch(self) -> None:
        """Have new customers looked up, as soon as there is a place to look."""
        self.state.on_new = self._fault_in if self._runs else None

    def _admit(self, batch: EventBatch) -> None:
        """Make room for the customers of a batch that are new to memory, if it is needed."""
        if self.needs_room(len(batch)):
            keys = np.ascontiguousarray(batch.records[:, KEY_1 : KEY_2 + 1])
            if self.needs_room(len(np.unique(keys[self.state.find(keys) == 0, 0]))):
                # Those who are in memory now may have to leave it, and come back.
                self.make_room(len(np.unique(keys[:, 0])))

    def _fault_in(self, slots: I64) -> None:
        """Bring the rows of customers who are new to memory back from the runs."""
        keys = self.state.keys(slots)
        self._fetch(slots, keys, self.state.rows.u64)

    def _fetch(self, slots: I64, keys: U64, memory: U64) -> I64:
        """Unpack rows of the runs into slots of a memory; return the slots that are in none."""
        pending = slots.copy()
        for run in self._runs:
            if memory is self.state.rows.u64:
                self.state.stamps[pending] = run.version
            missing = run.fetch(pending, keys, memory, self.plan.words)
            pending, keys = pending[:missing], keys[:missing]
            if not missing:
                break
        if memory is self.state.rows.u64:
            self.state.stamps[pending] = 0
        return pending

    def _bring(self, keys: U64) -> tuple[U64, I64]:
        """Bring rows into a memory of their own; return it and their slots (0 = none) there."""
        slots = np.arange(1, len(keys) + 1)
        memory = np.zeros(self.plan.words * (len(keys) + 1), np.uint64)
        missing = self._fetch(slots, keys.copy(), memory)
        slots[missing - 1] = 0
        return memory, slots

    def _log_changes(self, files: ShardFiles) -> None:
        if self.state.unlogged:
            files.append(self.state, self.version + 1)

    def _evictable(self) -> I64:
        """Return the slots of rows that a run holds as they are, the oldest first."""
        assert self._files is not None
        oldest = self._files.oldest_unmerged
        return self.state.idle(np.iinfo(np.uint32).max if oldest is None else oldest)

    def _spill(self, files: ShardFiles) -> None:
        """Bring all rows into runs at once. No manifest names them yet: it may be any time."""
        self._log_changes(files)
        files.seal()
        files.merge_logs()
        if files.oldest_unmerged is not None:
            files.wait()
        self._watch()

    def _evict_idle(self, files: ShardFiles) -> None:
        """Let customers leave memory who had no event for long."""
        now = time.monotonic()
        if self._history[-1][1] < self.version:
            self._history.append((now, self.version))
        if now < self._next_look:
            return
        self._next_look = now + self._idle_seconds / _LOOKS
        version = -1
        while self._history and self._history[0][0] <= now - self._idle_seconds:
            version = self._history.popleft()[1]
        if version < 0:
            return
        self._history.appendleft((now - self._idle_seconds, version))
        idle = self.state.idle(version + 1)
        oldest = files.oldest_unmerged
        stuck = self.state.stamps[idle] >= (version + 1 if oldest is None else oldest)
        if stuck.any():
            files.seal()  # so that they can leave the next time
        if not stuck.all():
            self.state.evict(idle[~stuck])
