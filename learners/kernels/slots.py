"""From the codes of categories to slots of a table, by handles that tell when they are stale.

Feature `j` of d numeric ones has place `j` in `bound`; category `k` of categorical feature `j`
has place `offsets[j] + k`. A place holds the handle of its slot, `UNBOUND`, or while a batch is
being resolved `PENDING`.
"""

import numpy as np
from numpy.typing import NDArray

from ._jit import bare

Codes = NDArray[np.int32]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

UNBOUND, PENDING = -1, -2
ABSENT, UNKNOWN = -1, -2
"""Instead of a slot: the row has no such feature; or it has one without a slot."""
SLOT_BITS = 24
"""The low bits of a handle are its slot, so that a table has at most 16,777,216."""
_SLOT = (1 << SLOT_BITS) - 1


@bare
def resolve_numeric(
    numeric: Floats,
    start: int,
    bound: Indices,
    handles: Indices,
    slots: Indices,
    missed: Indices,
    row_width: int,
) -> int:
    """Write the slots int64[d] of the numeric features from row `start` on; return the misses.

    A miss is a row of `missed`: the position row * `row_width` + column of the first row that
    has the feature, and its place.
    """
    misses = 0
    for j in range(slots.shape[0]):
        handle = bound[j]
        slot = handle & _SLOT
        if handle >= 0 and handles[slot] == handle:
            slots[j] = slot
            continue
        bound[j] = UNBOUND
        slots[j] = UNKNOWN
        for r in range(start, numeric.shape[0]):
            if numeric[r, j] == numeric[r, j]:
                missed[misses, 0] = r * row_width + j
                missed[misses, 1] = j
                misses += 1
                bound[j] = PENDING
                break
    return misses


@bare
def resolve_codes(
    codes: Codes,
    start: int,
    bound: Indices,
    offsets: Indices,
    handles: Indices,
    slots: Indices,
    missed: Indices,
    misses: int,
) -> int:
    """Write the slots int64[n, c] of rows from `start` on; append misses; return how many.

    Returns -1 if a code has no place.
    """
    c = codes.shape[1]
    d = offsets[0]
    for r in range(start, codes.shape[0]):
        for j in range(c):
            code = codes[r, j]
            if code < 0:
                slots[r, j] = ABSENT
                continue
            place = offsets[j] + code
            if place >= offsets[j + 1]:
                return -1
            handle = bound[place]
            slot = handle & _SLOT
            if handle >= 0 and handles[slot] == handle:
                slots[r, j] = slot
                continue
            slots[r, j] = UNKNOWN
            if handle != PENDING:
                missed[misses, 0] = r * (d + c) + d + j
                missed[misses, 1] = place
                misses += 1
                bound[place] = PENDING
    return misses
