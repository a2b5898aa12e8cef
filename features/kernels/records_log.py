"""Rows as logs and runs store them: with the customer's id, one record after the other.

A record is a sequence of little-endian 8-byte words:

    word 0      check of the id << 48 | length of the id in bytes << 32 | words of the record
    id          padded with zeros
    row         see `pack`; it has a checksum of its own

so that every bit that matters is checked wherever a record is read.
"""

from __future__ import annotations

import numpy as np

from ._jit import inline, kernel
from .hashing import hash_key
from .keys import find
from .layout import I64, MAX_ID_BYTES, U8, U32, U64, Int
from .pack import BAD_CHECKSUM, BAD_LENGTH, FULL, OK, copy_bytes, pack_row, unpack_row

_MASK_16 = np.uint64(0xFFFF)
_MASK_32 = np.uint64(0xFFFFFFFF)


@inline
def id_length(packed: U64, at: Int) -> Int:
    """Bytes of the customer id of the record at word ``at``."""
    return np.int64(packed[at] >> np.uint64(32) & _MASK_16)


@inline
def row_start(packed: U64, at: Int) -> Int:
    """Return the word at which the row of the record at word ``at`` begins."""
    return at + 1 + (id_length(packed, at) + 7) // 8


@inline
def record_end(packed: U64, at: Int) -> Int:
    """Return the word behind the record at word ``at``."""
    return at + np.int64(packed[at] & _MASK_32)


@inline
def fits(packed: U64, at: Int, end: Int) -> bool:
    """Return whether the record at word ``at`` can be one that ends before word ``end``."""
    stop = record_end(packed, at)
    return bool(id_length(packed, at) <= MAX_ID_BYTES and row_start(packed, at) + 2 <= stop <= end)


@inline
def is_named(packed: U64, at: Int, first: np.uint64) -> bool:
    """Return whether the id, whose hash begins with ``first``, is the one that was written."""
    return bool(first & _MASK_16 == packed[at] >> np.uint64(48))


@kernel
def pack_records(
    memory: U64, row_words: Int, schema_id: Int, slots: I64, names: I64, arena: U8, out: U64
) -> Int:
    """Write a record for each slot.

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
        first, _ = hash_key(arena, names[slot, 0], length)
        end = pack_row(memory, slot * row_words, row_words, schema_id, out, at + 1 + padded)
        head = (first & _MASK_16) << np.uint64(48) | np.uint64(length) << np.uint64(32)
        out[at] = head | np.uint64(end - at)
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
    stamps: U32,
    version: Int,
) -> tuple[Int, Int]:
    """Put up to ``most`` records back, from word ``at`` on; return (where it stopped, status).

    The caller has grown everything as for `keys.assign_slots`. ``dirty`` is (marks, list for the
    store, lengths): the rows that came back are to be published again. They are stamped with the
    ``version``.
    """
    text = packed.view(np.uint8)
    marks, for_store, lengths = dirty
    for _ in range(most):
        if at >= len(packed):
            break
        if not fits(packed, at, len(packed)):
            return at, BAD_LENGTH
        length = id_length(packed, at)
        end = record_end(packed, at)
        first, second = hash_key(text, 8 * (at + 1), length)
        if not is_named(packed, at, first):
            return at, BAD_CHECKSUM
        place = find(table, first, second)
        slot = np.int64(table[place, 2])
        is_new = slot == 0
        if is_new:
            slot = sizes[0]
            if slot >= sizes[2]:
                return at, FULL
        status = unpack_row(
            packed, row_start(packed, at), end, schema_id, memory, slot * row_words, row_words
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
        stamps[slot] = version
        if not marks[slot] & 1:
            marks[slot] |= np.uint8(1)
            for_store[lengths[0]] = slot
            lengths[0] += 1
        at = end
    return at, OK
