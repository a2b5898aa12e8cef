"""The state of one shard: a row for each customer, and everything done to rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .batch import ID_TEXT, TIMESTAMP, EventBatch
from .errors import StateError
from .kernels.evict import hash_names, keep_rows
from .kernels.hashing import hash_strings
from .kernels.keys import assign_slots, find_slots, rehash
from .kernels.layout import I64, MAX_ID_BYTES, U8, U32, U64, make_chunk
from .kernels.pack import FULL
from .kernels.read import read_rows
from .kernels.records_log import pack_records, unpack_records
from .kernels.step import apply_events
from .kernels.waves import order_by_wave
from .memory import release_rows, reserve_rows
from .plan import Plan
from .row_commands import RowCommands, encode_rows
from .rows import FeatureRows, empty_rows

__all__ = ["FeatureRows", "RowCommands", "ShardState", "empty_rows", "encode_rows", "hash_ids"]

MAX_SLOTS = 1 << 22
"""Customers of one shard: an address-space reservation, not memory."""

_RECORDS = 4096  # of a delta log, put back at a time
_SLOT_BYTES = 256 + 64
"""What a customer takes besides row and id: the table right after it grew, and the lists."""


class ShardState:
    """Rows of the customers of one shard; knows no dataflow engine.

    Parameters
    ----------
    plan
        The compiled catalog.
    max_slots
        The most customers the shard may hold.

    Attributes
    ----------
    rows
        The rows, by slot; slot 0 is nobody's.
    stamps
        uint32[slots]: the version of the state in which the row was last written to the log.
    on_new
        Called with the slots (int64[n]) of customers that are new to memory, before their events
        are applied; their rows are zero.
    """

    def __init__(self, plan: Plan, *, max_slots: int = MAX_SLOTS) -> None:
        self.plan = plan
        self.rows = reserve_rows(plan.words, max_slots)
        self._chunk = make_chunk(plan.tables)
        self._table: U64 = np.zeros((1024, 4), np.uint64)
        self._sizes: I64 = np.array([1, 0, max_slots], np.int64)  # slot 0 is nobody's
        self._names: I64 = np.zeros((0, 2), np.int64)
        self._arena: U8 = np.zeros(1 << 12, np.uint8)
        self._seen = np.zeros(0, np.int32)
        self._marks: U8 = np.zeros(0, np.uint8)
        self._for_store: I64 = np.zeros(0, np.int64)
        self._for_log: I64 = np.zeros(0, np.int64)
        self.stamps: U32 = np.zeros(0, np.uint32)
        self.on_new: Callable[[I64], None] | None = None
        self.evicted = 0  # rows, ever
        self._dirty: I64 = np.zeros(2, np.int64)
        self._scratch: U64 = np.zeros(plan.words + plan.words // 64 + 8, np.uint64)
        self._grow(512, 0)

    def __len__(self) -> int:
        """How many customers there are."""
        return int(self._sizes[0]) - 1

    @property
    def unpublished(self) -> int:
        """How many rows changed since they were last encoded for the store."""
        return int(self._dirty[0])

    @property
    def unlogged(self) -> int:
        """How many rows changed since they were last taken for the log."""
        return int(self._dirty[1])

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory that the customers take, at most."""
        return len(self) * self.customer_bytes + int(self._sizes[1])

    @property
    def customer_bytes(self) -> int:
        """Bytes of memory that a customer takes besides the id, at most."""
        return 8 * self.plan.words + _SLOT_BYTES

    def apply(self, batch: EventBatch) -> U8:
        """Apply events in log order; return uint8[n]: ACCEPTED, LATE or DUPLICATE.

        Raises
        ------
        StateError
            If the shard is full.
        """
        flags: U8 = np.zeros(len(batch), np.uint8)
        if len(batch):
            slots = self._slots_of(batch)
            self._apply(batch.records, slots, flags)
        return flags

    def apply_and_read(
        self, batch: EventBatch, marked: npt.NDArray[np.bool_]
    ) -> tuple[U8, FeatureRows]:
        """Apply events; read each marked event's customer right after it, as of its time.

        Returns
        -------
        flags, rows
            As `apply`; one row for each marked event, in the order of the batch.
        """
        flags: U8 = np.zeros(len(batch), np.uint8)
        places = np.flatnonzero(marked)
        rows = empty_rows(len(places), self.plan.reads.columns)
        if not len(places):
            return self.apply(batch), rows
        slots = self._slots_of(batch)
        order, bounds = order_by_wave(slots, marked, self._seen)
        row_of = np.cumsum(marked) - 1
        for wave in range(len(bounds) - 1):
            take = order[bounds[wave] : bounds[wave + 1]]
            records, wave_slots = batch.records[take], slots[take]
            wave_flags: U8 = np.zeros(len(take), np.uint8)
            self._apply(records, wave_slots, wave_flags)
            flags[take] = wave_flags
            reads = marked[take]
            into = row_of[take[reads]]
            times = records[reads, TIMESTAMP].view(np.int64)
            got = read_rows_at(self.plan, self.rows.u64, wave_slots[reads], times)
            rows.put(into, got)
        return flags, rows

    def read(self, ids: Sequence[str], at: int) -> FeatureRows:
        """Read customers as of ``at`` (microseconds), or of their newest event if that is later."""
        return read_rows_at(self.plan, self.rows.u64, self.find(hash_ids(ids)), at)

    def find(self, keys: U64) -> I64:
        """Return the slots (0 = not in memory) of keys (uint64[n, 2])."""
        slots = np.empty(len(keys), np.int64)
        find_slots(self._table, keys, slots)
        return slots

    def keys(self, slots: I64) -> U64:
        """Return the keys (uint64[n, 2]) of the customers of these slots."""
        keys = np.empty((len(slots), 2), np.uint64)
        hash_names(self._names, self._arena, slots, keys)
        return keys

    def customers(self) -> Iterator[str]:
        """Yield the customer ids, in order of their first event."""
        for start, length in self._names[1 : self._sizes[0]].tolist():
            yield self._arena[start : start + length].tobytes().decode()

    def encode_changes(
        self, key_prefix: bytes, most: int = MAX_SLOTS, trailing: bytes = b""
    ) -> RowCommands:
        """Encode at most so many of the rows that changed and were not encoded since.

        ``trailing``, if any, is one more command (RESP), to come after theirs.
        """
        slots = self._take(self._for_store, 0, most)
        self._marks[slots] &= np.uint8(2)
        return encode_rows(
            self.plan, self.rows.u64, slots, self._names, self._arena, key_prefix, self._scratch,
            trailing,
        )  # fmt: skip

    def take_changes(self, version: int = 0, most: int = MAX_SLOTS) -> bytes:
        """Return at most so many of the rows that changed and were not taken since.

        They are whole, as the delta log stores them, and stamped with the ``version``.
        """
        slots = self._take_for_log(version, most)
        per_row = len(self._scratch) + 1
        names = int(((self._names[slots, 1] + 7) // 8).sum())
        out = np.empty(per_row * len(slots) + names, np.uint64)
        end = pack_records(
            self.rows.u64,
            self.plan.words,
            self.plan.schema_id,
            slots,
            self._names,
            self._arena,
            out,
        )
        return out[:end].tobytes()

    def load_changes(self, changes: bytes, version: int = 0) -> None:
        """Put rows back that `take_changes` returned; later ones win. They are published again.

        They are stamped with the ``version``.

        Raises
        ------
        StateError
            If the bytes are damaged or were written under another declaration.
        """
        packed = np.frombuffer(changes, np.uint64)
        at = 0
        while at < len(packed):
            # Records are read in bounded steps, as every one of them may be a new customer.
            self._grow(_RECORDS, _RECORDS * MAX_ID_BYTES)
            taken, status = unpack_records(
                packed, at, _RECORDS, self.plan.schema_id, self.plan.words, self.rows.u64,
                self._table, self._names, self._arena, self._sizes,
                (self._marks, self._for_store, self._dirty), self.stamps, version,
            )  # fmt: skip
            if status == FULL:
                raise StateError(f"the shard is full: it holds {len(self)} customers")
            if status:
                raise StateError(
                    f"row at byte {8 * taken} of a state record is damaged or of another schema "
                    f"(code {status})"
                )
            at = int(taken)

    def log_nothing(self, version: int) -> None:
        """As `take_changes`, where nothing is logged."""
        self._take_for_log(version, MAX_SLOTS)

    def publish_again(self, since: int | None) -> None:
        """Mark the rows that are stamped later than ``since`` (None: all) for the store.

        Rows that are to be logged count as changed.
        """
        used = slice(1, int(self._sizes[0]))
        chosen = np.flatnonzero(
            (self._marks[used] != 0) | (since is None or self.stamps[used] > since)
        )
        self._for_store[: len(chosen)] = chosen + 1
        self._marks[chosen + 1] |= np.uint8(1)
        self._dirty[0] = len(chosen)

    def publish_nothing(self) -> None:
        """Forget which rows wait for the store."""
        self._marks[self._for_store[: self._dirty[0]]] &= np.uint8(2)
        self._dirty[0] = 0

    def idle(self, before: int) -> I64:
        """Return the slots of rows stamped less than ``before`` that wait for nothing.

        Those that changed longest ago are first.
        """
        used = slice(1, int(self._sizes[0]))
        slots = 1 + np.flatnonzero((self._marks[used] == 0) & (self.stamps[used] < before))
        return slots[np.argsort(self.stamps[slots], kind="stable")]

    def evict(self, slots: I64) -> None:
        """Forget the rows of these slots; the others move together, so that memory is freed."""
        stays = np.ones(int(self._sizes[0]), np.bool_)
        stays[0] = False
        stays[slots] = False
        kept = np.flatnonzero(stays)
        self.evicted += len(slots)
        end = self.plan.words * len(stays)
        self._table = np.zeros((max(1024, 1 << (4 * len(kept)).bit_length()), 4), np.uint64)
        dirty = (self._marks, self._for_store, self._for_log, self._dirty)
        keep_rows(
            kept, self.rows.u64, self.plan.words, self._table, self._names, self._arena,
            self.stamps, dirty, self._sizes,
        )  # fmt: skip
        release_rows(self.rows, self.plan.words * (len(kept) + 1), end)

    def _take_for_log(self, version: int, most: int) -> I64:
        slots = self._take(self._for_log, 1, most)
        self._marks[slots] &= np.uint8(1)
        self.stamps[slots] = version
        return slots

    def _take(self, listed: I64, which: int, most: int) -> I64:
        """Take the first slots off a list; return them in order."""
        length = int(self._dirty[which])
        taken = np.sort(listed[: min(most, length)])
        listed[: length - len(taken)] = listed[len(taken) : length].copy()
        self._dirty[which] = length - len(taken)
        return taken

    def _apply(self, records: U64, slots: I64, flags: U8) -> None:
        dirty = (self._marks, self._for_store, self._for_log, self._dirty)
        apply_events(self.rows, self.plan.tables, self._chunk, records, slots, flags, dirty)

    def _slots_of(self, batch: EventBatch) -> I64:
        n = len(batch)
        slots = np.empty(n, np.int64)
        self._grow(n, int((batch.records[:, ID_TEXT] & np.uint64(0xFFFF)).sum()))
        known = int(self._sizes[0])
        found = assign_slots(
            self._table, batch.records, batch.ids, slots, self._names, self._arena, self._sizes
        )
        if self.on_new is not None and self._sizes[0] > known:
            self.on_new(np.arange(known, self._sizes[0]))
        if found < n:
            raise StateError(f"the shard is full: it holds {len(self)} customers")
        return slots

    def _grow(self, customers: int, text: int) -> None:
        """Make room for so many new customers and bytes of their ids before a kernel binds it."""
        slots = int(self._sizes[0]) + customers
        if 2 * slots > len(self._table):
            table = np.zeros((1 << (4 * slots - 1).bit_length(), 4), np.uint64)
            rehash(self._table, table)
            self._table = table
        if slots > len(self._marks):
            self._names = _extend(self._names, 2 * slots)
            self._seen = _extend(self._seen, 2 * slots)
            self._marks = _extend(self._marks, 2 * slots)
            self.stamps = _extend(self.stamps, 2 * slots)
            self._for_store = _extend(self._for_store, 2 * slots)
            self._for_log = _extend(self._for_log, 2 * slots)
        if self._sizes[1] + text > len(self._arena):
            self._arena = _extend(self._arena, 2 * (int(self._sizes[1]) + text))


def read_rows_at(plan: Plan, memory: U64, slots: I64, at: int | I64) -> FeatureRows:
    """Read the rows of slots (0 = nobody) of a memory as of a time, or each as of its own."""
    rows = empty_rows(len(slots), plan.reads.columns)
    offsets = np.where(slots > 0, slots * plan.words, -1)
    times = np.full(len(slots), at, np.int64) if isinstance(at, int) else at
    read_rows(memory, offsets, times, plan.reads, *rows)
    return rows


def hash_ids(ids: Sequence[str]) -> U64:
    """Return the keys (uint64[n, 2]) of customer ids."""
    raw = [customer_id.encode() for customer_id in ids]
    offsets = np.cumsum([0, *map(len, raw)], dtype=np.int64)
    keys = np.empty((len(raw), 2), np.uint64)
    hash_strings(np.frombuffer(b"".join(raw), np.uint8), offsets, keys[:, 0], keys[:, 1])
    return keys


_Array = TypeVar("_Array", bound=npt.NDArray[Any])


def _extend(array: _Array, length: int) -> _Array:
    """Copy an array into a longer one, zero beyond."""
    longer = np.zeros((length, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer  # type: ignore[return-value]  # the same dtype and dimensions
