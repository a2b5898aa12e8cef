"""Serving a published model: float32, arms contiguous, one pass a decision.

A model of K arms, with the shared level folded into every arm, for E experts. A row is the K
means, then the K variances:

- `table`: float32[E, R + 1, 2 K], the category rows; the last is that of a category without a row;
- `dense`: float32[E, D (D + 1) / 2, 2 K], the lower triangle of each arm's dense block, one entry
  a row. Entry (i, j) holds a covariance (doubled off the diagonal), entry (i, 0) also the weight
  of number i, with the intercept as number 0;
- `action`: float32[E, 2, A];
- `weights`: float64[E], the experts' probabilities.

All sums run along the arms, which is what a processor adds eight or sixteen of at once, and no
array is sliced on the way. The order of additions does not depend on how many decisions are made
together: the same decision has the same bits.

Source: `squarecb`, and `adf.moderated` in single precision.
"""

import math

import numpy as np
from numpy.typing import NDArray

from . import single, squarecb
from ._jit import kernel

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]

LARGEST = 1e12
"""The largest magnitude of a number in a decision: what single precision squares and sums."""

_EIGHTH_OF_PI = np.float32(math.pi / 8.0)
_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)


@kernel
def gather(
    table: Singles,
    dense: Singles,
    action: Singles,
    e: int,
    rows: Indices,
    x: Singles,
    features: Singles,
    n: int,
    sums: Singles,
) -> None:
    """Write an expert's means, then variances, of each arm's logit to `sums`, float32[2 K].

    `e` says which expert, `n` which of `rows` int64[N, C], `x` float32[N, D] with 1 first, and
    `features` float32[N, K, A] with NaN for missing.
    """
    k = sums.shape[0] // 2
    for a in range(2 * k):
        sums[a] = dense[e, 0, a]
    for c in range(rows.shape[1]):
        r = rows[n, c]
        for a in range(2 * k):
            sums[a] += table[e, r, a]
    at = 1
    for i in range(1, x.shape[1]):
        value = x[n, i]
        for a in range(k):
            sums[a] += dense[e, at, a] * value
        for j in range(i + 1):
            both = value * x[n, j]
            for a in range(k):
                sums[k + a] += dense[e, at, k + a] * both
            at += 1
    for f in range(features.shape[2]):
        m = action[e, 0, f]
        v = action[e, 1, f]
        for a in range(k):
            value = features[n, a, f]
            if not math.isnan(value):
                sums[a] += m * value
                sums[k + a] += v * value * value


@kernel
def score(sums: Singles, weight: float, out: Floats) -> None:
    """Add `weight` times the probability of reward 1 of each arm to `out`, float64[K].

    `sums` is as of `gather`, and scratch from then on.
    """
    k = out.shape[0]
    for a in range(k):
        sums[a] = -sums[a] / math.sqrt(_ONE + _EIGHTH_OF_PI * max(sums[k + a], _ZERO))
    for a in range(k):
        out[a] += weight * (_ONE / (_ONE + single.exp(sums[a])))


@kernel
def decide_rows(
    table: Singles,
    dense: Singles,
    action: Singles,
    weights: Floats,
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
    k = table.shape[2] // 2
    sums = np.empty(2 * k, np.float32)
    for n in range(rows.shape[0]):
        for a in range(k):
            scores[a] = 0.0
        for e in range(weights.shape[0]):
            gather(table, dense, action, e, rows, x, features, n, sums)
            score(sums, weights[e], scores)
        arm = -1
        if squarecb.probabilities(scores, eligible, gammas[n], chances) >= 0:
            arm = squarecb.sample(chances, draws[n])
        arms[n] = arm
        propensities[n] = chances[arm] if arm >= 0 else math.nan


@kernel
def believe(
    table: Singles,
    dense: Singles,
    action: Singles,
    weights: Floats,
    rows: Indices,
    x: Singles,
    features: Singles,
    out: Floats,
) -> None:
    """Write mean, variance and probability of K arms to `out`, float64[3, K], for one context.

    As `bayes_belief.belief`; the probabilities are the scores of `decide_rows`, bit for bit.
    """
    experts, k = weights.shape[0], out.shape[1]
    sums = np.empty(2 * k, np.float32)
    logits = np.empty((experts, 2 * k), np.float32)
    mean, variance, probability = out
    out[:] = 0.0
    for e in range(experts):
        weight = weights[e]
        gather(table, dense, action, e, rows, x, features, 0, sums)
        for a in range(k):
            mean[a] += weight * sums[a]
        for a in range(2 * k):
            logits[e, a] = sums[a]
        score(sums, weight, probability)
    for e in range(experts):
        weight = weights[e]
        for a in range(k):
            away = logits[e, a] - mean[a]
            variance[a] += weight * (max(logits[e, k + a], _ZERO) + away * away)
    for a in range(k):
        probability[a] = min(probability[a], 1.0)


@kernel
def serve(
    table: Singles,
    dense: Singles,
    action: Singles,
    weights: Floats,
    rows: Indices,
    x: Floats,
    features: Floats,
    out: Floats,
) -> bool:
    """Do as `believe` with `x` float64[D] and `features` float64[K, A]; False if one is too large.

    Nothing is written then.
    """
    numbers = np.empty((1, x.shape[0]), np.float32)
    actions = np.empty((1, features.shape[0], features.shape[1]), np.float32)
    for i in range(x.shape[0]):
        if not abs(x[i]) <= LARGEST:
            return False
        numbers[0, i] = x[i]
    for a in range(features.shape[0]):
        for f in range(features.shape[1]):
            if abs(features[a, f]) > LARGEST:  # not NaN, which is missing
                return False
            actions[0, a, f] = features[a, f]
    believe(table, dense, action, weights, rows.reshape((1, -1)), numbers, actions, out)
    return True
