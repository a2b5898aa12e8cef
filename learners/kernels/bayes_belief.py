"""What the experts believe of every arm in one context, as one Gaussian and one probability.

Arrays as in `bayes_learn`. The mixture's mean and variance are those of the mixture of the experts'
Gaussians (moment matching); its probability is the average of theirs.
"""

import math

import numpy as np
from numpy.typing import NDArray

from . import adf, bayes_learn
from ._jit import kernel

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@kernel
def around(z: Floats, s: Floats, slot: int, weights: Floats, centre: float) -> tuple[float, float]:
    """Return the variance and the probability of the mixture of a slot's beliefs `N(z, s)`."""
    spread = 0.0
    probability = 0.0
    for e in range(weights.shape[0]):
        away = z[slot, e] - centre
        spread += weights[e] * (s[slot, e] + away * away)
        probability += weights[e] * adf.moderated(z[slot, e], s[slot, e])
    return spread, min(probability, 1.0)


@kernel
def belief(
    mean: Floats,
    variance: Floats,
    centre: Floats,
    root: Floats,
    action_mean: Floats,
    action_variance: Floats,
    prior: Floats,
    weights: Floats,
    rows: Indices,
    unseen: int,
    x: Floats,
    features: Floats,
    out: Floats,
) -> None:
    """Write mean, variance and probability of K arms to `out`, float64[3, K].

    `features` is float64[K, A]; `unseen` counts the context's categories that have no row yet.
    """
    k, experts, d = out.shape[1], weights.shape[0], x.shape[0]
    z = np.empty((1 + k, experts))
    s = np.empty((1 + k, experts))
    phi = np.empty(d)
    for slot in range(1 + k):
        category = bayes_learn.ARM_CATEGORY if slot else bayes_learn.SHARED_CATEGORY
        for e in range(experts):
            part = 0.0
            for i in range(d):
                part += centre[slot, e, i] * x[i]
            z[slot, e] = part
            s[slot, e] = bayes_learn.project(root[slot, e], x, phi) + unseen * prior[category, e]
    for c in range(rows.shape[0]):
        r = rows[c]
        for slot in range(1 + k):
            for e in range(experts):
                z[slot, e] += mean[r, slot, e]
                s[slot, e] += variance[r, slot, e]
    for a in range(k):
        for f in range(features.shape[1]):
            value = features[a, f]
            if not math.isnan(value):
                for e in range(experts):
                    z[1 + a, e] += action_mean[f, e] * value
                    s[1 + a, e] += action_variance[f, e] * value * value
        centre_of_all = 0.0
        for e in range(experts):
            z[1 + a, e] += z[0, e]
            s[1 + a, e] += s[0, e]
            centre_of_all += weights[e] * z[1 + a, e]
        out[0, a] = centre_of_all
        out[1, a], out[2, a] = around(z, s, 1 + a, weights, centre_of_all)


@kernel
def belief_of(
    mean: Floats,
    variance: Floats,
    centre: Floats,
    root: Floats,
    action_mean: Floats,
    action_variance: Floats,
    prior: Floats,
    weights: Floats,
    rows: Indices,
    known: int,
    x: Floats,
    features: Floats,
    arm: int,
    out: Floats,
) -> None:
    """Write to `out`, float64[3], what `belief` says of one arm, bit for bit.

    `features` is float64[A]. Of `rows`, those from `known` on count as categories without a row.
    """
    experts, d = weights.shape[0], x.shape[0]
    unseen = 0
    for c in range(rows.shape[0]):
        if rows[c] >= known:
            unseen += 1
    z = np.empty((2, experts))
    s = np.empty((2, experts))
    phi = np.empty(d)
    middle = 0.0
    for e in range(experts):
        for i in range(2):
            slot = (1 + arm) * i
            category = bayes_learn.ARM_CATEGORY if i else bayes_learn.SHARED_CATEGORY
            part = 0.0
            for j in range(d):
                part += centre[slot, e, j] * x[j]
            spread = bayes_learn.project(root[slot, e], x, phi) + unseen * prior[category, e]
            for c in range(rows.shape[0]):
                if rows[c] < known:
                    part += mean[rows[c], slot, e]
                    spread += variance[rows[c], slot, e]
            z[i, e] = part
            s[i, e] = spread
        for f in range(features.shape[0]):
            value = features[f]
            if not math.isnan(value):
                z[1, e] += action_mean[f, e] * value
                s[1, e] += action_variance[f, e] * value * value
        z[1, e] += z[0, e]
        s[1, e] += s[0, e]
        middle += weights[e] * z[1, e]
    out[0] = middle
    out[1], out[2] = around(z, s, 1, weights, middle)


@kernel
def learn(
    mean: Floats,
    variance: Floats,
    centre: Floats,
    root: Floats,
    action_mean: Floats,
    action_variance: Floats,
    prior: Floats,
    forgetting: Floats,
    weights: Floats,
    share: float,
    rows: Indices,
    known: int,
    x: Floats,
    features: Floats,
    arm: int,
    reward: float,
    offset_mean: float,
    offset_variance: float,
    step: Floats,
    out: Floats,
) -> None:
    """Write as `belief_of`, then learn as `bayes_learn.learn`: one call for both."""
    belief_of(
        mean, variance, centre, root, action_mean, action_variance, prior, weights,
        rows, known, x, features, arm, out,
    )  # fmt: skip
    bayes_learn.learn(
        mean, variance, centre, root, action_mean, action_variance, prior, forgetting, weights,
        share, rows, x, features, arm, reward, offset_mean, offset_variance, step,
    )  # fmt: skip
