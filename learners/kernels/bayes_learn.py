"""Learning a reward: every weight of the arm's logit in one joint step, for every expert.

The logit of arm `a` is a sum of independent Gaussian parts: the shared level's and the arm's dense
block (intercept and numbers), the shared level's and the arm's weight of every active category,
and the action features' weights. Slot 0 is the shared level, slot `1 + a` the arm at place `a`.
E experts learn side by side, and lie next to one another:

- `mean`, `variance`: float64[R, S, E], category row by slot;
- `centre`: float64[S, E, D] and `root`: float64[S, E, D, D], a dense block's mean, and a square
  root G of its covariance `P = G Gᵀ`;
- `action_mean`, `action_variance`: float64[A, E];
- `prior`: float64[7, E], prior variances, see the constants; `forgetting`: float64[E].

The step matches moments. Before a reward `y` the logit is believed to be `N(z, S)`, and a reward
of 1 is foretold with about `p = sigmoid(κ z)`, `κ = 1/√(1 + π S / 8)`. Assumed-density filtering
moves a weight with value `x` and belief `N(m, v)` to `N(m + v x g, v - v² x² e)`, where `g` and
`-e` are the first and the second derivative by `z` of the logarithm of what was foretold of `y`.
With `p` as the model foretells it these are exact, also of `y log p + (1 - y) log(1 - p)` for a
reward between: from `dp/dz = κ p (1 - p)` follow

    g = κ (y - p),    e = κ² p (1 - p).

A Newton step at the mean takes the likelihood of the whole belief for that of its middle. Where
`S` is large it goes too short a way from the middle of the logistic curve, which bends less for
the rest of the belief, and too far from its flat end.

No variance comes near zero in a step, wherever the logit is: `κ² S < 8/π` and `p (1 - p) ≤ 1/4`,
hence `e S < 2/π`, and of any direction's variance more than `1 - 2/π > 0.36` stays. So what a
diagonal variance is multiplied by is a positive factor without cancellation. Nor does a step need
a limit: the logit moves by `|g| S < √(8 S / π)`, less than 1.6 of its standard deviations. A
square root cannot make a covariance that is not symmetric or not positive: Potter's form of the
rank-one update multiplies it from the right, `G ← G (I + c φ φᵀ)` with `φ = Gᵀx`.

Forgetting takes a belief towards its prior before it learns. A diagonal variance `v` becomes
`v / ((1 - f) + f v / v₀)`, which mixes precisions. A dense block forgets along the observation
only: the variance `s = xᵀPx` of its part of the logit becomes what that formula says, with
`s₀ = xᵀP₀x`, by taking away the information of one pseudo-observation of `x`. Directions that are
not observed keep theirs, and on average over a block's weights variance stays below the prior, so
that nothing winds up. With one weight both are the same.

Sources: as in `adf`, MacKay (1992) also for `κ`; Opper (1998), "A Bayesian approach to on-line
learning" (the step by the two derivatives); Kaminski, Bryson and Schmidt (1971), "Discrete square
root filtering: a survey of current techniques", section III (Potter's update); Kulhavý (1987),
"Restricted exponential forgetting in real-time identification"; Herbster and Warmuth (1998),
"Tracking the best expert", section 4 (fixed share, here with the logarithmic loss).
"""

import math

import numpy as np
from numpy.typing import NDArray

from . import adf
from ._jit import kernel

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

SHARED_BIAS, SHARED_NUMBER, SHARED_CATEGORY = 0, 1, 2
ARM_BIAS, ARM_NUMBER, ARM_CATEGORY = 3, 4, 5
ACTION_FEATURE = 6
PARTS = 7

_TINY = 1e-250  # a variance does not underflow


@kernel
def project(root: Floats, x: Floats, phi: Floats) -> float:
    """Write `φ = Gᵀx` to `phi` and return the variance `xᵀPx`."""
    d = x.shape[0]
    for j in range(d):
        phi[j] = 0.0
    for i in range(d):
        value = x[i]
        if value != 0.0:
            for j in range(d):
                phi[j] += root[i, j] * value
    s = 0.0
    for j in range(d):
        s += phi[j] * phi[j]
    return s


@kernel
def prior_logit(x: Floats, bias: float, number: float) -> float:
    """Return the prior variance of a dense block's part of the logit."""
    s = 0.0
    for j in range(x.shape[0]):
        s += (number if j > 0 else bias) * x[j] * x[j]
    return s


@kernel
def inflation(
    root: Floats, x: Floats, phi: Floats, s: float, bias: float, number: float, forgetting: float
) -> float:
    """Return the `β` of `P ← P + β u uᵀ`, `u = Px`, by which a dense block forgets."""
    if forgetting == 0.0 or s <= 0.0:
        return 0.0
    after = adf.forget(s, prior_logit(x, bias, number), forgetting)
    room = float(x.shape[0])
    taken = 0.0
    for i in range(x.shape[0]):
        u = 0.0
        v = 0.0
        for j in range(x.shape[0]):
            u += root[i, j] * phi[j]
            v += root[i, j] * root[i, j]
        prior = number if i > 0 else bias
        room -= v / prior
        taken += u * (u / prior)
    return min(max(after - s, 0.0) / (s * s), max(room, 0.0) / taken)


@kernel
def update_dense(
    centre: Floats,
    root: Floats,
    phi: Floats,
    s: float,
    beta: float,
    slope: float,
    curvature: float,
) -> None:
    """Let a dense block forget and learn, as one rank-one factor of its square root.

    `s` is the block's part of the logit's variance before it forgets.
    """
    d = phi.shape[0]
    if s <= 0.0:
        return
    grown = 1.0 + beta * s
    scale = math.sqrt(grown * (1.0 - curvature * s * grown))
    factor = (scale - 1.0) / s
    for i in range(d):
        u = 0.0
        for j in range(d):
            u += root[i, j] * phi[j]
        centre[i] += u * grown * slope
        step = u * factor
        for j in range(d):
            root[i, j] += step * phi[j]


