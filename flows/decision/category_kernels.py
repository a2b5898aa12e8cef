"""What models keep of the categories of N customers, found by number in one call."""

from __future__ import annotations

import numpy as np

from ...features.kernels._jit import kernel
from ...features.kernels.layout import F64, I64, Int

FREE = -1
"""A key of no number: as bits it is a NaN."""
_FREE = FREE
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_32 = np.uint64(32)


@kernel
def find(
    seen: F64, bits: I64, n: Int, programs: I64, keys: I64, rows: I64, told: I64, missed: I64
) -> Int:
    """Write the rows of N customers' categories to ``told``; return how many are not known.

    Parameters
    ----------
    seen, bits
        float64[N, .], results of programs, and the same bytes as int64.
    n
        How many customers.
    programs
        int64[P, 2]: places in ``seen``, and in ``told``.
    keys, rows
        int64[P, size], the numbers that are known, by their bits, in a hash table of a power of two
        of places, of which one is free; int64[P, size, O], the rows of each.
    told
        int64[N, .], receives the O rows of each program; of a result that is missing it is left.
    missed
        int64[N P], receives ``P i + p`` of what is not known.
    """
    many = programs.shape[0]
    mask = keys.shape[1] - 1
    count: Int = 0
    for i in range(n):
        for p in range(many):
            number = seen[i, programs[p, 0]]
            if number != number:
                continue
            key = bits[i, programs[p, 0]]
            slot = np.int64((np.uint64(key) * _GOLDEN) >> _32) & mask
            while keys[p, slot] != key and keys[p, slot] != _FREE:
                slot = (slot + 1) & mask
            if keys[p, slot] == _FREE:
                missed[count] = many * i + p
                count += 1
                continue
            for o in range(rows.shape[2]):
                told[i, programs[p, 1] + o] = rows[p, slot, o]
    return count


@kernel
def insert(keys: I64, rows: I64, program: Int, key: Int, own: I64) -> None:
    """Write a number's rows to the tables of `find`, which have a free place for it."""
    mask = keys.shape[1] - 1
    slot = np.int64((np.uint64(key) * _GOLDEN) >> _32) & mask
    while keys[program, slot] != _FREE and keys[program, slot] != key:
        slot = (slot + 1) & mask
    keys[program, slot] = key
    for o in range(rows.shape[2]):
        rows[program, slot, o] = own[o]
