"""SquareCB: exploration by inverse gap weighting, and draws that a log can reproduce.

Sources: Foster and Rakhlin (2020), "Beyond UCB: optimal and efficient contextual bandits with
regression oracles", section 3, algorithm 1 (with K, the number of eligible arms, as the paper's
exploration parameter mu); Steele, Lea and Flood (2014), "Fast splittable pseudorandom number
generators", section 4 and figure 17 (SplitMix64, used here as a counter-based generator).
"""

import math

import numpy as np
from numpy.typing import NDArray

from ._jit import kernel

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@kernel
def probabilities(scores: Floats, eligible: Bools, gamma: float, out: Floats) -> int:
    """Write the probability of choosing each arm to `out` and return the best eligible arm.

    An eligible arm with score gap `g` to the best one gets `1 / (K + gamma * g)`, the best one
    what is left (at least `1 / K`), an arm that is not eligible zero. Of equal best scores the
    first wins. `gamma` = inf puts everything on the best arm. Returns -1, with `out` all
    zero, if no arm is eligible.
    """
    best = -1
    k = 0
    for a in range(scores.shape[0]):
        out[a] = 0.0
        if eligible[a]:
            k += 1
            if best < 0 or scores[a] > scores[best]:
                best = a
    if best < 0:
        return best
    rest = 0.0
    if gamma < math.inf:
        for a in range(scores.shape[0]):
            if eligible[a] and a != best:
                p = 1.0 / (k + gamma * (scores[best] - scores[a]))
                out[a] = p
                rest += p
    out[best] = 1.0 - rest
    return best


@kernel
def sample(chances: Floats, draw: float) -> int:
    """Return the arm whose part of [0, 1), laid out in arm order, holds `draw`."""
    total = 0.0
    last = 0
    for a in range(chances.shape[0]):
        if chances[a] > 0.0:
            total += chances[a]
            last = a
            if draw < total:
                break
    return last


@kernel
def mix(z: np.uint64) -> np.uint64:
    """Return the SplitMix64 finaliser of `z`."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def uniform(seed: int, counter: int) -> float:
    """Return the 53-bit uniform number in [0, 1) that belongs to (`seed`, `counter`).

    It is a function of its arguments alone, so the draw of any decision can be made again
    without those before it.
    """
    key = mix(np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15))
    z = mix(key + np.uint64(counter) * np.uint64(0x9E3779B97F4A7C15))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)
