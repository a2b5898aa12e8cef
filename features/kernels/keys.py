"""Customer hash -> row slot: an open-addressing table that only grows."""

from __future__ import annotations

import numpy as np

from ._jit import inline, kernel
from .intrinsics import prefetch
from .layout import I64, ID_TEXT, KEY_1, KEY_2, U8, U64, Int

_AHEAD = 12


@kernel
def rehash(old: U64, new: U64) -> None:
    """Move every entry of one table (uint64[size, 4]: hash 1, hash 2, slot, 0) into a larger."""
    mask = np.uint64(len(new) - 1)
    for e in range(len(old)):
        if old[e, 2]:
            at = old[e, 1] & mask
            while new[at, 2]:
                at = (at + np.uint64(1)) & mask
            for w in range(3):
                new[at, w] = old[e, w]


@inline
def find(table: U64, key_1: np.uint64, key_2: np.uint64) -> np.uint64:
    """Return the place of the key, or the empty place where it belongs."""
    mask = np.uint64(len(table) - 1)
    at = key_2 & mask
    while table[at, 2] and (table[at, 0] != key_1 or table[at, 1] != key_2):
        at = (at + np.uint64(1)) & mask
    return at


@kernel
def find_slots(table: U64, keys: U64, slots: I64) -> None:
    """Look up slots (0 = unknown) for n keys (uint64[n, 2]) without adding any."""
    for i in range(len(slots)):
        slots[i] = np.int64(table[find(table, keys[i, 0], keys[i, 1]), 2])


@kernel
def assign_slots(
    table: U64, records: U64, ids: U8, slots: I64, names: I64, arena: U8, sizes: I64
) -> Int:
    """Look up the slot of every record's customer; give new customers the next one.

    The caller has grown ``table``, ``names`` (int64[slots, 2]: start and length of the customer
    id in ``arena``) and ``arena`` (uint8) far enough for all records to be new. ``sizes`` is
    int64[3]: slots in use, bytes of the arena in use, the most slots there may be. Returns how
    many records have a slot: fewer than all if one more customer would have been too many.
    """
    flat = table.reshape(table.size)
    mask = np.uint64(len(table) - 1)
    for i in range(len(records)):
        if i + _AHEAD < len(records):
            prefetch(flat, np.int64((records[i + _AHEAD, KEY_2] & mask) * np.uint64(4)))
        at = find(table, records[i, KEY_1], records[i, KEY_2])
        if table[at, 2] == 0:
            slot = sizes[0]
            if slot >= sizes[2]:
                return i
            sizes[0] += 1
            table[at, 0] = records[i, KEY_1]
            table[at, 1] = records[i, KEY_2]
            table[at, 2] = np.uint64(slot)
            start = np.int64(records[i, ID_TEXT] >> np.uint64(16))
            length = np.int64(records[i, ID_TEXT] & np.uint64(0xFFFF))
            names[slot, 0] = sizes[1]
            names[slot, 1] = length
            for j in range(length):
                arena[sizes[1] + j] = ids[start + j]
            sizes[1] += length
        slots[i] = np.int64(table[at, 2])
    return len(records)
