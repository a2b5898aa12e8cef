"""Whether what is predicted with probability p happens with frequency p."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..errors import LearnerError
from ..kernels import measures
from .base import Floats, Many, Measure, One, columns

CELLS = 4096
"""Cells of the logits that bins of equal mass are put together from."""
MOST_BINS = 1000


class Reliability(NamedTuple):
    """A table of predictions and outcomes, a row a bin that has any, in order of probability.

    Attributes
    ----------
    lower, upper
        float64[b], between which probabilities the bin's lie.
    weight
        float64[b], number (or weight) of its predictions.
    predicted, observed
        float64[b], the mean probability, and how often it happened.
    """

    lower: Floats
    upper: Floats
    weight: Floats
    predicted: Floats
    observed: Floats

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of predicted and observed."""
        if not len(self.weight):
            return math.nan
        gaps = np.abs(self.predicted - self.observed)
        return float(np.sum(self.weight * gaps) / np.sum(self.weight))


class Calibration(Measure):
    """The expected calibration error: mean distance of probability and frequency, over bins.

    When the base rate is low, bins of equal width on [0, 1] hold next to all predictions in one,
    and hide what is wrong inside; bins of equal mass do not. They are put together when asked
    for, from cells of 1/128 in logits, so their borders are as exact as that. A small error
    remains of a perfect model, too, for frequencies of finite samples differ from probabilities.

    Parameters
    ----------
    bins
        How many; up to `MOST_BINS`.
    equal_mass
        Whether all bins are to hold about as many predictions (no probability is divided between
        two); False: bins of equal width.

    Examples
    --------
    >>> metric = Calibration(bins=2)
    >>> metric.update_many([0, 0, 0, 1, 0, 1], [0.01, 0.01, 0.02, 0.3, 0.3, 0.3])
    >>> table = metric.table()
    >>> table.predicted.round(4).tolist(), table.observed.round(4).tolist()
    ([0.0133, 0.3], [0.0, 0.6667])
    >>> round(metric.get(), 4), round(metric.ratio, 4)
    (0.19, 0.47)

    References
    ----------
    Naeini, Cooper and Hauskrecht (2015), "Obtaining well calibrated probabilities using Bayesian
    binning", section 2. Nixon et al. (2019), "Measuring calibration in deep learning", section 3
    (bins of equal mass). He et al. (2014), "Practical lessons from predicting clicks on ads at
    Facebook", section 2 (the ratio).
    """

    def __init__(self, bins: int = 15, equal_mass: bool = True) -> None:
        if type(bins) is not int or not 1 <= bins <= MOST_BINS:
            raise LearnerError(f"bins must be 1 to {MOST_BINS}, got {bins!r}")
        self.bins = bins
        self.equal_mass = bool(equal_mass)
        self._sums = np.zeros(3 * (CELLS if equal_mass else bins))

    @property
    def sums(self) -> Floats:
        """float64[3 * cells], weight, predicted and happened of each cell or bin."""
        return self._sums

    @property
    def ratio(self) -> float:
        """Predicted by happened: above 1, too much was predicted. NaN as long as nothing has."""
        happened = float(self._sums[2::3].sum())
        return float(self._sums[1::3].sum()) / happened if happened else math.nan

    def table(self) -> Reliability:
        """Return predicted and observed, bin by bin."""
        return self._table(self._sums)

    def _kernels(self) -> tuple[One, Many]:
        if self.equal_mass:
            return measures.one_logit_cell, measures.many_logit_cell
        return measures.one_equal_width, measures.many_equal_width

    def _put(self, sums: Floats) -> None:
        self._sums = sums

    def _value(self, sums: Floats) -> float:
        return self._table(sums).error

    def _table(self, sums: Floats) -> Reliability:
        if not self.equal_mass:
            borders = np.arange(self.bins + 1) / self.bins
            return _rows(sums.reshape(-1, 3), borders[:-1], borders[1:])
        borders = 1.0 / (1.0 + np.exp(-np.linspace(-measures.SPAN, measures.SPAN, CELLS + 1)))
        borders[0], borders[-1] = 0.0, 1.0  # the outer cells hold all beyond
        return _put_together(sums, self.bins, borders[:-1], borders[1:])

    def _exact(self, y: Floats, p: Floats, w: Floats) -> float:
        return _exact(y, p, w, self.bins).error if self.equal_mass else super()._exact(y, p, w)


def reliability(
    y: ArrayLike,
    p: ArrayLike,
    w: ArrayLike | None = None,
    *,
    bins: int = 15,
    equal_mass: bool = True,
) -> Reliability:
    """Return predicted and observed of a column, bin by bin; borders are exact.

    Parameters
    ----------
    y
        bool[n] (or numbers 0 and 1), what happened.
    p
        float[n], the probabilities of True.
    w
        float[n], how often each row counts; None: once.
    bins, equal_mass
        As of `Calibration`.

    Raises
    ------
    LearnerError
        If a row is not such, naming it, or the bins are not.

    Examples
    --------
    >>> table = reliability([0, 1, 0, 1], [0.1, 0.2, 0.2, 0.9], bins=2)
    >>> table.lower.tolist(), table.upper.tolist(), table.weight.tolist()
    ([0.1, 0.9], [0.2, 0.9], [3.0, 1.0])
    >>> round(table.error, 3)
    0.15
    """
    measure = Calibration(bins, equal_mass)
    if equal_mass:
        return _exact(*columns(y, p, w), bins)
    measure.update_many(y, p, w)
    return measure.table()


def _exact(y: Floats, p: Floats, w: Floats, bins: int) -> Reliability:
    order = np.argsort(p, kind="stable")
    p = p[order]
    cells = np.zeros(3 * len(p))
    each = np.empty(len(p))
    count = measures.cells_sorted(y[order], p, w[order], cells, each)
    return _put_together(cells[: 3 * count], bins, each[:count], each[:count])


def _put_together(cells: Floats, bins: int, lower: Floats, upper: Floats) -> Reliability:
    out = np.zeros(3 * bins)
    first, last = np.zeros(bins, np.int64), np.zeros(bins, np.int64)
    count = measures.equal_mass(cells, bins, out, first, last)
    return _rows(out.reshape(-1, 3)[:count], lower[first[:count]], upper[last[:count]])


def _rows(sums: Floats, lower: Floats, upper: Floats) -> Reliability:
    some = sums[:, 0] > 0.0
    weight, predicted, happened = sums[some].T
    return Reliability(lower[some], upper[some], weight, predicted / weight, happened / weight)
