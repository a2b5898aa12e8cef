"""Grouping event records by shard."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ._jit import allocating
from .layout import KEY_1, Int


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
