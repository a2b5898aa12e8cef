"""From rows as they are stored to features as of a time, in one call."""

from __future__ import annotations

import numpy as np

from ._jit import allocating
from .layout import F64, I64, U8, U64, Int
from .pack import BAD_LENGTH, OK, unpack_row
from .read import ReadTables, read_rows

_ROWS = 64
"""Unpacked at a time: they stay in the cache, and memory is bounded."""


@allocating
def read_packed(
    packed: U64,
    lengths: I64,
    schema_id: Int,
    words: Int,
    at: I64,
    tables: ReadTables,
    values: F64,
    state: U8,
    age_ms: I64,
    positions: I64,
    status: U8,
) -> Int:
    """Read every feature of n packed rows; return how many could not be unpacked.

    Parameters
    ----------
    packed, lengths
        uint64 words of the rows end to end, and int64[n], the bytes of each; -1: there is none.
    schema_id, words
        Of the plan: what rows must be of, and how many words of one are read.
    at, tables, values, state, age_ms, positions
        As for `read_rows`. A row that could not be unpacked reads as an unknown one.
    status
        uint8[n], receives what became of each row (see `pack`).
    """
    n = len(lengths)
    # A read finds a row by where its unserved words would begin; hence the space in front.
    memory = np.empty(tables.header + min(n, _ROWS) * words, np.uint64)
    offsets = np.empty(min(n, _ROWS), np.int64)
    failed: Int = 0
    start: Int = 0
    for first in range(0, n, _ROWS):
        end = min(first + _ROWS, n)
        for r in range(first, end):
            into = (r - first) * words
            offsets[r - first] = into
            status[r] = OK
            if lengths[r] < 0:
                offsets[r - first] = -1
                continue
            stop: Int = start + lengths[r] // 8
            if lengths[r] % 8 or stop > len(packed):
                status[r] = BAD_LENGTH
            else:
                status[r] = unpack_row(
                    packed, start, stop, schema_id, memory, tables.header + into, words
                )
            if status[r] != OK:
                offsets[r - first] = -1
                failed += 1
            start = stop
        read_rows(
            memory, offsets[: end - first], at[first:end], tables, values[first:end],
            state[first:end], age_ms[first:end], positions[first:end],
        )  # fmt: skip
    return failed


@allocating
def read_one(
    packed: U64, schema_id: Int, words: Int, at: Int, tables: ReadTables, values: F64, state: U8
) -> tuple[Int, Int, Int]:
    """As `read_packed` for one row; return what became of it, its age, and its position.

    ``values`` and ``state`` are float64[columns] and uint8[columns].
    """
    memory = np.empty(tables.header + words, np.uint64)
    numbers = np.empty(4, np.int64)
    offset, time, age_ms, position = numbers[:1], numbers[1:2], numbers[2:3], numbers[3:]
    status = unpack_row(packed, 0, len(packed), schema_id, memory, tables.header, words)
    offset[0], time[0] = 0 if status == OK else -1, at
    columns = len(values)
    read_rows(
        memory, offset, time, tables, values.reshape(1, columns), state.reshape(1, columns),
        age_ms, position,
    )  # fmt: skip
    return status, age_ms[0], position[0]
