"""Bootstrap intervals of an estimate from a log of fixed length."""

import math
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np

from ..errors import LearnerError
from .estimators import Estimate
from .sample import Floats

MAX_REPLICATES = 100_000
_CELLS = 1 << 22  # rows drawn at a time, which bounds the memory
_NORMAL = NormalDist()


class Interval(NamedTuple):
    """Where a value lies, with probability at least 1 - alpha."""

    lower: float
    upper: float


def bootstrap(
    estimate: Estimate,
    *,
    alpha: float = 0.05,
    replicates: int = 2000,
    seed: int = 0,
    method: Literal["percentile", "bca"] = "percentile",
) -> Interval:
    """Return a bootstrap interval: rows are drawn with replacement, the estimate made again.

    It holds for a log whose length was fixed beforehand; looked at again and again while the log
    grows, it will leave out the truth sooner or later: use a confidence sequence there.

    Parameters
    ----------
    estimate
        Of any estimator; a self-normalised one is normalised anew in every replicate.
    alpha
        1 minus the coverage, in (0, 1).
    replicates
        How many, in [100, 100_000].
    seed
        Of the draws; equal seeds give equal intervals.
    method
        ``percentile``, or ``bca``: corrected for bias and skewness.

    Raises
    ------
    LearnerError
        If a setting is out of range, or a replicate has no row with a weight.

    References
    ----------
    Efron (1987), "Better bootstrap confidence intervals". Efron and Tibshirani (1993), "An
    introduction to the bootstrap", chapters 13 and 14.

    Examples
    --------
    >>> from nextbest.learners.off_policy import Sample, ips
    >>> sample = Sample([0, 1, 1, 0] * 50, [0.5] * 200, [0.4, 0.6, 0.6, 0.4] * 50)
    >>> [round(end, 3) for end in bootstrap(ips(sample), seed=1)]
    [0.516, 0.684]
    """
    if not 0.0 < alpha < 1.0:
        raise LearnerError(f"alpha must be in (0, 1), got {alpha}")
    if not 100 <= replicates <= MAX_REPLICATES:
        raise LearnerError(f"replicates must be in [100, {MAX_REPLICATES}], got {replicates}")
    if method not in ("percentile", "bca"):
        raise LearnerError(f"method must be 'percentile' or 'bca', got {method!r}")
    values = _replicate(estimate, replicates, seed)
    ends = (alpha / 2.0, 1.0 - alpha / 2.0)
    if method == "bca":
        ends = _corrected(estimate, values, ends)
    lower, upper = np.quantile(values, ends)
    return Interval(float(lower), float(upper))


def _replicate(estimate: Estimate, replicates: int, seed: int) -> Floats:
    n = len(estimate.base)
    try:
        generator = np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise LearnerError(f"seed {seed!r}: {error}") from None
    linear = estimate.base if estimate.norm is not None else estimate.base + estimate.correction
    values = np.empty(replicates)
    step = max(1, _CELLS // n)
    for first in range(0, replicates, step):
        last = min(first + step, replicates)
        rows = generator.integers(n, size=(last - first, n))
        values[first:last] = linear[rows].mean(axis=1)
        if estimate.norm is not None:
            norms = estimate.norm[rows].sum(axis=1)
            if not norms.all():
                raise LearnerError("too few rows have a weight for a bootstrap")
            values[first:last] += estimate.correction[rows].sum(axis=1) / norms
    return values


def _corrected(
    estimate: Estimate, values: Floats, ends: tuple[float, float]
) -> tuple[float, float]:
    """Return the quantiles to take instead, for the bias and the acceleration found."""
    whole = estimate.value
    # The half of the ties keeps the bias of a symmetric discrete estimate at 0.
    below = (np.sum(values < whole) + 0.5 * np.sum(values == whole)) / len(values)
    if not 0.0 < below < 1.0:
        return ends
    bias = _NORMAL.inv_cdf(float(below))
    left = _leave_one_out(estimate)
    spread = left.mean() - left
    acceleration = 0.0
    if spread.any():
        spread /= np.abs(spread).max()  # the cubes of large ones would overflow
        acceleration = float(np.sum(spread**3) / (6.0 * np.sum(spread**2) ** 1.5))
    moved = []
    for end in ends:
        z = bias + _NORMAL.inv_cdf(end)
        moved.append(_NORMAL.cdf(bias + z / max(1.0 - acceleration * z, 1e-9)))
    return moved[0], moved[1]


def _leave_one_out(estimate: Estimate) -> Floats:
    n = len(estimate.base)
    if n < 2:
        raise LearnerError("a bootstrap with bias correction needs at least two rows")
    base = (math.fsum(estimate.base) - estimate.base) / (n - 1)
    if estimate.norm is None:
        norms = np.full(n, n - 1.0)
    else:
        norms = estimate.norm.sum() - estimate.norm
        if not (norms > 0.0).all():
            raise LearnerError("too few rows have a weight for a bootstrap")
    left: Floats = base + (estimate.correction.sum() - estimate.correction) / norms
    return left
