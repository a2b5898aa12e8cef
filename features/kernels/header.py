"""Second pass: in arrival order, drop duplicates and move sessions, ring heads and decay bases.

The rules (allowed lateness L never exceeds a session gap G):

* An event is *late* if it is more than L before the customer's newest event; it moves no session.
* On time, t > last + G starts a new session; start - G <= t < start extends the open one
  backwards, and if that brings it within G of the previous session, the two become one.
* Ring heads only move forward; a tile is cleared when a head passes over it.
* Forward decay (Cormode et al. 2009, "Forward Decay", section 3): cells are relative to period
  K; moving to K' multiplies them by the exact power of two 2^(-64 (K' - K)).
"""

from __future__ import annotations

import numpy as np

from ._jit import inline, kernel
from .intrinsics import prefetch
from .layout import (
    ACCEPTED,
    BOUNDARY,
    C_HEADER,
    C_HOT_LINES,
    C_LATENESS,
    C_MOVING,
    C_RINGS,
    C_SESSIONS,
    C_WORDS,
    COUNT,
    DUPLICATE,
    EVENT_ID,
    F64,
    FIRST,
    I64,
    LAST,
    LATE,
    LATEST_LATE,
    LOG_POSITION,
    POSITION,
    PREV2_END,
    PREV2_START,
    PREV_END,
    PREV_START,
    RECENT_IDS,
    RING,
    S_BLOCK,
    S_HEADER,
    S_INDEX,
    S_KIND,
    S_PREV,
    S_PREV2,
    S_SPAN,
    S_TILES,
    S_WORDS,
    START,
    U8,
    U64,
    Chunk,
    Dirty,
    Int,
    Rows,
    Tables,
)
from .operations import merge_session

_AHEAD = 16
_NEAR = 16
_DIRTY = np.uint8(3)
_MAX = np.int64(2**62)


@inline
def _bridges(i64: I64, scopes: I64, sessions: Int, b: Int, t: Int) -> bool:
    """Would an on-time event at ``t`` join the open session to the previous one?"""
    for s in range(sessions):
        h = b + scopes[s, S_HEADER]
        if t < i64[h + START] and i64[h + PREV_START] != 0:
            if t - i64[h + PREV_END] <= scopes[s, S_SPAN]:
                return True
    return False


@inline
def _move_sessions(
    rows: Rows, tables: Tables, u64: U64, i64: I64, scopes: I64, b: Int, t: Int, last: Int
) -> None:
    for s in range(tables.config[C_SESSIONS]):
        h = b + scopes[s, S_HEADER]
        now = b + scopes[s, S_BLOCK]
        prev = b + scopes[s, S_PREV]
        keeps_prev2 = scopes[s, S_PREV2] >= 0
        prev2 = b + scopes[s, S_PREV2]
        words = scopes[s, S_WORDS]
        if i64[h + START] == 0:
            i64[h + START] = t
        elif t > last + scopes[s, S_SPAN]:
            if keeps_prev2:
                i64[h + PREV2_START] = i64[h + PREV_START]
                i64[h + PREV2_END] = i64[h + PREV_END]
                for w in range(words):
                    u64[prev2 + w] = u64[prev + w]
            i64[h + PREV_START] = i64[h + START]
            i64[h + PREV_END] = last
            for w in range(words):
                u64[prev + w] = u64[now + w]
                u64[now + w] = 0
            i64[h + START] = t
        elif t < i64[h + START]:
            i64[h + START] = t
            if i64[h + PREV_START] != 0 and t - i64[h + PREV_END] <= scopes[s, S_SPAN]:
                i64[h + START] = i64[h + PREV_START]
                merge_session(rows, tables, s, now, prev)
                i64[h + PREV_START] = 0
                i64[h + PREV_END] = 0
                for w in range(words):
                    u64[prev + w] = 0
                if keeps_prev2:
                    i64[h + PREV_START] = i64[h + PREV2_START]
                    i64[h + PREV_END] = i64[h + PREV2_END]
                    i64[h + PREV2_START] = 0
                    i64[h + PREV2_END] = 0
                    for w in range(words):
                        u64[prev + w] = u64[prev2 + w]
                        u64[prev2 + w] = 0


