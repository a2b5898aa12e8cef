"""Scaling, one-hot encoding and logistic regression in one pass over a row."""

from __future__ import annotations

from collections.abc import Hashable

from .kernels import linear
from .logistic import LogisticRegression


class TabularLogisticRegression(LogisticRegression):
    """Logistic regression on standardised numbers and one-hot categories.

    It equals this pipeline of River to rounding, but learns a row in one kernel::

        (SelectType(Number) | StandardScaler()) + (SelectType(str) | OneHotEncoder(drop_zeros=True))
        | LogisticRegression(optimizer, ...)

    As there, a row's numbers first enter the running mean and variance and are then scaled by
    them; `predict_proba_one` scales by what was learned so far. Without `drop_zeros` the pipeline
    gives the same weights, except that penalties and FTRL then also move weights of categories
    which the row does not have. A number that was forgotten for want of room starts with a new
    mean and variance.

    Parameters
    ----------
    optimizer, lr, l2, l1, alpha, beta, eps, intercept_init, intercept_lr, clip_gradient
        As `LogisticRegression`.
    max_weights
        As `LogisticRegression`; a weight takes 64 bytes and its name.

    Attributes
    ----------
    weights, intercept, n_updates
        As `LogisticRegression`; the weights are of standardised numbers.
    means, variances
        Running mean and population variance of every number by name.

    Raises
    ------
    LearnerError
        As `LogisticRegression`.

    Examples
    --------
    >>> from river import datasets, evaluate, metrics
    >>> model = TabularLogisticRegression(lr=0.1)
    >>> evaluate.progressive_val_score(datasets.Phishing(), model, metrics.Accuracy())
    Accuracy: 88.96%
    """

    _scaled = True

    @property
    def means(self) -> dict[Hashable, float]:
        """Running mean of every number."""
        return self._statistic(linear.MEAN)

    @property
    def variances(self) -> dict[Hashable, float]:
        """Running population variance of every number."""
        return self._statistic(linear.VARIANCE)

    def _statistic(self, column: int) -> dict[Hashable, float]:
        return {
            name: float(self._table.state[slot, column])
            for name, category, slot in self._table
            if category is None
        }
