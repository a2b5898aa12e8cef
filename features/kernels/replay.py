"""Replay: a customer's history applied to one row of memory, read wherever a query stands.

Events are grouped by customer and walked customer by customer, so that however many there are,
and however unequal, one row is all that is in use and it never leaves the cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._jit import allocating, inline, kernel
from .keys import find
from .layout import (
    C_HEADER,
    C_WORDS,
    CHUNK,
    COUNT,
    EVENT_ID,
    F64,
    I64,
    ID_TEXT,
    KEY_1,
    LATE,
    POSITION,
    U8,
    U64,
    Chunk,
    Dirty,
    Int,
    Rows,
    Tables,
)
from .read import ReadTables, read_rows
from .step import apply_events

SLOT, SOURCE = KEY_1, ID_TEXT
"""Words of a record in replay: its customer's slot; its partition << 1 | whether it was late."""

_ONE = np.uint64(1)


class History(NamedTuple):
    """Events grouped by customer, those of each in the order in which they are applied."""

    records: U64  # [n, words], in any order
    order: I64  # [n], which record comes first, and so on
    bounds: I64  # [customers + 1], into order
    word: int  # TIMESTAMP or POSITION: what a query's limit is compared with


class Asked(NamedTuple):
    """Queries grouped by customer, those of each in the order of their limits."""

    order: I64  # [n], which query comes first, and so on
    bounds: I64  # [customers + 1], into order
    until: I64  # [queries], a query's limit: the last event that it may see
    at: I64  # [queries], the time that it reads at, microseconds


class Work(NamedTuple):
    """Working memory of one walk; see `make_work` in `nextbest.features.replay_walk`."""

    rows: Rows  # two rows: nobody's, and the one in use
    chunk: Chunk
    records: U64  # [CHUNK, words]
    slots: I64  # [CHUNK], all 1
    flags: U8  # [CHUNK]
    dirty: Dirty


class Answers(NamedTuple):
    """Where the answers go, in the order of the queries; see `read.read_rows`."""

    values: F64
    state: U8
    age_ms: I64
    positions: I64


@kernel
def put_keys(keys: U64, table: U64, slots: I64) -> Int:
    """Give each different key a slot, from 1 on.

    Parameters
    ----------
    keys
        uint64[n, 2].
    table
        uint64[power of two above n, 4], zero: receives them as `keys.find` looks them up.
    slots
        int64[n]: receives the slots.

    Returns
    -------
    int
        How many different keys there are.
    """
    used: Int = 0
    for i in range(len(keys)):
        at = find(table, keys[i, 0], keys[i, 1])
        if table[at, 2] == 0:
            used += 1
            table[at, 0] = keys[i, 0]
            table[at, 1] = keys[i, 1]
            table[at, 2] = np.uint64(used)
        slots[i] = np.int64(table[at, 2])
    return used


@kernel
def group(records: U64, buckets: Int, first: Int, bounds: I64, order: I64) -> None:
    """Group records by customer, keeping their order inside each (a counting sort).

    Parameters
    ----------
    records
        uint64[n, words]; ``SLOT // buckets - first`` is a record's group.
    bounds
        int64[groups + 1], zero: receives where each group begins in ``order``.
    order
        int64[n]: receives the records' ordinals.
    """
    divisor = np.uint64(buckets)
    for i in range(len(records)):
        bounds[np.int64(records[i, SLOT] // divisor) - first + 1] += 1
    for g in range(1, len(bounds)):
        bounds[g] += bounds[g - 1]
    for i in range(len(records)):
        own = np.int64(records[i, SLOT] // divisor) - first
        order[bounds[own]] = i
        bounds[own] += 1
    for g in range(len(bounds) - 1, 0, -1):
        bounds[g] = bounds[g - 1]
    bounds[0] = 0


@inline
def _is_before(records: U64, a: Int, b: Int, word: Int) -> bool:
    first, second = np.int64(records[a, word]), np.int64(records[b, word])
    if first != second:
        return bool(first < second)
    one, other = records[a, SOURCE] >> _ONE, records[b, SOURCE] >> _ONE
    if one != other:
        return bool(one < other)
    return bool(np.int64(records[a, POSITION]) < np.int64(records[b, POSITION]))


@inline
def _run_end(records: U64, order: I64, start: Int, end: Int, word: Int) -> Int:
    at = start + 1
    while at < end and not _is_before(records, order[at], order[at - 1], word):
        at += 1
    return at


@kernel
def sort_groups(records: U64, word: Int, bounds: I64, order: I64, spare: I64) -> None:
    """Sort each group by (word, partition, position): a merge sort of the runs that are there.

    Files are nearly in order, so one look at each record is mostly all there is to do.

    Parameters
    ----------
    records, word, bounds, order
        See `History`; ``order`` is sorted.
    spare
        int64[n], working memory.
    """
    for g in range(len(bounds) - 1):
        start, end = bounds[g], bounds[g + 1]
        if start == end:
            continue
        while _run_end(records, order, start, end, word) < end:
            at = start
            while at < end:
                middle = _run_end(records, order, at, end, word)
                stop = middle if middle == end else _run_end(records, order, middle, end, word)
                left, right = at, middle
                for out in range(at, stop):
                    take_right = left == middle or (
                        right < stop and _is_before(records, order[right], order[left], word)
                    )
                    if take_right:
                        spare[out] = order[right]
                        right += 1
                    else:
                        spare[out] = order[left]
                        left += 1
                at = stop
            for out in range(start, end):
                order[out] = spare[out]


@allocating
def walk(
    tables: Tables,
    reads: ReadTables,
    work: Work,
    history: History,
    asked: Asked,
    answers: Answers,
) -> None:
    """Apply each customer's events up to each query in turn, and read the row there.

    Parameters
    ----------
    tables, reads
        The compiled plan.
    work
        Working memory.
    history, asked
        What happened and what is wanted, of the same customers.
    answers
        Receives what is read.
    """
    rows, records, flags = work.rows, work.records, work.flags
    words = tables.config[C_WORDS]
    count = words + tables.config[C_HEADER] + COUNT
    offset = np.full(1, words, np.int64)
    for g in range(len(asked.bounds) - 1):
        if rows.i64[count]:
            rows.u64[words : 2 * words] = 0
        e = history.bounds[g]
        end = history.bounds[g + 1]
        for q in range(asked.bounds[g], asked.bounds[g + 1]):
            o = asked.order[q]
            until = asked.until[o]
            n = CHUNK
            while n == CHUNK:
                n = 0
                while n < CHUNK and e < end:
                    i = history.order[e]
                    if np.int64(history.records[i, history.word]) > until:
                        break
                    for w in range(records.shape[1]):
                        records[n, w] = history.records[i, w]
                    e += 1
                    # Duplicates are not in the archive; no two events may look like one.
                    records[n, EVENT_ID] = np.uint64(e)
                    flags[n] = LATE if history.records[i, SOURCE] & _ONE else 0
                    n += 1
                if n:
                    apply_events(
                        rows, tables, work.chunk, records[:n], work.slots[:n], flags[:n], work.dirty
                    )
            read_rows(
                rows.u64,
                offset,
                asked.at[o : o + 1],
                reads,
                answers.values[o : o + 1],
                answers.state[o : o + 1],
                answers.age_ms[o : o + 1],
                answers.positions[o : o + 1],
            )
