"""Logistic regression by stochastic gradients: one row after the other, in River's arithmetic.

A weight is a row of `state`: `USED`, then `WEIGHT` and two accumulators of its optimizer; where
numbers are scaled, then `COUNT`, `MEAN`, `VARIANCE` and `SCALE` of the feature. A
negative slot has no weight, a value of NaN is missing. The model's own numbers are `scalars`.

Sources: Duchi, Hazan and Singer (2011), "Adaptive subgradient methods for online learning and
stochastic optimization", section 1.1 (AdaGrad, diagonal); McMahan et al. (2013), "Ad click
prediction: a view from the trenches", Algorithm 1 (FTRL-Proximal); Welford (1962), "Note on a
method for calculating corrected sums of squares and products" (the running variance).
"""

import math

import numpy as np
from numpy.typing import NDArray

from ._jit import bare, inline
from .limits import LARGEST

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

USED, WEIGHT, FIRST, SECOND, COUNT, MEAN, VARIANCE, SCALE = range(8)
"""Columns of the state; `FIRST` is AdaGrad's sum of g², or with `SECOND` the z and n of FTRL."""
INTERCEPT, RATE, INTERCEPT_RATE, CLIP, L1, L2, EPS, BETA = range(8)
"""Places of the scalars; `RATE` is lr or alpha."""
SGD, ADAGRAD, FTRL, FTRL_PROXIMAL = range(4)


@inline
def sigmoid(z: float) -> float:
    """Return `1 / (1 + exp(-z))`, as River does: 0 and 1 beyond 30."""
    if z < -30.0:
        return 0.0
    if z > 30.0:
        return 1.0
    return 1.0 / (1.0 + math.exp(-z))


@inline
def gradient(z: float, y: float) -> float:
    """Return the derivative of the log loss by the logit, as River does, for a label 0 or 1."""
    sign = 1.0 if y > 0.5 else -1.0
    margin = z * sign
    if margin > 18.0:
        return -sign * math.exp(-margin)
    if margin < -18.0:
        return -sign
    return -sign / (math.exp(margin) + 1.0)


@inline
def ftrl_weight(z: float, n: float, scalars: Floats) -> float:
    """Return the weight that minimises the FTRL objective for one coordinate."""
    if abs(z) <= scalars[L1]:
        return 0.0
    curvature = (scalars[BETA] + math.sqrt(n)) / scalars[RATE] + scalars[L2]
    if curvature == 0.0:
        return 0.0
    return float(-(z - math.copysign(scalars[L1], z)) / curvature)


@inline
def descend(state: Floats, slot: int, g: float, optimizer: int, scalars: Floats) -> None:
    """Give one weight the gradient `g` of its row."""
    w = state[slot, WEIGHT]
    if optimizer == SGD:
        state[slot, WEIGHT] = w - scalars[RATE] * (g + scalars[L2] * w)
    elif optimizer == ADAGRAD:
        g += scalars[L2] * w
        g2 = state[slot, FIRST] + g * g
        state[slot, FIRST] = g2
        state[slot, WEIGHT] = w - scalars[RATE] / math.sqrt(g2 + scalars[EPS]) * g
    else:
        z = state[slot, FIRST]
        n = state[slot, SECOND]
        # River's variant renews the weight before the accumulators, so that predictions use one
        # step less than was learned; and it keeps the old weight where the new one would be 0.
        if optimizer == FTRL and abs(z) > scalars[L1]:
            w = ftrl_weight(z, n, scalars)
            state[slot, WEIGHT] = w
        more = n + g * g
        z += g - (math.sqrt(more) - math.sqrt(n)) / scalars[RATE] * w
        state[slot, FIRST] = z
        state[slot, SECOND] = more
        if optimizer == FTRL_PROXIMAL:
            state[slot, WEIGHT] = ftrl_weight(z, more, scalars)


@inline
def observe(state: Floats, slot: int, x: float) -> None:
    """Take a number into the running mean and variance of its feature."""
    count = state[slot, COUNT] + 1.0
    before = state[slot, MEAN]
    mean = before + (x - before) / count
    variance = state[slot, VARIANCE]
    variance += ((x - before) * (x - mean) - variance) / count
    state[slot, COUNT] = count
    state[slot, MEAN] = mean
    state[slot, VARIANCE] = variance
    state[slot, SCALE] = 1.0 / math.sqrt(variance) if variance > 0.0 else 0.0


