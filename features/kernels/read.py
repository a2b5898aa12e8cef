"""Reading rows at a time t, without writing: windows slide, sessions close, decay decays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._jit import allocating, inline, kernel
from .formula import DEPTH, evaluate, greatest
from .intrinsics import float_from_bits
from .layout import (
    COUNT,
    F64,
    I64,
    LAST,
    LATEST_LATE,
    LOG_POSITION,
    PREV_START,
    RING,
    S_BLOCK,
    S_HEADER,
    S_KIND,
    S_PREV,
    S_SPAN,
    S_TILES,
    S_WORDS,
    SESSION,
    START,
    U8,
    U32,
    U64,
    Int,
)

PRESENT, MISSING, EXPIRED = np.uint8(0), np.uint8(1), np.uint8(2)

# Kinds of read, and columns of the read table.
(
    R_COUNT,
    R_SUM,
    R_MEAN,
    R_MAX,
    R_MIN,
    R_FIRST,
    R_LAST,
    R_LAST_K,
    R_DISTINCT,
    R_DECAYED,
    R_SINCE,
    R_EVIDENCE,
    R_ABSENT,  # not among what the rows were written with
    R_DERIVED,
    R_TOP_K,
) = range(15)
(
    F_KIND,
    F_SCOPE,
    F_OFFSET,  # cell in the block: words, or half words where it is a count
    F_COUNT_OFFSET,  # R_MEAN: half words
    F_CELLS,  # keys, or k
    F_OUT,  # first column of the result
    F_WIDTH,  # sliding window, microseconds, else 0
    F_HOP,
    F_LAST_SESSION,  # 1: of the last closed session
    F_TTL,  # microseconds, 0 = for ever
    F_STRIDE,  # R_DISTINCT: words of a mask
    F_FROM,  # R_DERIVED: first instruction; R_TOP_K: first column of the vector
    F_STOP,  # R_DERIVED: the instruction after the last; R_TOP_K: numbers of the vector
) = range(13)
F_WORDS = 13

_SIGN = np.uint64(1 << 63)
_NOTHING = 1e-290
_GREATEST = float(np.finfo(np.float64).max)


class ReadTables(NamedTuple):
    """How to read features, in an order in which each comes after those that it reads."""

    features: I64  # [features, F_WORDS]
    program: I64  # [instructions, 2], of formulas: see `formula`
    scopes: I64  # as in Tables
    header: int  # word of a row at which its header begins
    columns: int  # numbers a row reads as


@inline
def _unordered(bits: np.uint64) -> np.uint64:
    return bits ^ _SIGN if bits & _SIGN else ~bits


@inline
def _finite(value: float) -> float:
    """Return NaN for a sum that went beyond what a float64 holds, whatever came after."""
    return value if abs(value) <= _GREATEST else np.nan


@inline
def _popcount(word: np.uint64) -> Int:
    count = 0
    while word:
        word &= word - np.uint64(1)
        count += 1
    return count


@inline
def _blocks(i64: I64, scopes: I64, feature: I64, b: Int, t: Int, last: Int, blocks: I64) -> Int:
    """List the blocks that a feature reads; return how many, or -1 (expired), -2 (missing)."""
    s = feature[F_SCOPE]
    kind = scopes[s, S_KIND]
    h = b + scopes[s, S_HEADER]
    start = b + scopes[s, S_BLOCK]
    if kind == SESSION:
        is_open = last > 0 and t - last <= scopes[s, S_SPAN]
        if feature[F_LAST_SESSION] == 0:
            blocks[0] = start
            return 1 if is_open else -1
        blocks[0] = b + scopes[s, S_PREV] if is_open else start
        return 1 if i64[h + (PREV_START if is_open else START)] != 0 else -2
    if kind != RING:
        blocks[0] = start
        return 1
    size = scopes[s, S_TILES]
    head = i64[h]
    hop = feature[F_HOP]
    first = max((t - feature[F_WIDTH]) // hop, head - size + 1, 0)
    found = 0
    for tile in range(first, min(t // hop, head) + 1):
        blocks[found] = start + (tile % size) * scopes[s, S_WORDS]
        found += 1
    return found


@inline
def _one(
    u64: U64,
    i64: I64,
    f64: F64,
    u32: U32,
    feature: I64,
    j: Int,
    t: Int,
    blocks: I64,
    n: Int,
    since: Int,
) -> float:
    """Combine cell ``j`` of a feature over its blocks; NaN = missing."""
    kind = feature[F_KIND]
    offset = feature[F_OFFSET]
    if kind == R_COUNT or kind == R_EVIDENCE:
        count = np.int64(0)
        for x in range(n):
            count += np.int64(u32[2 * blocks[x] + offset + j])
        return float(min(count, np.int64(3)) if kind == R_EVIDENCE else count)
    if kind == R_SUM:
        total = 0.0
        for x in range(n):
            total += f64[blocks[x] + offset + j]
        return _finite(total)
    if kind == R_MEAN:
        total = 0.0
        count = np.int64(0)
        for x in range(n):
            total += f64[blocks[x] + offset + j]
            count += np.int64(u32[2 * blocks[x] + feature[F_COUNT_OFFSET] + j])
        return _finite(total / count) if count else np.nan
    if kind == R_MAX or kind == R_MIN:
        bits = np.uint64(0)
        for x in range(n):
            bits = max(bits, u64[blocks[x] + offset + j])
        if bits == 0:
            return np.nan
        value: float = float_from_bits(_unordered(~bits if kind == R_MIN else bits))
        return value
    if kind == R_SINCE:
        newest = np.int64(0)
        for x in range(n):
            newest = max(newest, i64[blocks[x] + offset + j])
        return (t - newest) * 1e-6 if newest and newest >= since else np.nan
    best = np.int64(0)
    value = np.nan
    for x in range(n):
        at = blocks[x] + offset + 2 * j
        time = i64[at]
        if time == 0 or time < since:
            continue
        if kind == R_LAST:
            better = time > best or (time == best and f64[at + 1] > value)
        else:
            better = best == 0 or time < best or (time == best and f64[at + 1] < value)
        if better:
            best = time
            value = f64[at + 1]
    return value


@allocating
def read_rows(
    memory: U64,
    offsets: I64,
    at: I64,
    tables: ReadTables,
    values: F64,
    state: U8,
    age_ms: I64,
    positions: I64,
) -> None:
    """Read every feature of n rows.

    Parameters
    ----------
    memory
        uint64[m], dense rows.
    offsets
        int64[n], word at which each row begins, or -1 for an unknown customer.
    at
        int64[n], microseconds. A row is never read before its newest event.
    tables
        See `ReadTables`.
    values, state, age_ms, positions
        float64[n, columns] (NaN unless present), uint8[n, columns], int64[n], int64[n]: receive the
        result; the age is the time since the newest event, the position that of the last event
        applied, or both -1.
    """
    memo = np.empty(2 * DEPTH + 1025, np.int64)
    _read_rows(memory, offsets, at, tables, values, state, age_ms, positions, memo)


@kernel
def _read_rows(
    memory: U64,
    offsets: I64,
    at: I64,
    tables: ReadTables,
    values: F64,
    state: U8,
    age_ms: I64,
    positions: I64,
    memo: I64,
) -> None:
    """As `read_rows`: what allocates nothing need not count its arrays, which costs more."""
    i64 = memory.view(np.int64)
    f64 = memory.view(np.float64)
    u32 = memory.view(np.uint32)
    scopes = tables.scopes
    stack = memo[:DEPTH].view(np.float64)
    states = memo[DEPTH : 2 * DEPTH].view(np.uint8)
    blocks = memo[2 * DEPTH :]
    for r in range(len(offsets)):
        b = offsets[r]
        if b < 0 or i64[b + tables.header + COUNT] == 0:
            values[r, :] = np.nan
            state[r, :] = MISSING
            age_ms[r] = -1
            positions[r] = -1
            continue
        last = i64[b + tables.header + LAST]
        newest = max(last, i64[b + tables.header + LATEST_LATE])
        t = max(at[r], newest)
        age_ms[r] = (t - newest) // 1000
        positions[r] = i64[b + tables.header + LOG_POSITION]
        for x in range(len(tables.features)):
            feature = tables.features[x]
            kind = feature[F_KIND]
            out = feature[F_OUT]
            cells = feature[F_CELLS]
            ttl = feature[F_TTL]
            n: Int = 1
            if ttl and t - newest > ttl:
                n = -1
            elif kind == R_DERIVED:
                evaluate(
                    tables.program, feature[F_FROM], feature[F_STOP],
                    values[r], state[r], out, stack, states,
                )  # fmt: skip
                continue
            elif kind == R_TOP_K:
                greatest(values[r], state[r], feature[F_FROM], feature[F_STOP], out, cells)
                continue
            elif kind == R_ABSENT:
                n = -2
            else:
                n = _blocks(i64, scopes, feature, b, t, last, blocks)
            if n < 0:
                for j in range(cells):
                    values[r, out + j] = np.nan
                    state[r, out + j] = EXPIRED if n == -1 else MISSING
                continue
            since = np.int64(0)
            if feature[F_WIDTH] and scopes[feature[F_SCOPE], S_KIND] != RING:
                hop = feature[F_HOP]
                since = (t - feature[F_WIDTH]) // hop * hop
            if kind == R_DECAYED:
                s = feature[F_SCOPE]
                span = scopes[s, S_SPAN]
                aged = t - i64[b + scopes[s, S_HEADER]] * span
                factor = 2.0 ** (-64.0 * aged / span)
                for j in range(cells):
                    v = _finite(f64[blocks[0] + feature[F_OFFSET] + j] * factor)
                    # Near underflow the last digits depend on how the log was cut into batches.
                    values[r, out + j] = 0.0 if abs(v) <= _NOTHING else v
                    state[r, out + j] = PRESENT if v == v else MISSING
            elif kind == R_DISTINCT:
                mask = feature[F_STRIDE]
                for j in range(cells):
                    count: Int = 0
                    for w in range(j * mask, (j + 1) * mask):
                        word = np.uint64(0)
                        for y in range(n):
                            word |= memory[blocks[y] + feature[F_OFFSET] + w]
                        count += _popcount(word)
                    values[r, out + j] = count
                    state[r, out + j] = PRESENT
            elif kind == R_LAST_K:
                _last_k(i64, f64, feature, blocks[0], since, values[r], state[r])
            else:
                for j in range(cells):
                    v = _one(memory, i64, f64, u32, feature, j, t, blocks, n, since)
                    values[r, out + j] = v
                    state[r, out + j] = PRESENT if v == v else MISSING


@inline
def _last_k(
    i64: I64, f64: F64, feature: I64, block: Int, since: Int, values: F64, state: U8
) -> None:
    for j in range(feature[F_CELLS]):
        at = block + feature[F_OFFSET] + 2 * j
        present = i64[at] != 0 and i64[at] >= since
        values[feature[F_OUT] + j] = f64[at + 1] if present else np.nan
        state[feature[F_OUT] + j] = PRESENT if present else MISSING