@kernel
def update_weight(v: float, x: float, curvature: float) -> float:
    """Return the variance of a weight that has learned."""
    return max(v * (1.0 - curvature * (v * x * x)), min(v, _TINY))


@kernel
def match(z: float, s: float, y: float) -> tuple[float, float]:
    """Return the slope and the curvature that a reward in [0, 1] gives to a logit `N(z, s)`."""
    kappa = 1.0 / math.sqrt(1.0 + math.pi * s / 8.0)
    g = math.exp(-abs(kappa * z))
    spread = g / ((1.0 + g) * (1.0 + g))
    return kappa * (y - adf.sigmoid(kappa * z)), kappa * kappa * spread


@kernel
def log_likelihood(z: float, s: float, y: float) -> float:
    """Return the logarithm of the predictive likelihood of a reward in [0, 1]."""
    t = z / math.sqrt(1.0 + math.pi * s / 8.0)
    # log p = min(t, 0) - log(1 + exp(-|t|)), and log(1 - p) the same of -t.
    return y * min(t, 0.0) + (1.0 - y) * min(-t, 0.0) - math.log1p(math.exp(-abs(t)))


@kernel
def reweigh(weights: Floats, logs: Floats, share: float) -> None:
    """Multiply the experts' weights by their likelihoods, normalise, and mix by a fixed share.

    Without a share a weight can have come down to 0: such an expert has no say in the scale, by
    which else all others would come to 0 as well.
    """
    n = weights.shape[0]
    top = -math.inf
    for e in range(n):
        if weights[e] > 0.0:
            top = max(top, logs[e])
    total = 0.0
    for e in range(n):
        if weights[e] > 0.0:
            weights[e] *= math.exp(logs[e] - top)
        total += weights[e]
    for e in range(n):
        weights[e] = (1.0 - share) * (weights[e] / total) + share / n


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
    x: Floats,
    features: Floats,
    arm: int,
    reward: float,
    offset_mean: float,
    offset_variance: float,
    step: Floats,
) -> None:
    """Fold one reward in; write the step's slope and curvature, averaged over the experts.

    `rows` are the active category rows (distinct), `x` the intercept's 1 and the numbers,
    `features` the arm's action features (NaN is missing).
    """
    experts, d = weights.shape[0], x.shape[0]
    phi = np.empty((2, d))
    logs = np.empty(experts)
    step[0] = 0.0
    step[1] = 0.0
    own = 1 + arm
    for e in range(experts):
        f = forgetting[e]
        z = offset_mean
        total = offset_variance
        for i in range(d):
            z += centre[0, e, i] * x[i] + centre[own, e, i] * x[i]
        s0 = project(root[0, e], x, phi[0])
        s1 = project(root[own, e], x, phi[1])
        b0 = inflation(root[0, e], x, phi[0], s0, prior[SHARED_BIAS, e], prior[SHARED_NUMBER, e], f)
        b1 = inflation(root[own, e], x, phi[1], s1, prior[ARM_BIAS, e], prior[ARM_NUMBER, e], f)
        total += s0 * (1.0 + b0 * s0) + s1 * (1.0 + b1 * s1)
        for c in range(rows.shape[0]):
            r = rows[c]
            if f > 0.0:
                variance[r, 0, e] = adf.forget(variance[r, 0, e], prior[SHARED_CATEGORY, e], f)
                variance[r, own, e] = adf.forget(variance[r, own, e], prior[ARM_CATEGORY, e], f)
            z += mean[r, 0, e] + mean[r, own, e]
            total += variance[r, 0, e] + variance[r, own, e]
        for a in range(features.shape[0]):
            value = features[a]
            if not math.isnan(value):
                if f > 0.0:
                    action_variance[a, e] = adf.forget(
                        action_variance[a, e], prior[ACTION_FEATURE, e], f
                    )
                z += action_mean[a, e] * value
                total += action_variance[a, e] * value * value

        logs[e] = log_likelihood(z, total, reward)
        slope, curvature = match(z, total, reward)
        step[0] += weights[e] * slope
        step[1] += weights[e] * curvature

        update_dense(centre[0, e], root[0, e], phi[0], s0, b0, slope, curvature)
        update_dense(centre[own, e], root[own, e], phi[1], s1, b1, slope, curvature)
        for c in range(rows.shape[0]):
            r = rows[c]
            for slot in (0, own):
                v = variance[r, slot, e]
                mean[r, slot, e] += v * slope
                variance[r, slot, e] = update_weight(v, 1.0, curvature)
        for a in range(features.shape[0]):
            value = features[a]
            if not math.isnan(value):
                v = action_variance[a, e]
                action_mean[a, e] += v * value * slope
                action_variance[a, e] = update_weight(v, value, curvature)
    if experts > 1:
        reweigh(weights, logs, share)


@kernel
def learn_rows(
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
    x: Floats,
    features: Floats,
    arms: Indices,
    rewards: Floats,
    offsets: Floats,
    steps: Floats,
) -> None:
    """Fold N rewards in, one after the other; all but the beliefs have N as first axis.

    `offsets` is float64[N, 2], means and variances; `steps` likewise, slopes and curvatures.
    """
    for n in range(arms.shape[0]):
        learn(
            mean,
            variance,
            centre,
            root,
            action_mean,
            action_variance,
            prior,
            forgetting,
            weights,
            share,
            rows[n],
            x[n],
            features[n],
            arms[n],
            rewards[n],
            offsets[n, 0],
            offsets[n, 1],
            steps[n],
        )
