"""How far the members of a level differ: candidates for a prior variance, weighed as it learns."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import LearnerError
from .kernels import levels

Floats = NDArray[np.float64]

VARIANCES = (0.0, 0.03, 0.1, 0.3, 1.0)
"""Candidates for the variance of what differs between the members of a level."""
MOST = 32
"""The most candidates of a level."""
ZERO = 0.5
"""The weight that a candidate of zero starts with."""
SHARE = 1e-6
"""The part of the weights that is given back to where it began with each reward."""

Variances = float | Sequence[float]


class Candidates:
    """The candidates of one level and their weights.

    Parameters
    ----------
    what
        What to call them in an error.
    variances
        One prior variance, or several.

    Raises
    ------
    LearnerError
        If they are not 1 to `MOST` finite numbers, none negative.

    Examples
    --------
    >>> level = Candidates("person_variance", [0.0, 1.0])
    >>> level.weights.round(2).tolist(), round(level.expected, 3)
    ([0.5, 0.5], 0.5)
    >>> level.reweigh(information=3.0, precision=0.5, rest=-1.0, variance=0.2, reward=1.0)
    >>> level.weights.round(2).tolist()
    [0.28, 0.72]
    """

    def __init__(self, what: str, variances: Variances) -> None:
        try:
            given = np.atleast_1d(np.asarray(variances, np.float64))
        except (TypeError, ValueError):
            raise LearnerError(f"{what} must be one number or several, got {variances!r}") from None
        if given.ndim != 1 or not 0 < len(given) <= MOST:
            raise LearnerError(f"{what} must be 1 to {MOST} numbers, got {variances!r}")
        if not ((given >= 0.0) & (given < math.inf)).all():
            raise LearnerError(f"{what} must be finite and not negative, got {variances!r}")
        self.variances = given
        zeros = given == 0.0
        n, k = int(zeros.sum()), len(given)
        # Even odds that nobody differs, however many candidates say that they do: a doubt about
        # it costs exploration, and a doubt about the contrary costs what is known of a person.
        mixed = 0 < n < k
        self._first = (
            np.where(zeros, ZERO / n, (1.0 - ZERO) / (k - n)) if mixed else np.full(k, 1.0 / k)
        )
        self.weights = self._first.copy()
        """float64, how well each has foretold; they add up to 1."""

    @property
    def several(self) -> bool:
        """Whether there is anything to choose."""
        return len(self.variances) > 1

    @property
    def expected(self) -> float:
        """The mean of the prior variance."""
        return float(self.variances @ self.weights)

    def moments(self, information: float, precision: float) -> tuple[float, float]:
        """Return the mean and the variance of a weight."""
        return levels.mixture(information, precision, self.variances, self.weights)

    def add(self, evidence: Floats, mean: Floats, variance: Floats) -> None:
        """Add a level's weights to every arm's logit, in place; `evidence` is float64[2, K]."""
        levels.add(evidence[0], evidence[1], self.variances, self.weights, mean, variance)

    def reweigh(
        self, information: float, precision: float, rest: float, variance: float, reward: float
    ) -> None:
        """Weigh the candidates anew; `rest` and `variance` are the logit's without this level."""
        levels.reweigh(
            information,
            precision,
            self.variances,
            self.weights,
            rest,
            variance,
            reward,
            self._first,
            SHARE,
        )
