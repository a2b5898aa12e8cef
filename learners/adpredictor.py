"""AdPredictor: Bayesian probit regression on sparse active features."""

from __future__ import annotations

from collections.abc import Hashable
from statistics import NormalDist

import numpy as np

from .binding import Resolved
from .errors import LearnerError
from .interned import Floats, Indices, InternedClassifier
from .interning import NEVER
from .kernels import adpredictor as kernels


class AdPredictor(InternedClassifier):
    """Bayesian online probit regression, as River's, order-exact on micro-batches.

    Every active feature has a Gaussian belief about its weight, so that what is rarely seen
    learns fast. A number is active if it is not 0, whatever its size; a string is a category with
    a weight of its own, as behind ``OneHotEncoder(drop_zeros=True)``; None and NaN are missing.
    It equals ``river.linear_model.AdPredictor`` to rounding, with one difference: there the first
    observation that is predicted or learned fixes the bias, here the first that is learned, so
    that a prediction changes nothing.

    Parameters
    ----------
    beta
        Standard deviation of the noise of a label.
    prior_probability
        The probability of True before anything was learned.
    epsilon
        How far beliefs return to their prior N(0, 1) each time that they learn, in [0, 1).
    max_weights
        Bound of memory: when more features and categories come, the least recently used sixteenth
        is forgotten.

    Attributes
    ----------
    means, variances
        The belief about every weight by feature name, or by (name, category).
    bias
        Mean and variance of the bias; the variance is 0 before anything was learned.
    n_updates
        Observations learned.

    Raises
    ------
    LearnerError
        If a setting is out of range.

    Examples
    --------
    >>> model = AdPredictor()
    >>> model.predict_proba_one({"ad": "shoes", "site": "news"})[True]
    0.5
    >>> for _ in range(50):
    ...     model.learn_one({"ad": "shoes", "site": "news"}, True)
    >>> round(model.predict_proba_one({"ad": "shoes", "site": "news"})[True], 3)
    0.983

    References
    ----------
    Graepel, Candela, Borchert and Herbrich (2010), "Web-scale Bayesian click-through rate
    prediction for sponsored search advertising in Microsoft's Bing search engine", section 3.
    """

    _learned = (kernels.BIAS_MEAN, kernels.BIAS_VARIANCE)

    def __init__(
        self,
        beta: float = 0.1,
        prior_probability: float = 0.5,
        epsilon: float = 0.05,
        max_weights: int = 1_000_000,
    ) -> None:
        if not 0.0 <= beta <= 1e6:
            raise LearnerError(f"beta must be in [0, 1e6], got {beta}")
        if not 0.0 < prior_probability < 1.0:
            raise LearnerError(f"prior_probability must be in (0, 1), got {prior_probability}")
        if not 0.0 <= epsilon < 1.0:
            raise LearnerError(f"epsilon must be in [0, 1), got {epsilon}")
        self.beta = beta
        self.prior_probability = prior_probability
        self.epsilon = epsilon
        self._scalars = np.zeros(5)
        self._scalars[kernels.BETA] = beta
        self._scalars[kernels.PRIOR] = NormalDist().inv_cdf(prior_probability)
        self._scalars[kernels.EPSILON] = epsilon
        super().__init__(max_weights, (NEVER, 0.0, 1.0))

    @property
    def means(self) -> dict[Hashable, float]:
        """Mean of every weight."""
        return self._named(kernels.BELIEF_MEAN)

    @property
    def variances(self) -> dict[Hashable, float]:
        """Variance of every weight."""
        return self._named(kernels.BELIEF_VARIANCE)

    @property
    def bias(self) -> tuple[float, float]:
        """Mean and variance of the bias."""
        mean, variance = self._scalars[[kernels.BIAS_MEAN, kernels.BIAS_VARIANCE]].tolist()
        return mean, variance

    def _sound(self) -> bool:
        beliefs = self._table.state[:, kernels.BELIEF_VARIANCE]
        return bool((beliefs > 0.0).all() and self._scalars[kernels.BIAS_VARIANCE] >= 0.0)

    def _learn_row(self, values: Floats, slots: Indices, y: float, w: float) -> float:
        return kernels.learn_one(self._table.state, self._scalars, values, slots, y, self.n_updates)

    def _predict_row(self, values: Floats, slots: Indices) -> float:
        return kernels.predict_one(self._table.state, self._scalars, values, slots)

    def _learn_rows(self, numeric: Floats, at: Resolved, y: Floats, w: Floats, out: Floats) -> None:
        kernels.learn_rows(
            self._table.state,
            self._scalars,
            numeric,
            at.numeric,
            at.coded,
            y,
            self.n_updates,
            out,
        )

    def _predict_rows(self, numeric: Floats, at: Resolved, out: Floats) -> None:
        kernels.predict_rows(self._table.state, self._scalars, numeric, at.numeric, at.coded, out)
