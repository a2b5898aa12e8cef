"""Fourth pass: one operation at a time over the chunk's events that its filter selected."""

from __future__ import annotations

import numpy as np

from ._jit import inline, kernel
from .layout import (
    F64,
    I64,
    O_CELLS,
    O_CODE,
    O_EXTRA,
    O_KEY,
    O_OFFSET,
    O_PREDICATE,
    O_SCOPE,
    O_STRIDE,
    O_VALUE,
    OP_COUNT,
    OP_DECAY,
    OP_FIRST,
    OP_LAST,
    OP_LAST_K,
    OP_MASK,
    OP_MAX,
    OP_SINCE,
    OP_SUM,
    S_INDEX,
    Chunk,
    Int,
    Rows,
    Tables,
)

_SIGN = np.uint64(1 << 63)
_ONE = np.uint64(1)
_63 = np.uint64(63)


@inline
def order_bits(bits: np.uint64) -> np.uint64:
    """Map the bits of a float64 to a uint64 > 0 in the order of the floats."""
    return ~bits if bits & _SIGN else bits | _SIGN


@inline
def keep_last(i64: I64, f64: F64, a: Int, t: Int, v: float) -> None:
    """Keep the greatest (time, value); time 0 = none."""
    if t > i64[a] or (t == i64[a] and v > f64[a + 1]):
        i64[a] = t
        f64[a + 1] = v


@inline
def keep_first(i64: I64, f64: F64, a: Int, t: Int, v: float) -> None:
    """Keep the least (time, value); time 0 = none."""
    if i64[a] == 0 or t < i64[a] or (t == i64[a] and v < f64[a + 1]):
        i64[a] = t
        f64[a + 1] = v


@inline
def keep_last_k(i64: I64, f64: F64, a: Int, k: Int, t: Int, v: float) -> None:
    """Insert (time, value) into the k greatest, held in descending order; equal pairs both stay."""
    place = k
    while place > 0:
        at = a + 2 * (place - 1)
        if i64[at] > t or (i64[at] == t and f64[at + 1] >= v):
            break
        place -= 1
    for j in range(k - 1, place, -1):
        i64[a + 2 * j] = i64[a + 2 * j - 2]
        f64[a + 2 * j + 1] = f64[a + 2 * j - 1]
    if place < k:
        i64[a + 2 * place] = t
        f64[a + 2 * place + 1] = v


@kernel
def operate(rows: Rows, tables: Tables, chunk: Chunk) -> None:
    """Apply every operation of the plan to the chunk."""
    u64, i64, f64, u32 = rows
    for o in range(len(tables.operations)):
        op = tables.operations[o]
        code = op[O_CODE]
        base = chunk.base[op[O_SCOPE]]
        chosen = chunk.selected[op[O_PREDICATE]]
        n = chunk.counts[op[O_PREDICATE]]
        key = chunk.keys[op[O_KEY]]
        offset = op[O_OFFSET]
        stride = op[O_STRIDE]
        value = chunk.values[op[O_VALUE]]
        scale = tables.scales[o]
        if code == OP_COUNT:
            for j in range(n):
                i = np.uint64(chosen[j])
                u32[np.uint64(2 * base[i] + offset + stride * key[i])] += np.uint32(1)
        elif code == OP_SUM:
            for j in range(n):
                i = np.uint64(chosen[j])
                f64[np.uint64(base[i] + offset + stride * key[i])] += value[i]
        elif code == OP_DECAY:
            weight = chunk.weights[tables.scopes[op[O_SCOPE], S_INDEX]]
            for j in range(n):
                i = np.uint64(chosen[j])
                at = np.uint64(base[i] + offset + stride * key[i])
                f64[at] += weight[i] * (scale * value[i])
        elif code == OP_MAX:
            bits = chunk.value_bits[op[O_VALUE]]
            flip = np.uint64(0) - np.uint64(op[O_EXTRA])
            for j in range(n):
                i = np.uint64(chosen[j])
                a = np.uint64(base[i] + offset + stride * key[i])
                u64[a] = max(u64[a], order_bits(bits[i]) ^ flip)
        elif code == OP_SINCE:
            for j in range(n):
                i = np.uint64(chosen[j])
                a = np.uint64(base[i] + offset + stride * key[i])
                i64[a] = max(i64[a], chunk.time[i])
        elif code == OP_LAST:
            for j in range(n):
                i = chosen[j]
                keep_last(i64, f64, base[i] + offset + stride * key[i], chunk.time[i], value[i])
        elif code == OP_FIRST:
            for j in range(n):
                i = chosen[j]
                keep_first(i64, f64, base[i] + offset + stride * key[i], chunk.time[i], value[i])
        elif code == OP_MASK:
            words = chunk.keys[op[O_EXTRA]]
            for j in range(n):
                i = chosen[j]
                word = words[i]
                place = base[i] + offset + stride * key[i] + (word >> 6)
                u64[place] |= _ONE << (np.uint64(word) & _63)
        elif code == OP_LAST_K:
            for j in range(n):
                i = chosen[j]
                keep_last_k(i64, f64, base[i] + offset, op[O_EXTRA], chunk.time[i], value[i])


@inline
def merge_session(rows: Rows, tables: Tables, scope: Int, to: Int, source: Int) -> None:
    """Add the session block at ``source`` into the one at ``to`` (word addresses)."""
    u64, i64, f64, u32 = rows
    for o in range(len(tables.operations)):
        op = tables.operations[o]
        if op[O_SCOPE] != scope:
            continue
        code = op[O_CODE]
        cells = op[O_CELLS]
        a = to + op[O_OFFSET]
        b = source + op[O_OFFSET]
        if code == OP_COUNT:
            for j in range(cells):
                u32[2 * to + op[O_OFFSET] + j] += u32[2 * source + op[O_OFFSET] + j]
        elif code == OP_SUM:
            for j in range(cells):
                f64[a + j] += f64[b + j]
        elif code == OP_MAX:
            for j in range(cells):
                u64[a + j] = max(u64[a + j], u64[b + j])
        elif code == OP_SINCE:
            for j in range(cells):
                i64[a + j] = max(i64[a + j], i64[b + j])
        elif code == OP_MASK:
            for j in range(cells * op[O_STRIDE]):
                u64[a + j] |= u64[b + j]
        elif code == OP_LAST:
            for j in range(0, 2 * cells, 2):
                if i64[b + j]:
                    keep_last(i64, f64, a + j, i64[b + j], f64[b + j + 1])
        elif code == OP_FIRST:
            for j in range(0, 2 * cells, 2):
                if i64[b + j]:
                    keep_first(i64, f64, a + j, i64[b + j], f64[b + j + 1])
        elif code == OP_LAST_K:
            for j in range(op[O_EXTRA]):
                if i64[b + 2 * j]:
                    keep_last_k(i64, f64, a, op[O_EXTRA], i64[b + 2 * j], f64[b + 2 * j + 1])
