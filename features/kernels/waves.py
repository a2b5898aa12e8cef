"""Cutting a batch so that rows can be read in the middle of it.

Wave k holds, for each customer, the events after its k-th read up to and including its next one:
apply wave k, read all its marked events at once, go on. A customer's own order is kept, which is
all that its row depends on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ._jit import allocating
from .layout import I32, I64


@allocating
def order_by_wave(slots: I64, marked: npt.NDArray[np.bool_], seen: I32) -> tuple[I64, I64]:
    """Return an order of the events by wave, and the bounds of the waves in it.

    Parameters
    ----------
    slots
        int64[n].
    marked
        bool[n]: read the row after this event.
    seen
        int32[slots], zero; zero again on return.
    """
    n = len(slots)
    wave = np.empty(n, np.int32)
    waves = 1
    for i in range(n):
        wave[i] = seen[slots[i]]
        waves = max(waves, wave[i] + 1)
        if marked[i]:
            seen[slots[i]] += 1
    bounds = np.zeros(waves + 1, np.int64)
    for i in range(n):
        seen[slots[i]] = 0
        bounds[wave[i] + 1] += 1
    for w in range(waves):
        bounds[w + 1] += bounds[w]
    at = bounds[:-1].copy()
    order = np.empty(n, np.int64)
    for i in range(n):
        order[at[wave[i]]] = i
        at[wave[i]] += 1
    return order, bounds
