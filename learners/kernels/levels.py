"""Residuals on the level above: Gaussian weights whose prior variance is itself learned.

A weight is kept as what its observations said of it, without the prior: the precision `l` that
they add and the information `r` (precision times mean). Under a prior variance `t` its belief is
`N(r v, v)` with `v = t / (1 + t l)`; so all candidates for `t` share two numbers, and one that is
zero means that there is no such weight. The candidates are weighted by how well they foretold
(fixed share), and the belief is that of the mixture with the same mean and variance.

Sources: Minka (2001), "Expectation propagation for approximate Bayesian inference", section 3 (an
observation as a Gaussian factor of its own); Herbster and Warmuth (1998), "Tracking the best
expert", section 5 (fixed share).
"""

import numpy as np
from numpy.typing import NDArray

from . import adf
from ._jit import kernel

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Indices = NDArray[np.int64]
Keys = NDArray[np.uint64]

LEAST = 1e-12
"""The least that a curvature leaves of a variance."""


@kernel
def mixture(
    information: float, precision: float, variances: Floats, weights: Floats
) -> tuple[float, float]:
    """Return the mean and the variance of a weight under weighted prior variances."""
    mean = 0.0
    for c in range(variances.shape[0]):
        mean += weights[c] * (variances[c] / (1.0 + variances[c] * precision) * information)
    spread = 0.0
    for c in range(variances.shape[0]):
        v = variances[c] / (1.0 + variances[c] * precision)
        distance = v * information - mean
        spread += weights[c] * (v + distance * distance)
    return mean, spread


@kernel
def add(
    information: Floats,
    precision: Floats,
    variances: Floats,
    weights: Floats,
    mean: Floats,
    variance: Floats,
) -> None:
    """Add one level's weights, one an arm, to the logits `mean` and `variance`, in place."""
    for a in range(mean.shape[0]):
        m, v = mixture(information[a], precision[a], variances, weights)
        mean[a] += m
        variance[a] += v


@kernel
def scatter(keys: Keys, evidence: Floats, arms: Keys, out: Floats) -> None:
    """Write a person's entries, information and precision, to `out[0]` and `out[1]` by arm.

    `arms` holds the key of the arm at each place, 0 where there is none.
    """
    for i in range(keys.shape[0]):
        for a in range(arms.shape[0]):
            if arms[a] == keys[i]:
                out[0, a] = evidence[0, i]
                out[1, a] = evidence[1, i]


@kernel
def moved(mean: float, variance: float, p: float, shift: float, more: float) -> float:
    """Return the predictive probability of a logit that weights outside of a model move.

    `p` is what the model says with belief `N(mean, variance)`; it may know better than that
    Gaussian, so what is moved is its own logit. Where `shift` and `more` are zero, it stays.
    """
    if shift == 0.0 and more == 0.0:
        return p
    if 0.0 < p < 1.0:
        scale = np.sqrt(1.0 + np.pi * variance / 8.0)
        z = np.log(p / (1.0 - p)) * scale
        return adf.moderated(z + shift, variance + more)
    return adf.moderated(mean + shift, variance + more)


@kernel
def moderate(
    mean: Floats, variance: Floats, probability: Floats, shift: Floats, more: Floats, out: Floats
) -> None:
    """Write what `moved` returns for each arm."""
    for a in range(mean.shape[0]):
        out[a] = moved(mean[a], variance[a], probability[a], shift[a], more[a])


@kernel
def move(
    moments: Singles,
    rows: Indices,
    unseen: Floats,
    arms: Keys,
    known: bool,
    information: float,
    precision: float,
    keys: Keys,
    arm_information: Singles,
    arm_precision: Singles,
    variances: Floats,
    weights: Floats,
    out: Floats,
) -> bool:
    """Move the belief in K arms, `out` float64[3, K], by weights of segments and of a person.

    `moments`, float32[2, R, K], holds mean and variance of every segment's weights. Of each
    context's row in `rows` a negative one was not seen yet: `unseen` says its variance. If a person
    is `known`: information and precision of the intercept, those of the arms with `keys`, and the
    candidates of both levels, `variances`, `weights` float64[2, C]. Return False, and move nothing,
    if the person's numbers are not finite or a precision is negative.
    """
    k = out.shape[1]
    shift, more = np.zeros(k), np.zeros(k)
    for i in range(rows.shape[0]):
        r = rows[i]
        for a in range(k):
            if r >= 0:
                shift[a] += moments[0, r, a]
                more[a] += moments[1, r, a]
            else:
                more[a] += unseen[i]
    if known:
        if not (np.isfinite(information) and 0.0 <= precision < np.inf):
            return False
        evidence = np.empty((2, keys.shape[0]))
        for i in range(keys.shape[0]):
            evidence[0, i] = arm_information[i]
            evidence[1, i] = arm_precision[i]
            if not (np.isfinite(evidence[0, i]) and 0.0 <= evidence[1, i] < np.inf):
                return False
        at = np.zeros((2, k))
        scatter(keys, evidence, arms, at)
        m, v = mixture(information, precision, variances[0], weights[0])
        _, nothing = mixture(0.0, 0.0, variances[1], weights[1])
        for a in range(k):
            own_m, own_v = 0.0, nothing
            if at[1, a] != 0.0 or at[0, a] != 0.0:
                own_m, own_v = mixture(at[0, a], at[1, a], variances[1], weights[1])
            shift[a] += m
            shift[a] += own_m
            more[a] += v
            more[a] += own_v
    moderate(out[0], out[1], out[2], shift, more, out[2])
    for a in range(k):
        out[0, a] += shift[a]
        out[1, a] += more[a]
    return True


@kernel
def reweigh(
    information: float,
    precision: float,
    variances: Floats,
    weights: Floats,
    rest: float,
    rest_variance: float,
    reward: float,
    first: Floats,
    share: float,
) -> None:
    """Weigh the prior variances of a level by how well they foretold a reward, in place.

    `rest` and `rest_variance` are the mean and the variance of the logit without this level. Each
    candidate foretells with all of its belief, as the step that taught the weight did.
    """
    n = variances.shape[0]
    total = 0.0
    for c in range(n):
        v = variances[c] / (1.0 + variances[c] * precision)
        p = adf.moderated(rest + v * information, rest_variance + v)
        likelihood = reward * p + (1.0 - reward) * (1.0 - p)
        weights[c] *= max(likelihood, 1e-300)
        total += weights[c]
    for c in range(n):
        weights[c] = (1.0 - share) * (weights[c] / total) + share * first[c]


@kernel
def observe(
    information: float,
    precision: float,
    mean: float,
    variance: float,
    slope: float,
    curvature: float,
) -> tuple[float, float]:
    """Return a weight's information and precision after a step made with the belief `N(m, v)`.

    The new belief is `N(m + v slope, v - v² curvature)`; as a factor that is independent of the
    prior, it is what any candidate for the prior can be multiplied with.
    """
    left = max(1.0 - variance * curvature, LEAST)
    gain = curvature / left
    return information + slope / left + gain * mean, precision + gain
