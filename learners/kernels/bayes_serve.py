"""Deciding with a published model: float32, arms contiguous, one pass a decision.

A model of K arms, with the experts and the shared level folded into every arm. A row is the K
means, then the K variances:

- `table`: float32[R + 1, 2 K], the category rows; the last is that of a category without a row;
- `dense`: float32[D (D + 1) / 2, 2 K], the lower triangle of each arm's dense block, one entry a
  row. Entry (i, j) holds a covariance (doubled off the diagonal), entry (i, 0) also the weight of
  number i, with the intercept as number 0;
- `action`: float32[2, A].

All sums run along the arms, which is what a processor adds eight or sixteen of at once, and no
array is sliced on the way. The order of additions does not depend on how many decisions are made
together: the same decision has the same bits.

Source: `squarecb`, and `adf.moderated` in single precision.
"""

import math

import numpy as np
from numpy.typing import NDArray

from . import squarecb
from ._jit import kernel

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]

_EIGHTH_OF_PI = np.float32(math.pi / 8.0)
_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)


@kernel
def score(
    table: Singles,
    dense: Singles,
    action: Singles,
    rows: Indices,
    x: Singles,
    features: Singles,
    n: int,
    sums: Singles,
    out: Floats,
) -> None:
    """Write the predictive probability of reward 1 of each arm to `out`, float64[K].

    `n` says which of `rows` int64[N, C], `x` float32[N, D] with 1 first, and `features`
    float32[N, K, A] with NaN for missing; `sums`, float32[2 K], is left as the means of the logits
    and their variances.
    """
    k = out.shape[0]
    for a in range(2 * k):
        sums[a] = dense[0, a]
    for c in range(rows.shape[1]):
        r = rows[n, c]
        for a in range(2 * k):
            sums[a] += table[r, a]
    at = 1
    for i in range(1, x.shape[1]):
        value = x[n, i]
        for a in range(k):
            sums[a] += dense[at, a] * value
        for j in range(i + 1):
            both = value * x[n, j]
            for a in range(k):
                sums[k + a] += dense[at, k + a] * both
            at += 1
    for f in range(features.shape[2]):
        m = action[0, f]
        v = action[1, f]
        for a in range(k):
            value = features[n, a, f]
            if not math.isnan(value):
                sums[a] += m * value
                sums[k + a] += v * value * value
    for a in range(k):
        sums[a] = -sums[a] / math.sqrt(_ONE + _EIGHTH_OF_PI * max(sums[k + a], _ZERO))
    for a in range(k):
        out[a] = _ONE / (_ONE + math.exp(sums[a]))


@kernel
def decide_rows(
    table: Singles,
    dense: Singles,
    action: Singles,
    rows: Indices,
    x: Singles,
    features: Singles,
    eligible: Bools,
    gammas: Floats,
    draws: Floats,
    arms: Indices,
    propensities: Floats,
    scores: Floats,
    chances: Floats,
) -> None:
    """Score all arms and choose one by SquareCB, for N decisions one after the other.

    `eligible` bool[K] is that of them all, `gammas` and `draws` are float64[N]. Writes the chosen
    arm (-1 if none is eligible) and its propensity (then NaN); `scores` and `chances`, float64[K],
    are left as those of the last decision.
    """
    k = table.shape[1] // 2
    sums = np.empty(2 * k, np.float32)
    for n in range(rows.shape[0]):
        score(table, dense, action, rows, x, features, n, sums, scores)
        arm = -1
        if squarecb.probabilities(scores, eligible, gammas[n], chances) >= 0:
            arm = squarecb.sample(chances, draws[n])
        arms[n] = arm
        propensities[n] = chances[arm] if arm >= 0 else math.nan
