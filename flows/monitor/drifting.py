"""Whether a feature is distributed as it was: population stability, and a detector over time."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
BINS = 10
"""Of the first period's values, as equally filled as may be; one more holds what is missing."""
MOVED, DRIFTED = 0.1, 0.25
"""The customary limits of a population stability index."""
_HALF = 0.5


class Stability(NamedTuple):
    """How far two samples are apart.

    Attributes
    ----------
    psi
        The population stability index: 0 if they are alike.
    noise
        What it exceeds in one of 20 cases if nothing has changed, as samples are finite.
    verdict
        ``stable``, ``moved`` or ``drifted``; ``stable`` also within the noise.
    """

    psi: float
    noise: float
    verdict: str


def edges_of(values: F64, bins: int = BINS) -> F64:
    """Return the inner edges of bins that hold about equally many values; NaN is in none.

    Few different values have a bin each.

    Examples
    --------
    >>> edges_of(np.array([1.0, 1.0, 2.0, 3.0, np.nan])).tolist()
    [1.5, 2.5]
    """
    known = values[~np.isnan(values)]
    different = np.unique(known)
    if len(different) <= bins:
        return np.asarray((different[1:] + different[:-1]) / 2, np.float64)
    return np.unique(np.quantile(known, np.arange(1, bins) / bins))


def counts_of(values: F64, edges: F64) -> F64:
    """Return how many values are in each bin, float64[len(edges) + 2]; the last has the NaN.

    Examples
    --------
    >>> counts_of(np.array([1.0, 2.0, np.nan]), np.array([1.5])).tolist()
    [1.0, 1.0, 1.0]
    """
    places = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, "right"))
    return np.bincount(places, minlength=len(edges) + 2).astype(np.float64)


def stability(before: F64, after: F64, bins: int = BINS) -> Stability:
    """Return how far the values of a period are from those of an earlier one.

    Parameters
    ----------
    before, after
        float64[n] and float64[m]; NaN: there is no value, which is a bin of its own.
    bins
        Of the known values of ``before``.

    References
    ----------
    Yurdakul and Naranjo (2020), "Statistical properties of the population stability index":
    times ``n m / (n + m)`` it is about chi-squared, with a degree of freedom less than bins.
    Wilson and Hilferty (1931), "The distribution of chi-square", for its quantile.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> stability(rng.normal(size=2000), rng.normal(size=2000)).verdict
    'stable'
    >>> stability(rng.normal(size=2000), rng.normal(1.0, size=2000)).verdict
    'drifted'
    """
    n, m = len(before), len(after)
    if not n or not m:
        return Stability(math.nan, math.nan, "stable")
    edges = edges_of(before, bins)
    p, q = counts_of(before, edges), counts_of(after, edges)
    some = (p + q) > 0
    k = int(some.sum())
    # Half a count more in each bin: one that is empty says little, not infinitely much.
    p, q = (p[some] + _HALF) / (n + _HALF * k), (q[some] + _HALF) / (m + _HALF * k)
    psi = float(((q - p) * np.log(q / p)).sum())
    noise = _chi_squared(k - 1) * (1.0 / n + 1.0 / m) if k > 1 else 0.0
    verdict = "drifted" if psi > DRIFTED else "moved" if psi > MOVED else "stable"
    return Stability(psi, noise, verdict if psi > noise else "stable")


def detections(values: F64, reference: F64, *, confidence: float = 0.002) -> list[int]:
    """Return after which values an adaptive window noticed that their mean has changed.

    What is watched is not the value but its rank among those of a reference period, between 0
    and 1, so that one far outlier is no drift; NaN has no rank and is passed over.

    Parameters
    ----------
    values
        float64[n], in the order of time.
    reference
        float64[m], such as the first part of ``values``.
    confidence
        The detector's chance of a false alarm, its ``delta``.

    References
    ----------
    Bifet and Gavalda (2007), "Learning from time-changing data with adaptive windowing"; the
    implementation is River's.

    Examples
    --------
    >>> values = np.concatenate([np.zeros(500), np.ones(500)])
    >>> found = detections(values, np.array([0.0, 1.0]))
    >>> 500 < found[0] < 600
    True
    """
    from river.drift import ADWIN

    known = np.sort(reference[~np.isnan(reference)])
    if not len(known):
        return []
    low, high = np.searchsorted(known, values, "left"), np.searchsorted(known, values, "right")
    ranks = (low + high) / (2.0 * len(known))
    make: Any = ADWIN
    detector, found = make(delta=confidence), []
    for place, rank in enumerate(ranks.tolist()):
        if math.isnan(values[place]):
            continue
        detector.update(rank)
        if detector.drift_detected:
            found.append(place)
    return found


def _chi_squared(freedom: int, p: float = 0.95) -> float:
    share = 2.0 / (9.0 * freedom)
    return float(freedom * (1.0 - share + NormalDist().inv_cdf(p) * math.sqrt(share)) ** 3)
