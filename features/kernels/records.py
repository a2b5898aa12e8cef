"""Putting event records into another order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ._jit import allocating, kernel
from .layout import I64, ID_TEXT, KEY_1, U8, U64, Int
from .words import LENGTH_BITS, length_of, start_of


@allocating
def split_by_shard(
    records: npt.NDArray[np.uint64], shards: Int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Group records by shard, keeping their order inside each (a counting sort).

    Parameters
    ----------
    records
        uint64[n, words].
    shards
        How many shards there are.

    Returns
    -------
    grouped, order, bounds
        uint64[n, words]; int64[n] with ``grouped[i] == records[order[i]]``; int64[shards + 1].
    """
    n, words = records.shape
    shard = np.empty(n, dtype=np.int32)
    bounds = np.zeros(shards + 1, dtype=np.int64)
    for i in range(n):
        own = np.int32(records[i, KEY_1] % np.uint64(shards))
        shard[i] = own
        bounds[own + 1] += 1
    for s in range(shards):
        bounds[s + 1] += bounds[s]
    at = bounds[:-1].copy()
    grouped = np.empty_like(records)
    order = np.empty(n, dtype=np.int64)
    for i in range(n):
        j = at[shard[i]]
        at[shard[i]] += 1
        order[j] = i
        for w in range(words):
            grouped[j, w] = records[i, w]
    return grouped, order, bounds


@kernel
def arrange(records: U64, ids: U8, order: I64, out: U64, out_ids: U8) -> None:
    """Put records into an order, and the customer ids with them.

    Parameters
    ----------
    records, ids
        uint64[n, words], and the uint8[m] that their words of text point into.
    order
        int64[n]: which record comes first, and so on.
    out, out_ids
        uint64[n, words] and uint8[m]: receive them.
    """
    end: Int = 0
    for i in range(len(order)):
        for w in range(records.shape[1]):
            out[i, w] = records[order[i], w]
        place = np.int64(out[i, ID_TEXT])
        start, length = start_of(place), length_of(place)
        for j in range(length):
            out_ids[end + j] = ids[start + j]
        out[i, ID_TEXT] = np.uint64(end << LENGTH_BITS | length)
        end += length
