"""First pass over a chunk: transpose it, and number its tiles and decay periods.

Everything here is a loop over columns without branches, which LLVM turns into vector code.
"""

from __future__ import annotations

import math

import numpy as np

from ._jit import inline, kernel
from .layout import (
    DECAY,
    F64,
    I64,
    RING,
    S_INDEX,
    S_KIND,
    S_SPAN,
    S_TILES,
    TIMESTAMP,
    U64,
    Chunk,
    Int,
    Tables,
)

_POW2 = 2.0 ** np.arange(64)
# Taylor coefficients of exp: with |y| <= ln(2)/2 the remainder after y^13 is below 1e-17.
_EXP = np.array([1.0 / math.factorial(n) for n in range(14)])
_LN2 = math.log(2.0)
_SQRT2 = math.sqrt(2.0)


@inline
def floor_divide(numerators: I64, divisor: Int, n: Int, out: I64) -> None:
    """``out[:n] = numerators[:n] // divisor`` for 0 <= numerators < 2**53, without a division."""
    inverse = 1.0 / divisor
    for i in range(n):
        q = np.int64(numerators[i] * inverse)
        q -= np.int64(q * divisor > numerators[i])
        q += np.int64((q + 1) * divisor <= numerators[i])
        out[i] = q


@inline
def decay_weights(time: I64, span: Int, n: Int, periods: I64, weights: F64) -> None:
    """Forward-decay weights 2^((e - k P)/H), P = 64 H, k = floor(e / P); relative error 5e-15."""
    floor_divide(time, span, n, periods)
    per_half_life = 64.0 / span
    for i in range(n):
        x = (time[i] - periods[i] * span) * per_half_life
        whole = np.int64(x)
        y = (x - whole - 0.5) * _LN2
        p = _EXP[13]
        for j in range(12, -1, -1):
            p = p * y + _EXP[j]
        weights[i] = p * _SQRT2 * _POW2[whole & 63]


@kernel
def prepare(tables: Tables, chunk: Chunk, records: U64, lo: Int, hi: Int) -> None:
    """Fill the chunk's times, tiles, periods and weights for events ``lo`` to ``hi``."""
    n = hi - lo
    for i in range(n):
        chunk.time[i] = np.int64(records[lo + i, TIMESTAMP])
    for s in range(len(tables.scopes)):
        kind = tables.scopes[s, S_KIND]
        index = tables.scopes[s, S_INDEX]
        span = tables.scopes[s, S_SPAN]
        if kind == RING:
            tiles = chunk.tiles[index]
            places = chunk.places[index]
            size = tables.scopes[s, S_TILES]
            floor_divide(chunk.time, span, n, tiles)
            floor_divide(tiles, size, n, places)
            for i in range(n):
                places[i] = tiles[i] - places[i] * size
        elif kind == DECAY:
            decay_weights(chunk.time, span, n, chunk.periods[index], chunk.weights[index])
