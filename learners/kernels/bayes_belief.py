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
        spread = 0.0
        probability = 0.0
        for e in range(experts):
            away = z[1 + a, e] - centre_of_all
            spread += weights[e] * (s[1 + a, e] + away * away)
            probability += weights[e] * adf.moderated(z[1 + a, e], s[1 + a, e])
        out[0, a] = centre_of_all
        out[1, a] = spread
        out[2, a] = min(probability, 1.0)