@inline
def _advance(
    u64: U64,
    i64: I64,
    f64: F64,
    scopes: I64,
    moving: Int,
    tiles: I64,
    places: I64,
    periods: I64,
    b: Int,
    i: Int,
    is_first: bool,
) -> Int:
    """Move ring heads and decay bases up to the chunk's event ``i``; return the next boundary."""
    boundary = _MAX
    for s in range(moving, len(scopes)):
        kind = scopes[s, S_KIND]
        h = b + scopes[s, S_HEADER]
        start = b + scopes[s, S_BLOCK]
        words = scopes[s, S_WORDS]
        index = scopes[s, S_INDEX]
        if kind == RING:
            tile = tiles[index, i]
            head = i64[h]
            if is_first:
                i64[h] = head = tile
            elif tile > head:
                size = scopes[s, S_TILES]
                if tile - head >= size:
                    for w in range(size * words):
                        u64[start + w] = 0
                else:
                    place = places[index, i]
                    for _ in range(tile - head):
                        for w in range(words):
                            u64[start + place * words + w] = 0
                        place += size - 1 if place == 0 else -1
                i64[h] = head = tile
        else:
            period = periods[index, i]
            head = i64[h]
            if is_first:
                i64[h] = head = period
            elif period > head:
                factor = 2.0 ** (-64.0 * (period - head))
                for w in range(words):
                    f64[start + w] *= factor
                i64[h] = head = period
        boundary = min(boundary, (head + 1) * scopes[s, S_SPAN])
    return boundary


@inline
def _prefetch_tiles(u64: U64, scopes: I64, rings: Int, places: I64, b: Int, i: Int) -> None:
    for s in range(rings, len(scopes)):
        place = places[scopes[s, S_INDEX], i]
        prefetch(u64, b + scopes[s, S_BLOCK] + place * scopes[s, S_WORDS])


@inline
def _mark(dirty: Dirty, slot: Int) -> None:
    marks, for_store, for_log, lengths = dirty
    if marks[slot] != _DIRTY:
        if not marks[slot] & 1:
            for_store[lengths[0]] = slot
            lengths[0] += 1
        if not marks[slot] & 2:
            for_log[lengths[1]] = slot
            lengths[1] += 1
        marks[slot] = _DIRTY


@kernel
def update_headers(
    rows: Rows,
    tables: Tables,
    chunk: Chunk,
    records: U64,
    slots: I64,
    lo: Int,
    hi: Int,
    flags: U8,
    dirty: Dirty,
) -> Int:
    """Take events ``lo`` to ``hi`` in order; return where the pass stopped.

    It stops before an event that joins two sessions, unless that is the first: the events before
    it must be added up first, so that sums do not depend on how the log was cut into batches.

    ``flags`` (uint8[n]) receives what became of each event; one that is LATE already stays so,
    whenever it comes, as replay knows it was late. ``dirty`` is (uint8 marks a slot,
    int64 list for the store, int64 list for the log, int64[2] their lengths).
    """
    u64, i64, f64, _ = rows
    scopes = tables.scopes
    time, tiles, places, periods = chunk.time, chunk.tiles, chunk.places, chunk.periods
    words = tables.config[C_WORDS]
    header = tables.config[C_HEADER]
    ids = header - RECENT_IDS
    lateness = tables.config[C_LATENESS]
    lines = tables.config[C_HOT_LINES]
    sessions = tables.config[C_SESSIONS]
    moving = tables.config[C_MOVING]
    rings = tables.config[C_RINGS]
    for i in range(lo, hi):
        if i + _AHEAD < len(slots):
            for line in range(lines):
                prefetch(u64, slots[i + _AHEAD] * words + ids + 8 * line)
        if i + _NEAR < hi:
            _prefetch_tiles(u64, scopes, rings, places, slots[i + _NEAR] * words, i + _NEAR - lo)
        b = slots[i] * words
        event_id = records[i, EVENT_ID]
        repeats = 0
        for j in range(RECENT_IDS):
            repeats += u64[b + ids + j] == event_id
        if repeats:
            flags[i] = DUPLICATE
            # Whoever sent an event again waits for the later position to be applied.
            position = np.int64(records[i, POSITION])
            if position > i64[b + header + LOG_POSITION]:
                i64[b + header + LOG_POSITION] = position
                _mark(dirty, slots[i])
            continue
        t = time[i - lo]
        h = b + header
        count = i64[h + COUNT]
        last = i64[h + LAST]
        late = flags[i] == LATE or (count > 0 and t < last - lateness)
        if not late:
            if i > lo and t < last and _bridges(i64, scopes, sessions, b, t):
                return i
            _move_sessions(rows, tables, u64, i64, scopes, b, t, last)
        if count == 0 or t >= i64[h + BOUNDARY]:
            i64[h + BOUNDARY] = _advance(
                u64, i64, f64, scopes, moving, tiles, places, periods, b, i - lo, count == 0
            )
        flags[i] = LATE if late else ACCEPTED
        u64[b + ids + count % RECENT_IDS] = event_id
        i64[h + COUNT] = count + 1
        if not late:
            i64[h + LAST] = max(last, t)
        elif t > last:
            i64[h + LATEST_LATE] = max(i64[h + LATEST_LATE], t)
        if count == 0 or t < i64[h + FIRST]:
            i64[h + FIRST] = t
        i64[h + LOG_POSITION] = np.int64(records[i, POSITION])
        _mark(dirty, slots[i])
    return hi
