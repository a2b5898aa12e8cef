"""AdPredictor: Bayesian probit regression on active features, one row after the other.

A weight is a row of `state`: `USED`, then the mean and the variance of its Gaussian belief. The
bias is `scalars[BIAS_MEAN]` and `scalars[BIAS_VARIANCE]`. A slot of `ABSENT` is no feature of the
row; another negative one is a feature without a weight yet: its belief is the prior.

Source: Graepel, Candela, Borchert and Herbrich (2010), "Web-scale Bayesian click-through rate
prediction for sponsored search advertising in Microsoft's Bing search engine", sections 3.1 to
3.3 (the model, the update, the dynamics towards the prior).
"""

import math

import numpy as np
from numpy.typing import NDArray

from ._jit import bare, inline
from .linear import usable
from .slots import ABSENT

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

USED, BELIEF_MEAN, BELIEF_VARIANCE = range(3)
"""Columns of the state."""
BETA, PRIOR, EPSILON, BIAS_MEAN, BIAS_VARIANCE = range(5)
"""Places of the scalars; `PRIOR` is the probit of the prior probability, a bias variance of 0
says that nothing was learned yet."""
MAX_SURPRISE = 5.0
UNCERTAIN = 1e-12
SMALLEST_VARIANCE = 1e-200


@inline
def normal_cdf(t: float) -> float:
    """Return the standard normal distribution function."""
    return 0.5 * (1.0 + math.erf(t / math.sqrt(2.0)))


@inline
def active(x: float) -> bool:
    """Say whether a number is present and not 0."""
    return x == x and x != 0.0


@inline
def total(
    state: Floats,
    scalars: Floats,
    numeric: Floats,
    numeric_slots: Indices,
    slots: Indices,
    r: int,
) -> tuple[float, float, float]:
    """Return the mean and the variance of row `r`, and the bias it begins with.

    Before anything was learned the bias is such that this row has the prior probability.
    """
    mean = 0.0
    spread = 0.0
    count = 0
    for j in range(numeric_slots.shape[0]):
        if active(numeric[r, j]):
            slot = numeric_slots[j]
            count += 1
            if slot >= 0:
                mean += state[slot, BELIEF_MEAN]
                spread += state[slot, BELIEF_VARIANCE]
            else:
                spread += 1.0
    for j in range(slots.shape[1]):
        slot = slots[r, j]
        if slot != ABSENT:
            count += 1
            if slot >= 0:
                mean += state[slot, BELIEF_MEAN]
                spread += state[slot, BELIEF_VARIANCE]
            else:
                spread += 1.0
    beta2 = scalars[BETA] * scalars[BETA]
    bias = scalars[BIAS_MEAN]
    variance = scalars[BIAS_VARIANCE]
    if variance == 0.0:
        bias = scalars[PRIOR] * math.sqrt(beta2 + count)
        variance = 1.0
    return mean + bias, spread + variance + beta2, bias


@inline
def probability(mean: float, variance: float) -> float:
    """Return the probability of True of a sum with that belief, off 0 and 1."""
    p = normal_cdf(mean / math.sqrt(variance))
    return min(1.0 - UNCERTAIN, max(UNCERTAIN, p))


@inline
def corrected(
    mean: float, variance: float, total_variance: float, sign: float, v: float, w: float, eps: float
) -> tuple[float, float]:
    """Return a belief after its observation, and a fraction `eps` of the way back to N(0, 1)."""
    mean = mean + sign * variance / math.sqrt(total_variance) * v
    variance = max(variance * (1.0 - variance / total_variance * w), SMALLEST_VARIANCE)
    if eps == 0.0:
        return mean, variance
    adjusted = variance / ((1.0 - eps) + eps * variance)
    return adjusted * ((1.0 - eps) * mean / variance), adjusted


@inline
def learn(
    state: Floats,
    scalars: Floats,
    numeric: Floats,
    numeric_slots: Indices,
    slots: Indices,
    r: int,
    y: float,
    now: float,
) -> float:
    """Learn row `r`, whose weights all have slots; return the probability before that."""
    mean, variance, bias = total(state, scalars, numeric, numeric_slots, slots, r)
    sign = 1.0 if y > 0.5 else -1.0
    t = max(-MAX_SURPRISE, min(MAX_SURPRISE, sign * mean / math.sqrt(variance)))
    v = math.exp(t * t / -2.0) / math.sqrt(2.0 * math.pi) / normal_cdf(t)
    w = v * (v + t)
    eps = scalars[EPSILON]
    own = scalars[BIAS_VARIANCE] if scalars[BIAS_VARIANCE] > 0.0 else 1.0
    scalars[BIAS_MEAN], scalars[BIAS_VARIANCE] = corrected(bias, own, variance, sign, v, w, eps)
    for j in range(numeric_slots.shape[0] + slots.shape[1]):
        if j < numeric_slots.shape[0]:
            slot = numeric_slots[j]
            if not active(numeric[r, j]):
                if numeric[r, j] == 0.0:
                    state[slot, USED] = now
                continue
        else:
            slot = slots[r, j - numeric_slots.shape[0]]
            if slot < 0:
                continue
        state[slot, USED] = now
        state[slot, BELIEF_MEAN], state[slot, BELIEF_VARIANCE] = corrected(
            state[slot, BELIEF_MEAN], state[slot, BELIEF_VARIANCE], variance, sign, v, w, eps
        )
    return probability(mean, variance)


@bare
def learn_rows(
    state: Floats,
    scalars: Floats,
    numeric: Floats,
    numeric_slots: Indices,
    slots: Indices,
    y: Floats,
    now: float,
    out: Floats,
) -> None:
    """Learn the n rows of `y`, the first at time `now`; write each probability before that."""
    for r in range(y.shape[0]):
        out[r] = learn(state, scalars, numeric, numeric_slots, slots, r, y[r], now + r)


@bare
def predict_rows(
    state: Floats,
    scalars: Floats,
    numeric: Floats,
    numeric_slots: Indices,
    slots: Indices,
    out: Floats,
) -> None:
    """Write the probability of each row."""
    for r in range(out.shape[0]):
        mean, variance, _ = total(state, scalars, numeric, numeric_slots, slots, r)
        out[r] = probability(mean, variance)


@bare
def learn_one(
    state: Floats, scalars: Floats, values: Floats, slots: Indices, y: float, now: float
) -> float:
    """Learn one row: slots of its d values, then those of its categories.

    Returns the probability before, or NaN if a value cannot be used; nothing is learned then.
    """
    if not usable(values):
        return math.nan
    d = values.shape[0]
    numeric = values.reshape(1, d)
    coded = slots[d:].reshape(1, slots.shape[0] - d)
    return learn(state, scalars, numeric, slots[:d], coded, 0, y, now)


@bare
def predict_one(state: Floats, scalars: Floats, values: Floats, slots: Indices) -> float:
    """Return the probability of one row as `learn_one` takes it, or NaN."""
    if not usable(values):
        return math.nan
    d = values.shape[0]
    coded = slots[d:].reshape(1, slots.shape[0] - d)
    mean, variance, _ = total(state, scalars, values.reshape(1, d), slots[:d], coded, 0)
    return probability(mean, variance)
