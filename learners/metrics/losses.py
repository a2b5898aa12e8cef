"""Losses of predicted probabilities: a few plain numbers each.

`dataclasses.asdict` is the snapshot of any of them, the class called with it the way back.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..errors import LearnerError
from ..kernels import measures
from .base import Floats, Many, Measure, One, Prediction, label, probability, weight


class _Numbers(Measure):
    """A measure whose sums are its fields."""

    @property
    def sums(self) -> Floats:
        """float64, the fields."""
        return np.array(list(vars(self).values()), np.float64)

    def _put(self, sums: Floats) -> None:
        for name, total in zip(vars(self), sums.tolist(), strict=True):
            # What is counted stays an integer as long as every weight is.
            setattr(self, name, int(total) if name == "n" and total.is_integer() else total)

    @abc.abstractmethod
    def _add(self, y: float, p: float, w: float) -> None:
        """Add an outcome to the fields."""

    def update(self, y_true: bool, y_pred: Prediction, w: float = 1) -> None:
        """As `Measure.update`."""
        self._add(label(y_true), probability(y_pred), weight(w))

    def revert(self, y_true: bool, y_pred: Prediction, w: float = 1) -> None:
        """As `Measure.revert`."""
        self._add(label(y_true), probability(y_pred), -weight(w))

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise LearnerError(f"{name} must be a finite number, got {value!r}")

    def _settings(self) -> dict[str, Any]:
        return {}

    def clone(
        self, new_params: Mapping[str, Any] | None = None, include_attributes: bool = False
    ) -> Self:
        """Return an empty one, or with ``include_attributes`` an equal one."""
        return type(self)(**(vars(self) if include_attributes else {}))


@dataclass(repr=False)
class LogLoss(_Numbers):
    """The mean negative log-likelihood of binary outcomes, in nats.

    A probability of 0 or 1 counts as 1e-15 away.

    Parameters
    ----------
    total, n
        Loss and number (or weight) of the predictions so far; leave them out to begin.

    Examples
    --------
    >>> metric = LogLoss()
    >>> metric.update(True, 0.8)
    >>> metric.update(False, 0.5)
    >>> round(metric.get(), 4)
    0.4581
    """

    total: float = 0.0
    n: float = 0

    def _kernels(self) -> tuple[One, Many]:
        return measures.one_log_loss, measures.many_log_loss

    def _add(self, y: float, p: float, w: float) -> None:
        self.total += w * measures.log_loss(y, p)
        self.n += w

    def _value(self, sums: Floats) -> float:
        return _mean(float(sums[0]), float(sums[1]))


@dataclass(repr=False)
class Brier(_Numbers):
    """The mean squared error of the probabilities.

    Parameters
    ----------
    total, n
        As of `LogLoss`.

    Examples
    --------
    >>> metric = Brier()
    >>> metric.update_many([True, False], [0.8, 0.5])
    >>> round(metric.get(), 4)
    0.145

    References
    ----------
    Brier (1950), "Verification of forecasts expressed in terms of probability".
    """

    total: float = 0.0
    n: float = 0

    def _kernels(self) -> tuple[One, Many]:
        return measures.one_brier, measures.many_brier

    def _add(self, y: float, p: float, w: float) -> None:
        self.total += w * ((p - y) * (p - y))
        self.n += w

    def _value(self, sums: Floats) -> float:
        return _mean(float(sums[0]), float(sums[1]))


@dataclass(repr=False)
class NormalizedEntropy(_Numbers):
    """The log loss divided by that of always predicting the base rate.

    1 is no better than the base rate, 0 is perfect. Where log losses at different base rates tell
    nothing about each other, these do. NaN as long as all outcomes are equal.

    Parameters
    ----------
    total, positives, n
        Loss, and number (or weight) of what happened and of the predictions, so far; leave them
        out to begin.

    Examples
    --------
    >>> metric = NormalizedEntropy()
    >>> metric.update_many([True, False, False, False], [0.7, 0.1, 0.2, 0.1])
    >>> round(metric.get(), 4)
    0.3515

    References
    ----------
    He et al. (2014), "Practical lessons from predicting clicks on ads at Facebook", section 2.
    """

    total: float = 0.0
    positives: float = 0.0
    n: float = 0

    def _kernels(self) -> tuple[One, Many]:
        return measures.one_entropy, measures.many_entropy

    def _add(self, y: float, p: float, w: float) -> None:
        self.total += w * measures.log_loss(y, p)
        self.positives += w * y
        self.n += w

    def _value(self, sums: Floats) -> float:
        total, positives, n = sums.tolist()
        if not 0.0 < positives < n:
            return math.nan
        rate = positives / n
        entropy = -rate * math.log(rate) - (1.0 - rate) * math.log1p(-rate)
        return float(total / n / entropy)


def _mean(total: float, n: float) -> float:
    return total / n if n else math.nan
