"""Rows as bytes: zero-word suppression, and the Redis protocol around it.

A packed row is a sequence of little-endian 8-byte words:

    word 0      MAGIC << 48 | words of the row << 32 | schema id
    word 1      checksum of word 0, the bitmap and the words kept
    bitmap      ceil(words / 64) words: which words of the row are not zero
    kept        those words

so that values concatenate into one aligned array.
"""

from __future__ import annotations

import numpy as np

from ._jit import inline, kernel
from .intrinsics import trailing_zeros
from .layout import I64, U8, U64, Int

MAGIC = 0x4E01
"""Format 1 of a packed row."""

_MIX = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)
OK, BAD_MAGIC, BAD_LENGTH, BAD_CHECKSUM, OTHER_SCHEMA, FULL = range(6)
_CR, _LF, _DOLLAR, _STAR, _ZERO = 13, 10, 36, 42, 48


@inline
def mix(h: np.uint64, word: np.uint64) -> np.uint64:
    """Take one more word into a checksum."""
    h = (h ^ word) * _MIX
    return h ^ (h >> np.uint64(29))


@kernel
def pack_row(memory: U64, start: Int, words: Int, schema_id: Int, out: U64, at: Int) -> Int:
    """Pack ``memory[start : start + words]`` into ``out`` (uint64) at ``at``; return the end."""
    bitmap = (words + 63) // 64
    head = (np.uint64(MAGIC) << np.uint64(48)) | (np.uint64(words) << np.uint64(32))
    out[at] = head | np.uint64(schema_id)
    kept = at + 2 + bitmap
    for m in range(bitmap):
        mask = np.uint64(0)
        low = 64 * m
        for w in range(low, min(low + 64, words)):
            word = memory[start + w]
            out[kept] = word
            present = word != 0
            kept += np.int64(present)
            mask |= np.uint64(present) << np.uint64(w - low)
        out[at + 2 + m] = mask
    h = mix(_MIX, out[at])
    for w in range(at + 2, kept):
        h = mix(h, out[w])
    out[at + 1] = h
    return kept


@inline
def _check_shape(packed: U64, at: Int, end: Int) -> Int:
    """Return OK if ``packed[at:end]`` has the length that a row's own words say."""
    if end - at < 2 or packed[at] >> np.uint64(48) != np.uint64(MAGIC):
        return BAD_MAGIC
    stored = np.int64((packed[at] >> np.uint64(32)) & np.uint64(0xFFFF))
    bitmap = (stored + 63) // 64
    kept = at + 2 + bitmap
    if kept > end:
        return BAD_LENGTH
    present = 0
    for m in range(bitmap):
        mask = packed[at + 2 + m]
        if m == bitmap - 1 and stored % 64 and mask >> np.uint64(stored % 64):
            return BAD_LENGTH
        while mask:
            mask &= mask - _ONE
            present += 1
    return OK if kept + present == end else BAD_LENGTH


@inline
def _check_content(packed: U64, at: Int, checksum: np.uint64, schema_id: Int) -> Int:
    if checksum != packed[at + 1]:
        return BAD_CHECKSUM
    if packed[at] & np.uint64(0xFFFFFFFF) != np.uint64(schema_id):
        return OTHER_SCHEMA
    return OK


@kernel
def check_row(packed: U64, at: Int, end: Int, schema_id: Int) -> Int:
    """Return OK if ``packed[at:end]`` (uint64) is a whole row of that schema, or what is wrong."""
    status = _check_shape(packed, at, end)
    if status != OK:
        return status
    h = mix(_MIX, packed[at])
    for w in range(at + 2, end):
        h = mix(h, packed[w])
    return _check_content(packed, at, h, schema_id)


