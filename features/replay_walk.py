"""Bucket by bucket: the events of some customers in order, and the queries answered among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .kernels import layout as layout
from .kernels.layout import C_WORDS, CHUNK, I64, POSITION, TIMESTAMP, U64, make_chunk
from .kernels.read import ReadTables
from .kernels.replay import SLOT, Answers, Asked, History, Work, group, sort_groups, walk
from .plan import Plan
from .replay_buckets import BUCKETS, Buckets
from .state import FeatureRows


class Question(NamedTuple):
    """All queries, by bucket and slot.

    ``order`` is int64[n], which query comes first, and so on; ``bounds``, for each bucket, where
    in it the queries of each slot begin; ``until`` and ``at``, int64[n], in the queries' order.
    """

    order: I64
    bounds: list[I64]
    until: I64
    at: I64


def order_queries(slots: I64, things: int, until: I64, at: I64) -> Question:
    """Order queries by bucket, slot and limit."""
    each = things // BUCKETS + 1  # slots of a bucket
    place = slots % BUCKETS * each + slots // BUCKETS
    order = np.lexsort((until, place))
    counts = np.bincount(place, minlength=each * BUCKETS)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    return Question(
        order, [bounds[b * each : (b + 1) * each + 1] for b in range(BUCKETS)], until, at
    )


class Walker:
    """Answers the queries of one bucket after the other; each thread has one of its own.

    Parameters
    ----------
    plan
        What is computed.
    reads
        How rows are read.
    as_known
        Whether events are applied in the order of the log, and judged late as they were then, or
        in the order of time.
    """

    def __init__(self, plan: Plan, reads: ReadTables, *, as_known: bool) -> None:
        # In the order of time nobody is late but those who were.
        self._tables = plan.tables
        self._reads = reads
        self._word = POSITION if as_known else TIMESTAMP
        self._work = make_work(self._tables)

    def answer(
        self, buckets: Buckets, bucket: int, question: Question, most_rows: int, out: FeatureRows
    ) -> None:
        """Answer the queries of a bucket, at most so many events at a time.

        The events of one customer are never divided.
        """
        bounds = question.bounds[bucket]
        answers = Answers(*out)
        for first, stop, records in _parts(buckets, bucket, len(bounds) - 1, most_rows):
            starts = np.zeros(stop - first + 1, np.int64)
            order = np.empty(len(records), np.int64)
            group(records, BUCKETS, first, starts, order)
            sort_groups(records, self._word, starts, order, np.empty_like(order))
            history = History(records, order, starts, self._word)
            asked = Asked(question.order, bounds[first : stop + 1], question.until, question.at)
            walk(self._tables, self._reads, self._work, history, asked, answers)


def make_work(tables: layout.Tables) -> Work:
    """Allocate the working memory of a walk."""
    words = int(tables.config[C_WORDS])
    memory = np.zeros(2 * words, np.uint64)
    columns = int(tables.config[layout.C_CATEGORICAL] + tables.config[layout.C_NUMERIC])
    nothing = np.zeros(1, np.int64)
    return Work(
        rows=layout.Rows(
            memory, memory.view(np.int64), memory.view(np.float64), memory.view(np.uint32)
        ),
        chunk=make_chunk(tables),
        records=np.zeros((CHUNK, layout.FIXED_WORDS + columns), np.uint64),
        slots=np.ones(CHUNK, np.int64),
        flags=np.zeros(CHUNK, np.uint8),
        dirty=(np.full(2, 3, np.uint8), nothing, nothing, np.zeros(2, np.int64)),
    )


def _parts(
    buckets: Buckets, bucket: int, slots: int, most_rows: int
) -> Iterator[tuple[int, int, U64]]:
    """Yield stretches of a bucket's slots, each with its records."""
    if buckets.rows(bucket) <= most_rows:
        yield 0, slots, _records(buckets, bucket, 0, slots, buckets.rows(bucket))
        return
    counts = np.zeros(slots, np.int64)
    for piece in buckets.pieces(bucket):
        counts += np.bincount(_places(piece), minlength=slots)
    ends = np.cumsum(counts)
    first = 0
    while first < slots:
        before = int(ends[first - 1]) if first else 0
        stop = max(first + 1, int(np.searchsorted(ends, before + most_rows, side="right")))
        rows = int(ends[stop - 1]) - before
        yield first, stop, _records(buckets, bucket, first, stop, rows)
        first = stop


def _records(buckets: Buckets, bucket: int, first: int, stop: int, rows: int) -> U64:
    """Bring the records of a stretch of slots together."""
    out = np.empty((rows, buckets.words), np.uint64)
    end = 0
    for piece in buckets.pieces(bucket):
        places = _places(piece)
        own = piece[(places >= first) & (places < stop)] if rows < buckets.rows(bucket) else piece
        out[end : end + len(own)] = own
        end += len(own)
    return out


def _places(records: U64) -> I64:
    return records[:, SLOT].view(np.int64) // BUCKETS
