"""Rows as the delta log stores them: with the customer's id, one after the other."""

from __future__ import annotations

import numpy as np

from ._jit import kernel
from .hashing import murmur3
from .keys import find
from .layout import I64, MAX_ID_BYTES, U8, U64, Int
from .pack import BAD_LENGTH, FULL, OK, copy_bytes, pack_row, unpack_row

_ONE = np.uint64(1)


@kernel
def pack_records(
    memory: U64, row_words: Int, schema_id: Int, slots: I64, names: I64, arena: U8, out: U64
) -> Int:
    """Write a record for each slot: length of the id << 32 | words, the id, the packed row.

    Returns the end of the records in ``out`` (uint64), in words.
    """
    text = out.view(np.uint8)
    at: Int = 0
    for i in range(len(slots)):
        slot = slots[i]
        length = names[slot, 1]
        padded = (length + 7) // 8
        if padded:
            out[at + padded] = 0
        copy_bytes(text, 8 * (at + 1), arena, names[slot, 0], length)
        end = pack_row(memory, slot * row_words, row_words, schema_id, out, at + 1 + padded)
        out[at] = np.uint64(length) << np.uint64(32) | np.uint64(end - at)
        at = end
    return at


@kernel
def unpack_records(
    packed: U64,
    at: Int,
    most: Int,
    schema_id: Int,
    row_words: Int,
    memory: U64,
    table: U64,
    names: I64,
    arena: U8,
    sizes: I64,
    dirty: tuple[U8, I64, I64],
) -> tuple[Int, Int]:
    """Put up to ``most`` records back, from word ``at`` on; return (where it stopped, status).

    The caller has grown everything as for `keys.assign_slots`. ``dirty`` is (marks, list for the
    store, lengths): the rows that came back are to be published again.
    """
    text = packed.view(np.uint8)
    marks, for_store, lengths = dirty
    for _ in range(most):
        if at >= len(packed):
            break
        length = np.int64(packed[at] >> np.uint64(32))
        end = at + np.int64(packed[at] & np.uint64(0xFFFFFFFF))
        padded = (length + 7) // 8
        if end > len(packed) or end < at + 3 + padded or length > MAX_ID_BYTES:
            return at, BAD_LENGTH
        first, second = murmur3(text, 8 * (at + 1), length)
        if first == 0:
            first = _ONE
        place = find(table, first, second)
        slot = np.int64(table[place, 2])
        is_new = slot == 0
        if is_new:
            slot = sizes[0]
            if slot >= sizes[2]:
                return at, FULL
        status = unpack_row(
            packed, at + 1 + padded, end, schema_id, memory, slot * row_words, row_words
        )
        if status != OK:
            return at, status
        if is_new:
            table[place, 0] = first
            table[place, 1] = second
            table[place, 2] = np.uint64(slot)
            names[slot, 0] = sizes[1]
            names[slot, 1] = length
            copy_bytes(arena, sizes[1], text, 8 * (at + 1), length)
            sizes[0] += 1
            sizes[1] += length
        if not marks[slot] & 1:
            marks[slot] |= np.uint8(1)
            for_store[lengths[0]] = slot
            lengths[0] += 1
        at = end
    return at, OK
