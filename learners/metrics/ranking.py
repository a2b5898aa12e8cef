"""The area under the ROC curve: of a column exactly, of a stream by a histogram."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ..errors import LearnerError
from ..kernels import measures
from .base import Floats, Many, Measure, One, columns

MOST_BINS = 1 << 20


class AUC(Measure):
    """The area under the ROC curve of a stream, by histograms of the logits.

    The probability that what happened was given a higher probability than what did not; equal
    ones count half. Thresholds of equal distance on the probabilities tell little apart when the
    base rate is low, for then all predictions lie below the first few; on the logits they tell as
    much apart at one base rate as at any other. Two predictions within ``32 / bins`` in logits
    (or both beyond ±16) may count as equal: `bound` says how much that can matter, with the
    predictions at hand.

    Parameters
    ----------
    bins
        Of each histogram; up to `MOST_BINS`. Memory is ``16 * bins`` bytes.

    Examples
    --------
    >>> metric = AUC()
    >>> metric.update_many([False, False, True, True], [0.001, 0.004, 0.0035, 0.008])
    >>> metric.get(), metric.bound
    (0.75, 0.0)

    References
    ----------
    Fawcett (2006), "An introduction to ROC analysis", section 7. Ties: Hanley and McNeil (1982),
    "The meaning and use of the area under a receiver operating characteristic (ROC) curve".
    """

    bigger_is_better = True
    _fmt = ".2%"

    def __init__(self, bins: int = 8192) -> None:
        if type(bins) is not int or not 2 <= bins <= MOST_BINS:
            raise LearnerError(f"bins must be 2 to {MOST_BINS}, got {bins!r}")
        self.bins = bins
        self._sums = np.zeros(2 * bins)

    @property
    def sums(self) -> Floats:
        """float64[2 * bins], the histograms of what happened and of what did not."""
        return self._sums

    @property
    def bound(self) -> float:
        """How far the value may be from the exact one: half the chance of a tie within a bin.

        NaN as long as there is no value.
        """
        return self._area(self._sums)[1]

    def _kernels(self) -> tuple[One, Many]:
        return measures.one_ranked, measures.many_ranked

    def _put(self, sums: Floats) -> None:
        self._sums = sums

    def _value(self, sums: Floats) -> float:
        return self._area(sums)[0]

    def _area(self, sums: Floats) -> tuple[float, float]:
        if not (sums[: self.bins] > 0.0).any() or not (sums[self.bins :] > 0.0).any():
            return math.nan, math.nan
        return measures.area(sums)

    def _exact(self, y: Floats, p: Floats, w: Floats) -> float:
        return _exact(y, p, w)


def roc_auc(y: ArrayLike, score: ArrayLike, w: ArrayLike | None = None) -> float:
    """Return the exact area under the ROC curve of a column; equal scores count half.

    Parameters
    ----------
    y
        bool[n] (or numbers 0 and 1), what happened.
    score
        float[n], any numbers that rise with the probability.
    w
        float[n], how often each row counts; None: once.

    Returns
    -------
    The area; NaN if all outcomes are equal.

    Raises
    ------
    LearnerError
        If a score is NaN or a row is not such, naming it.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [-3.0, 1.5, 1.5, 7.0])
    0.875
    """
    try:
        scores = np.ascontiguousarray(score, np.float64)
    except (TypeError, ValueError) as error:
        raise LearnerError(f"scores must be numbers: {error}") from None
    if np.isnan(scores).any():
        raise LearnerError(
            f"a score must be a number, got NaN in row {np.argmax(scores != scores)}"
        )
    # Only what is not a score is left to check.
    outcomes, _, weights = columns(y, np.zeros(scores.shape), w)
    return _exact(outcomes, scores, weights)


def _exact(y: Floats, score: Floats, w: Floats) -> float:
    if not (y > 0.0).any() or not (y == 0.0).any():
        return math.nan
    order = np.argsort(score, kind="stable")
    return measures.area_sorted(y[order], score[order], w[order])
