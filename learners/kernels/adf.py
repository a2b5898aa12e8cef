"""Diagonal assumed-density filtering for logistic regression, on index and value arrays.

Every weight `i` has an independent Gaussian belief `N(mean[i], variance[i])` and a prior variance
`prior[i]`. A row is sparse: distinct weight indices and their values. One observation is
folded in by a single Newton step on the log posterior along the row (a Gaussian matched to the
logistic likelihood at the predicted logit), then projected back to independent weights.

Sources: Graepel, Candela, Borchert and Herbrich (2010), "Web-scale Bayesian click-through rate
prediction for sponsored search advertising in Microsoft's Bing search engine", section 3 (the
online update and its correction towards the prior, there with a probit link); Spiegelhalter and
Lauritzen (1990), "Sequential updating of conditional probabilities on directed graphical
structures", section 5 (the logistic step); MacKay (1992), "The evidence framework applied to
classification networks", section 3 (the moderated output).
"""

import math

import numpy as np
from numpy.typing import NDArray

from ._jit import kernel

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@kernel
def sigmoid(z: float) -> float:
    """Return `1 / (1 + exp(-z))` without overflow."""
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z)
    return e / (1.0 + e)


@kernel
def moderated(z: float, s: float) -> float:
    """Return the predictive probability of a logit with mean `z` and variance `s`."""
    return sigmoid(z / math.sqrt(1.0 + math.pi * s / 8.0))


@kernel
def moments(
    mean: Floats, variance: Floats, indices: Indices, values: Floats
) -> tuple[float, float]:
    """Return the mean and the variance of a row's logit."""
    z = 0.0
    s = 0.0
    for j in range(indices.shape[0]):
        i = indices[j]
        x = values[j]
        z += mean[i] * x
        s += variance[i] * x * x
    return z, s


@kernel
def forget(variance: float, prior: float, forgetting: float) -> float:
    """Return `variance` moved towards `prior`: 0 keeps it, 1 would reset it.

    In precisions this is the mixture `(1 - f) / v + f / v0`; a weight whose prior variance is
    zero is fixed and stays so.
    """
    if prior == 0.0:
        return 0.0
    return variance / ((1.0 - forgetting) + forgetting * variance / prior)


@kernel
def update(
    mean: Floats,
    variance: Floats,
    prior: Floats,
    indices: Indices,
    values: Floats,
    y: float,
    forgetting: float,
) -> None:
    """Fold one row with target `y` in [0, 1] into the beliefs, in place.

    The row's weights first forget, then learn; no other weight is touched. The variance is
    written as a product of positive factors, so that it never reaches zero by cancellation.
    """
    n = indices.shape[0]
    if forgetting > 0.0:
        for j in range(n):
            i = indices[j]
            variance[i] = forget(variance[i], prior[i], forgetting)
    z, s = moments(mean, variance, indices, values)
    e = math.exp(-abs(z))
    h = e / ((1.0 + e) * (1.0 + e))
    shrink = 1.0 / (1.0 + h * s)
    step = (y - sigmoid(z)) * shrink
    for j in range(n):
        i = indices[j]
        x = values[j]
        v = variance[i]
        mean[i] += v * x * step
        variance[i] = v * ((1.0 + h * max(s - v * x * x, 0.0)) * shrink)


@kernel
def update_rows(
    mean: Floats,
    variance: Floats,
    prior: Floats,
    starts: Indices,
    indices: Indices,
    values: Floats,
    y: Floats,
    forgetting: float,
) -> None:
    """Fold rows in one after the other; row `r` is `indices[starts[r]:starts[r + 1]]`."""
    for r in range(y.shape[0]):
        a, b = starts[r], starts[r + 1]
        update(mean, variance, prior, indices[a:b], values[a:b], y[r], forgetting)