@kernel
def unpack_row(
    packed: U64, at: Int, end: Int, schema_id: Int, memory: U64, start: Int, words: Int
) -> Int:
    """Unpack ``packed[at:end]`` (uint64) into ``memory[start : start + words]``.

    A stored row may be longer than ``words`` (then its prefix is taken) or shorter (then the rest
    stays zero). Returns OK or what is wrong; the memory is then zero.
    """
    memory[start : start + words] = 0
    status = _check_shape(packed, at, end)
    if status != OK:
        return status
    stored = np.int64((packed[at] >> np.uint64(32)) & np.uint64(0xFFFF))
    kept = at + 2 + (stored + 63) // 64
    h = mix(_MIX, packed[at])
    for w in range(at + 2, kept):
        h = mix(h, packed[w])
    # Each step of the checksum waits for the one before; words find their places meanwhile.
    for m in range((stored + 63) // 64):
        mask = packed[at + 2 + m]
        while mask:
            w = 64 * m + trailing_zeros(mask)
            mask &= mask - _ONE
            word = packed[kept]
            kept += 1
            h = mix(h, word)
            if w < words:
                memory[start + w] = word
    status = _check_content(packed, at, h, schema_id)
    if status != OK:
        memory[start : start + words] = 0
    return status


@kernel
def unpack_rows(
    packed: U64, bounds: I64, schema_id: Int, memory: U64, words: Int, status: U8
) -> None:
    """Unpack n rows end to end; ``bounds`` is int64[n + 1] in words, ``status`` uint8[n]."""
    for r in range(len(bounds) - 1):
        status[r] = unpack_row(
            packed, bounds[r], bounds[r + 1], schema_id, memory, r * words, words
        )


@inline
def _decimal(out: U8, at: Int, number: Int) -> Int:
    digits = 1
    rest = number // 10
    while rest:
        rest //= 10
        digits += 1
    for d in range(digits - 1, -1, -1):
        out[at + d] = _ZERO + number % 10
        number //= 10
    return at + digits


@inline
def _line(out: U8, at: Int, mark: Int, number: Int) -> Int:
    out[at] = mark
    at = _decimal(out, at + 1, number)
    out[at] = _CR
    out[at + 1] = _LF
    return at + 2


@inline
def copy_bytes(out: U8, at: Int, data: U8, start: Int, length: Int) -> Int:
    """Copy bytes into ``out`` at ``at``; return the end."""
    for j in range(length):
        out[at + j] = data[start + j]
    return at + length


@kernel
def encode_mset(
    memory: U64,
    row_words: Int,
    header: Int,
    schema_id: Int,
    slots: I64,
    names: I64,
    arena: U8,
    prefix: U8,
    scratch: U64,
    out: U8,
) -> Int:
    """Encode one ``MSET key row …`` command for the rows of ``slots`` straight from memory.

    A row's words from ``header`` on are stored under ``prefix`` (uint8) + customer id.
    ``scratch`` (uint64) holds at least one packed row, ``out`` (uint8) the whole command. Returns
    the length of the command in bytes.
    """
    at = _line(out, 0, _STAR, 1 + 2 * len(slots))
    at = _line(out, at, _DOLLAR, 4)
    for j, c in enumerate((77, 83, 69, 84)):  # MSET
        out[at + j] = c
    at += 4
    out[at] = _CR
    out[at + 1] = _LF
    at += 2
    packed = scratch.view(np.uint8)
    for i in range(len(slots)):
        slot = slots[i]
        length = 8 * pack_row(
            memory, slot * row_words + header, row_words - header, schema_id, scratch, 0
        )
        at = _line(out, at, _DOLLAR, len(prefix) + names[slot, 1])
        at = copy_bytes(out, at, prefix, 0, len(prefix))
        at = copy_bytes(out, at, arena, names[slot, 0], names[slot, 1])
        out[at] = _CR
        out[at + 1] = _LF
        at = _line(out, at + 2, _DOLLAR, length)
        at = copy_bytes(out, at, packed, 0, length)
        out[at] = _CR
        out[at + 1] = _LF
        at += 2
    return at
