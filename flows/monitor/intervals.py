"""Means and shares with how sure they are."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
LEAST_GROUPS = 2
"""Customers that an interval of a mean needs."""
LEAST_COMPARED = 5
"""Customers that each of two means needs before one is said to be above the other."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)
_STEPS = 60


class Mean(NamedTuple):
    """A mean, an interval that holds the truth with probability 1 - alpha, and its standard error.

    The ends are NaN where there is too little to say. ``freedom`` is how many degrees of freedom
    the error has: one less than there are customers.
    """

    value: float
    low: float
    high: float
    error: float
    freedom: float


def clustered_mean(values: npt.ArrayLike, groups: npt.ArrayLike, *, alpha: float = 0.05) -> Mean:
    """Return a mean whose interval allows for rows of one customer being alike.

    Parameters
    ----------
    values
        float[n], none of them NaN.
    groups
        int[n], whose each is: small numbers from 0.
    alpha
        The chance that the truth lies outside.

    References
    ----------
    Cochran (1977), "Sampling techniques", section 9A (the ratio of two cluster totals).

    Examples
    --------
    >>> found = clustered_mean([1.0, 0.0, 1.0, 1.0], [0, 0, 1, 2])
    >>> round(found.value, 3), found.low < 0.75 < found.high
    (0.75, True)
    >>> clustered_mean([1.0, 0.0], [0, 0]).low
    nan
    """
    y, places = np.asarray(values, np.float64), np.asarray(groups, np.int64)
    n = len(y)
    if not n:
        return Mean(math.nan, math.nan, math.nan, math.nan, 0.0)
    sums = np.bincount(places, y).astype(np.float64)
    counts = np.bincount(places).astype(np.float64)
    return mean_of_groups(sums, counts, alpha=alpha)


def mean_of_groups(sums: F64, counts: F64, *, alpha: float = 0.05) -> Mean:
    """Return the mean of `clustered_mean` from each customer's sum and number of rows, float64[g].

    Customers without rows do not count.

    Examples
    --------
    >>> mean_of_groups(np.array([1.0, 1.0, 0.0]), np.array([2.0, 1.0, 0.0])).value
    0.6666666666666666
    """
    n = float(counts.sum())
    if not n:
        return Mean(math.nan, math.nan, math.nan, math.nan, 0.0)
    value, g = float(sums.sum()) / n, int((counts > 0).sum())
    if g < LEAST_GROUPS:
        return Mean(value, math.nan, math.nan, math.nan, 0.0)
    rest = sums - value * counts
    error = math.sqrt(g / (g - 1) * float(rest @ rest)) / n
    half = _student(1.0 - alpha / 2, g - 1.0) * error
    return Mean(value, value - half, value + half, error, g - 1.0)


def difference(one: Mean, other: Mean, *, alpha: float = 0.05) -> Mean:
    """Return how much one mean is above another, of other customers.

    With fewer than `LEAST_COMPARED` customers on a side the ends are NaN: a spread is not known by
    so few.

    References
    ----------
    Welch (1947), "The generalization of 'Student's' problem when several different population
    variances are involved"; Satterthwaite (1946), "An approximate distribution of estimates of
    variance components", for the degrees of freedom.

    Examples
    --------
    >>> found = difference(Mean(0.5, 0.4, 0.6, 0.05, 300.0), Mean(0.3, 0.2, 0.4, 0.05, 4.0))
    >>> round(found.value, 2), round(found.low, 2), round(found.high, 2)
    (0.2, 0.05, 0.35)
    >>> difference(Mean(0.5, 0.4, 0.6, 0.05, 300.0), Mean(0.3, 0.2, 0.4, 0.05, 3.0)).low
    nan
    """
    error, value = math.hypot(one.error, other.error), one.value - other.value
    sides = (one, other)
    if min(side.freedom for side in sides) < LEAST_COMPARED - 1:
        return Mean(value, math.nan, math.nan, error, 0.0)
    freedom = sum(side.freedom for side in sides)
    if error > 0.0:
        freedom = 1.0 / sum((side.error / error) ** 4 / side.freedom for side in sides)
    half = _student(1.0 - alpha / 2, freedom) * error
    return Mean(value, value - half, value + half, error, freedom)


def wilson(share: npt.ArrayLike, n: npt.ArrayLike, *, alpha: float = 0.05) -> tuple[F64, F64]:
    """Return the ends of intervals of shares, float64[b] each; wide enough for fractions too.

    References
    ----------
    Wilson (1927), "Probable inference, the law of succession, and statistical inference".

    Examples
    --------
    >>> low, high = wilson([0.0, 0.5], [10, 100])
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.0, 0.404], [0.278, 0.596])
    """
    p, m = np.asarray(share, np.float64), np.asarray(n, np.float64)
    z = NormalDist().inv_cdf(1.0 - alpha / 2)
    wide = 1.0 + z * z / m
    middle = (p + z * z / (2.0 * m)) / wide
    half = z * np.sqrt(p * (1.0 - p) / m + z * z / (4.0 * m * m)) / wide
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def _student(p: float, freedom: float) -> float:
    """Return Student's quantile of p, 0.5 or more; at least one degree of freedom, also in parts.

    With t = sqrt(freedom) tan(a) the density of a is that of cos(a) to the power freedom - 1, which
    is smooth: a quadrature has its integral. That is concave, and t is never below the normal
    quantile: from there Newton's steps go up to the root and never beyond it.
    """
    v, wanted = freedom, p - 0.5
    scale = math.exp(math.lgamma((v + 1.0) / 2) - math.lgamma(v / 2)) / math.sqrt(math.pi)
    a = math.atan(NormalDist().inv_cdf(p) / math.sqrt(v))
    for _ in range(_STEPS):
        inside = np.cos(0.5 * a * (_NODES + 1.0)) ** (v - 1.0)
        known = scale * 0.5 * a * float(_WEIGHTS @ inside)
        step = (wanted - known) / (scale * math.cos(a) ** (v - 1.0))
        a += step
        if abs(step) <= 1e-13 * a:
            break
    return math.sqrt(v) * math.tan(a)