@inline
def logit(
    state: Floats,
    scalars: Floats,
    scaled: bool,
    numeric: Floats,
    numeric_slots: Indices,
    slots: Indices,
    r: int,
) -> float:
    """Return the logit of row `r` of numeric float64[n, d] and slots int64[n, c]."""
    z = 0.0
    for j in range(numeric_slots.shape[0]):
        x = numeric[r, j]
        slot = numeric_slots[j]
        if x == x and slot >= 0:
            if scaled:
                x = (x - state[slot, MEAN]) * state[slot, SCALE]
            z += state[slot, WEIGHT] * x
    for j in range(slots.shape[1]):
        slot = slots[r, j]
        if slot >= 0:
            z += state[slot, WEIGHT]
    return float(z + scalars[INTERCEPT])


@inline
def learn(
    state: Floats,
    scalars: Floats,
    optimizer: int,
    scaled: bool,
    numeric: Floats,
    numeric_slots: Indices,
    slots: Indices,
    r: int,
    y: float,
    w: float,
    now: float,
    scratch: Floats,
) -> float:
    """Learn row `r`; return the logit before that. `scratch` is float64[d]."""
    before = 0.0
    z = 0.0
    for j in range(numeric_slots.shape[0]):
        x = numeric[r, j]
        if x == x:
            slot = numeric_slots[j]
            weight = state[slot, WEIGHT]
            if scaled:
                before += weight * ((x - state[slot, MEAN]) * state[slot, SCALE])
                observe(state, slot, x)
                x = (x - state[slot, MEAN]) * state[slot, SCALE]
            z += weight * x
        scratch[j] = x
    if not scaled:
        before = z
    for j in range(slots.shape[1]):
        slot = slots[r, j]
        if slot >= 0:
            weight = state[slot, WEIGHT]
            before += weight
            z += weight
    before += scalars[INTERCEPT]
    z += scalars[INTERCEPT]
    slope = min(max(gradient(z, y) * w, -scalars[CLIP]), scalars[CLIP])
    scalars[INTERCEPT] -= scalars[INTERCEPT_RATE] * slope
    for j in range(numeric_slots.shape[0]):
        x = scratch[j]
        if x == x:
            slot = numeric_slots[j]
            state[slot, USED] = now
            descend(state, slot, x * slope, optimizer, scalars)
    for j in range(slots.shape[1]):
        slot = slots[r, j]
        if slot >= 0:
            state[slot, USED] = now
            descend(state, slot, slope, optimizer, scalars)
    return float(before)


@inline
def usable(values: Floats) -> bool:
    """Say whether all values float64[k] are missing or at most `LARGEST` in magnitude."""
    good = True
    for x in values:
        good = good and not abs(x) > LARGEST
    return good


@bare
def learn_rows(
    state: Floats,
    scalars: Floats,
    optimizer: int,
    scaled: bool,
    numeric: Floats,
    numeric_slots: Indices,
    slots: Indices,
    y: Floats,
    w: Floats,
    now: float,
    scratch: Floats,
    out: Floats,
) -> None:
    """Learn the n rows of `y`, the first at time `now`; write each probability before that.

    `scratch` is float64[d].
    """
    for r in range(y.shape[0]):
        z = learn(
            state,
            scalars,
            optimizer,
            scaled,
            numeric,
            numeric_slots,
            slots,
            r,
            y[r],
            w[r],
            now + r,
            scratch,
        )
        out[r] = sigmoid(z)


@bare
def predict_rows(
    state: Floats,
    scalars: Floats,
    scaled: bool,
    numeric: Floats,
    numeric_slots: Indices,
    slots: Indices,
    out: Floats,
) -> None:
    """Write the probability of each row."""
    for r in range(out.shape[0]):
        out[r] = sigmoid(logit(state, scalars, scaled, numeric, numeric_slots, slots, r))


@bare
def learn_one(
    state: Floats,
    scalars: Floats,
    optimizer: int,
    scaled: bool,
    values: Floats,
    slots: Indices,
    y: float,
    w: float,
    now: float,
) -> float:
    """Learn one row: slots of its d values, then those of its categories; overwrite the values.

    Returns the probability before, or NaN if a value cannot be used; nothing is learned then.
    """
    if not usable(values):
        return math.nan
    d = values.shape[0]
    numeric = values.reshape(1, d)
    coded = slots[d:].reshape(1, slots.shape[0] - d)
    return sigmoid(
        learn(state, scalars, optimizer, scaled, numeric, slots[:d], coded, 0, y, w, now, values)
    )


@bare
def predict_one(
    state: Floats, scalars: Floats, scaled: bool, values: Floats, slots: Indices
) -> float:
    """Return the probability of one row as `learn_one` takes it, or NaN."""
    if not usable(values):
        return math.nan
    d = values.shape[0]
    numeric = values.reshape(1, d)
    coded = slots[d:].reshape(1, slots.shape[0] - d)
    return sigmoid(logit(state, scalars, scaled, numeric, slots[:d], coded, 0))
