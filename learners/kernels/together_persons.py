"""What a person's own weights add to what several models believe; see `together`."""

import math

import numpy as np
from numpy.typing import NDArray

from ._jit import inline
from .together_layout import ARMS, CANDIDATES, SLOTS

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Words = NDArray[np.uint32]

_ZERO = np.float32(0.0)
_BLOCK_HEAD = 5
"""32-bit words before the keys of a person's block."""


@inline
def _mixture(
    information: float, precision: float, candidates: Floats, at: int, n: int
) -> tuple[float, float]:
    """As `levels.mixture`; the variances are at `at`, the weights 2 n behind."""
    mean = 0.0
    for c in range(n):
        variance = candidates[at + c]
        mean += candidates[at + 2 * n + c] * (variance / (1.0 + variance * precision) * information)
    spread = 0.0
    for c in range(n):
        v = candidates[at + c] / (1.0 + candidates[at + c] * precision)
        distance = v * information - mean
        spread += candidates[at + 2 * n + c] * (v + distance * distance)
    return mean, spread


@inline
def _find(table: Indices, slots: int, key: np.int64) -> int:
    """Return the arm with a key, -1 if there is none."""
    n = table[SLOTS]
    slot = key & (n - 1)
    while table[slots + slot] != 0:
        if table[slots + slot] == key:
            return int(table[slots + n + slot])
        slot = (slot + 1) & (n - 1)
    return -1


@inline
def _evidence(table: Indices, slots: int, words: Words, start: int, room: int, out: Floats) -> bool:
    """Write a person's information and precision by arm, `out` float64[2 K]; False if unusable.

    Of the block only `start`, in words, is known to be right, and that it is as long as its room.
    """
    k = table[ARMS]
    told = int(words[start] >> np.uint32(24))
    n = min(told, room)
    keys = start + _BLOCK_HEAD
    first = keys + 2 * room
    for i in range(n):
        information = np.uint32(words[first + i]).view(np.float32)
        precision = np.uint32(words[first + room + i]).view(np.float32)
        if not (math.isfinite(information) and _ZERO <= precision < np.inf):
            return False
        low = np.uint64(words[keys + 2 * i])
        key = np.int64(low | (np.uint64(words[keys + 2 * i + 1]) << np.uint64(32)))
        arm = _find(table, slots, key)
        if arm >= 0:
            out[arm] = information
            out[k + arm] = precision
    return True


@inline
def add_person(
    table: Indices,
    doubles: Floats,
    persons: int,
    slots: int,
    words: Words,
    start: int,
    room: int,
    evidence: Floats,
    shift: Floats,
    more: Floats,
) -> bool:
    """Add what a person's block says, which begins at `start`; False if it is unusable."""
    k = shift.shape[0]
    candidates = table[CANDIDATES]
    information = 0.0
    precision = 0.0
    evidence[:] = 0.0
    if start >= 0:
        information = float(np.uint32(words[start + 3]).view(np.float32))
        precision = float(np.uint32(words[start + 4]).view(np.float32))
        if not (math.isfinite(information) and 0.0 <= precision < np.inf):
            return False
        if not _evidence(table, slots, words, start, room, evidence):
            return False
    middle, spread = _mixture(information, precision, doubles, persons, candidates)
    arm = persons + candidates
    _, nothing = _mixture(0.0, 0.0, doubles, arm, candidates)
    for a in range(k):
        own_mean = 0.0
        own_spread = nothing
        if evidence[k + a] != 0.0 or evidence[a] != 0.0:
            own_mean, own_spread = _mixture(evidence[a], evidence[k + a], doubles, arm, candidates)
        shift[a] += middle
        shift[a] += own_mean
        more[a] += spread
        more[a] += own_spread
    return True
