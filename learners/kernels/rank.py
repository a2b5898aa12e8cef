"""Scoring, choosing among and learning from arms that share one diagonal ADF model.

The weights lie in this order: the shared intercept, the D action features, one weight an arm
(K), then a block of K weights (one an arm) for every context category seen. `blocks` holds the
first weight of each block that is active in a context. A feature that is NaN is missing: its
weight neither contributes nor learns.
"""

import math

import numpy as np
from numpy.typing import NDArray

from . import adf, squarecb
from ._jit import kernel
from .limits import LARGEST

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@kernel
def score(
    mean: Floats,
    variance: Floats,
    features: Floats,
    blocks: Indices,
    unseen: float,
    out: Floats,
) -> int:
    """Write the predictive probability of reward 1 of each arm to `out`.

    `unseen` is the prior variance of the context categories that have no weights yet. Returns
    the flat position of a feature beyond `LARGEST`, or -1 if all can be used.
    """
    k, d = features.shape
    for a in range(k):
        z = mean[0] + mean[1 + d + a]
        s = variance[0] + variance[1 + d + a] + unseen
        for f in range(d):
            x = features[a, f]
            if abs(x) > LARGEST:
                return int(a * d + f)
            if not math.isnan(x):
                z += mean[1 + f] * x
                s += variance[1 + f] * x * x
        for c in range(blocks.shape[0]):
            z += mean[blocks[c] + a]
            s += variance[blocks[c] + a]
        out[a] = adf.moderated(z, s)
    return -1


@kernel
def order(scores: Floats, eligible: NDArray[np.bool_]) -> Indices:
    """Return the eligible arms, the best score first, equal scores in arm order."""
    best_first = np.argsort(-scores, kind="mergesort")
    out = np.empty(eligible.sum(), np.int64)
    n = 0
    for a in best_first:
        if eligible[a]:
            out[n] = a
            n += 1
    return out


@kernel
def pull(
    mean: Floats,
    variance: Floats,
    features: Floats,
    blocks: Indices,
    unseen: float,
    eligible: NDArray[np.bool_],
    gamma: float,
    draw: float,
    out: Floats,
) -> tuple[int, Indices]:
    """Score, rank and choose: `out[0]` gets the scores, `out[1]` the propensities.

    Returns the chosen arm and the ranking. The arm is negative if there is none: -1 if no arm is
    eligible, `-2 - i` if the feature at flat position `i` is too large.
    """
    bad = score(mean, variance, features, blocks, unseen, out[0])
    if bad >= 0:
        return -2 - bad, np.empty(0, np.int64)
    if squarecb.probabilities(out[0], eligible, gamma, out[1]) < 0:
        return -1, np.empty(0, np.int64)
    return squarecb.sample(out[1], draw), order(out[0], eligible)


@kernel
def active(row: Floats, arm: int, blocks: Indices, indices: Indices, values: Floats) -> int:
    """Write the weights and values of one arm to `indices` and `values`; return how many.

    `row` holds the arm's features; the buffers need room for `2 + D + len(blocks)` entries. An
    feature `f` beyond `LARGEST` gives `-1 - f`.
    """
    d = row.shape[0]
    indices[0] = 0
    values[0] = 1.0
    n = 1
    for f in range(d):
        x = row[f]
        if abs(x) > LARGEST:
            return -1 - f
        if not math.isnan(x):
            indices[n] = 1 + f
            values[n] = x
            n += 1
    indices[n] = 1 + d + arm
    values[n] = 1.0
    n += 1
    for c in range(blocks.shape[0]):
        indices[n] = blocks[c] + arm
        values[n] = 1.0
        n += 1
    return n


@kernel
def learn(
    mean: Floats,
    variance: Floats,
    prior: Floats,
    row: Floats,
    arm: int,
    blocks: Indices,
    reward: float,
    forgetting: float,
) -> int:
    """Fold the reward of one arm into the model; return -1, or an infinite feature's position."""
    size = 2 + row.shape[0] + blocks.shape[0]
    indices = np.empty(size, np.int64)
    values = np.empty(size)
    n = active(row, arm, blocks, indices, values)
    if n < 0:
        return -1 - n
    adf.update(mean, variance, prior, indices[:n], values[:n], reward, forgetting)
    return -1
