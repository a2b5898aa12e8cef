"""Third pass: the block that each event updates in each scope, and the events of each filter."""

from __future__ import annotations

import numpy as np

from ._jit import inline, kernel
from .intrinsics import prefetch
from .layout import (
    C_WORDS,
    DECAY,
    DUPLICATE,
    F64,
    FIXED_WORDS,
    I64,
    LATE,
    LIFETIME,
    MISSING,
    P_AND,
    P_EQ,
    P_HAS_CODE,
    P_HAS_VALUE,
    P_NE,
    P_NOT,
    P_OR,
    P_TABLE,
    P_TRUE,
    P_VALUE_EQ,
    P_VALUE_GE,
    P_VALUE_GT,
    P_VALUE_LE,
    P_VALUE_LT,
    PREV2_END,
    PREV2_START,
    PREV_END,
    PREV_START,
    RING,
    S_BLOCK,
    S_HEADER,
    S_INDEX,
    S_KIND,
    S_PREV,
    S_PREV2,
    S_TILES,
    S_WORDS,
    START,
    U8,
    U64,
    V_CODE,
    V_NUMERIC,
    Chunk,
    Int,
    Rows,
    Tables,
)


@kernel
def address(
    rows: Rows, tables: Tables, chunk: Chunk, slots: I64, lo: Int, hi: Int, flags: U8
) -> None:
    """Find block addresses from the *final* headers of the chunk; row 0 takes what has none.

    Weights of events before their row's decay period are scaled down to it.
    """
    n = hi - lo
    row_words = tables.config[C_WORDS]
    i64 = rows.i64
    for s in range(len(tables.scopes)):
        kind = tables.scopes[s, S_KIND]
        block = tables.scopes[s, S_BLOCK]
        header = tables.scopes[s, S_HEADER]
        index = tables.scopes[s, S_INDEX]
        base = chunk.base[s]
        if kind == LIFETIME:
            for i in range(n):
                base[i] = slots[lo + i] * row_words + block
                prefetch(rows.u64, base[i])
        elif kind == DECAY:
            for i in range(n):
                b = slots[lo + i] * row_words
                base[i] = b + block
                prefetch(rows.u64, base[i])
                behind = i64[b + header] - chunk.periods[index, i]
                if behind > 0:
                    chunk.weights[index, i] *= 2.0 ** (-64.0 * behind)
        elif kind == RING:
            words = tables.scopes[s, S_WORDS]
            size = tables.scopes[s, S_TILES]
            for i in range(n):
                b = slots[lo + i] * row_words
                inside = i64[b + header] - chunk.tiles[index, i] < size
                base[i] = (b if inside else 0) + block + chunk.places[index, i] * words
        else:
            prev = tables.scopes[s, S_PREV]
            prev2 = tables.scopes[s, S_PREV2]
            for i in range(n):
                b = slots[lo + i] * row_words
                h = b + header
                t = chunk.time[i]
                if flags[lo + i] == LATE:
                    base[i] = block
                elif t >= i64[h + START]:
                    base[i] = b + block
                elif i64[h + PREV_START] <= t <= i64[h + PREV_END]:
                    base[i] = b + prev
                elif prev2 >= 0 and i64[h + PREV2_START] <= t <= i64[h + PREV2_END]:
                    base[i] = b + prev2
                else:
                    base[i] = block


@kernel
def load_columns(tables: Tables, chunk: Chunk, records: U64, lo: Int, hi: Int) -> None:
    """Transpose codes and numbers of the chunk, and look up its keys and coded values."""
    n = hi - lo
    categorical = len(chunk.codes)
    for i in range(n):
        for c in range(categorical):
            chunk.codes[c, i] = np.int32(np.int64(records[lo + i, FIXED_WORDS + c]))
    numbers = chunk.numbers.view(np.uint64)
    for i in range(n):
        for c in range(len(numbers)):
            numbers[c, i] = records[lo + i, FIXED_WORDS + categorical + c]
    for k in range(1, len(tables.keys)):
        codes = chunk.codes[tables.keys[k, 0]]
        start = tables.keys[k, 1]
        for i in range(n):
            chunk.keys[k, i] = tables.codes[start + max(codes[i], 0)] if codes[i] >= 0 else -1
    for v in range(len(tables.values)):
        source = tables.values[v, 0]
        column = tables.values[v, 1]
        if source == V_NUMERIC:
            for i in range(n):
                # Adding zero turns -0.0 into 0.0, so that equal numbers have equal bits.
                chunk.values[v, i] = chunk.numbers[column, i] + 0.0
        elif source == V_CODE:
            start = tables.values[v, 2]
            for i in range(n):
                code = chunk.codes[column, i]
                chunk.values[v, i] = tables.codes[start + max(code, 0)] if code >= 0 else -1


@inline
def _compare(code: Int, numbers: F64, constant: float, n: Int, out: U8) -> None:
    """Comparisons with NaN (missing) are false; ``!=`` is written so that it is, too."""
    if code == P_HAS_VALUE:
        for i in range(n):
            out[i] = numbers[i] == numbers[i]
    elif code == P_VALUE_EQ:
        for i in range(n):
            out[i] = numbers[i] == constant
    elif code == P_VALUE_LT:
        for i in range(n):
            out[i] = numbers[i] < constant
    elif code == P_VALUE_LE:
        for i in range(n):
            out[i] = numbers[i] <= constant
    elif code == P_VALUE_GT:
        for i in range(n):
            out[i] = numbers[i] > constant
    elif code == P_VALUE_GE:
        for i in range(n):
            out[i] = numbers[i] >= constant
    else:
        for i in range(n):
            out[i] = (numbers[i] < constant) | (numbers[i] > constant)


@kernel
def select(tables: Tables, chunk: Chunk, lo: Int, hi: Int, flags: U8) -> None:
    """Run each predicate over the chunk; leave the positions of its events in ``selected``."""
    n = hi - lo
    stack = chunk.stack
    for p in range(len(tables.predicates) - 1):
        depth = 0
        for x in range(tables.predicates[p], tables.predicates[p + 1]):
            code = tables.program[x, 0]
            column = tables.program[x, 1]
            operand = tables.program[x, 2]
            if code == P_AND:
                depth -= 1
                for i in range(n):
                    stack[depth - 1, i] &= stack[depth, i]
            elif code == P_OR:
                depth -= 1
                for i in range(n):
                    stack[depth - 1, i] |= stack[depth, i]
            elif code == P_NOT:
                for i in range(n):
                    stack[depth - 1, i] ^= np.uint8(1)
            else:
                top = stack[depth]
                depth += 1
                if code == P_TRUE:
                    top[:n] = 1
                elif code == P_EQ:
                    for i in range(n):
                        top[i] = chunk.codes[column, i] == operand
                elif code == P_NE:
                    for i in range(n):
                        top[i] = (chunk.codes[column, i] != operand) & (
                            chunk.codes[column, i] != MISSING
                        )
                elif code == P_HAS_CODE:
                    for i in range(n):
                        top[i] = chunk.codes[column, i] != MISSING
                elif code == P_TABLE:
                    for i in range(n):
                        c = chunk.codes[column, i]
                        top[i] = (c >= 0) and tables.codes[operand + max(c, 0)] >= 0
                else:
                    _compare(code, chunk.numbers[column], tables.constants[operand], n, top)
        found = np.int64(0)
        for i in range(n):
            chunk.selected[p, found] = i
            found += np.int64(stack[0, i] & np.uint8(flags[lo + i] != DUPLICATE))
        chunk.counts[p] = found
