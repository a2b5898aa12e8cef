"""Evicting rows in bulk: the ones that stay move down, in order, and no gap is left."""

from __future__ import annotations

import numpy as np

from ._jit import kernel
from .hashing import hash_key
from .keys import find
from .layout import I64, U8, U32, U64, Dirty, Int


@kernel
def hash_names(names: I64, arena: U8, slots: I64, keys: U64) -> None:
    """Write the keys (uint64[n, 2]) of the customers of ``slots``."""
    for i in range(len(slots)):
        keys[i, 0], keys[i, 1] = hash_key(arena, names[slots[i], 0], names[slots[i], 1])


@kernel
def keep_rows(
    slots: I64,
    memory: U64,
    row_words: Int,
    table: U64,
    names: I64,
    arena: U8,
    stamps: U32,
    dirty: Dirty,
    sizes: I64,
) -> None:
    """Keep the rows of ``slots`` (ascending) only: they become slots 1, 2, …

    ``table`` is empty and receives them. What lies behind them in ``memory`` is not cleared.
    ``dirty`` is as in `header.update_headers`, ``sizes`` as in `keys.assign_slots`.
    """
    marks, for_store, for_log, lengths = dirty
    before = sizes[0]
    lengths[0] = 0
    lengths[1] = 0
    used = 0
    for i in range(len(slots)):
        old = slots[i]
        new = i + 1
        if new != old:
            for w in range(row_words):
                memory[new * row_words + w] = memory[old * row_words + w]
        start = names[old, 0]
        length = names[old, 1]
        for j in range(length):
            arena[used + j] = arena[start + j]
        names[new, 0] = used
        names[new, 1] = length
        first, second = hash_key(arena, used, length)
        used += length
        place = find(table, first, second)
        table[place, 0] = first
        table[place, 1] = second
        table[place, 2] = np.uint64(new)
        stamps[new] = stamps[old]
        marks[new] = marks[old]
        if marks[new] & 1:
            for_store[lengths[0]] = new
            lengths[0] += 1
        if marks[new] & 2:
            for_log[lengths[1]] = new
            lengths[1] += 1
    for slot in range(len(slots) + 1, before):
        marks[slot] = 0
        stamps[slot] = 0
    sizes[0] = len(slots) + 1
    sizes[1] = used
