"""Bayesian logistic regression that learns one observation at a time."""

import math
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import base

from .errors import LearnerError
from .kernels import adf
from .kernels.limits import LARGEST
from .labels import label_of, labels_of

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Frame = Any
"""A pandas DataFrame or Series; pandas itself is not imported here."""


class ADFLogisticRegression(base.MiniBatchClassifier):
    """Logistic regression with a Gaussian belief about every weight (diagonal ADF).

    Every weight has a mean and a variance; an observation moves the uncertain weights most, so
    there is no learning rate to tune, and a probability is pulled towards 1/2 by what is still
    unknown. A number is taken as it is, a string as a category with a weight of its own, None
    as missing. Features may come and go.

    Parameters
    ----------
    prior_variance
        Variance of a weight before it has seen data (logits squared, per unit of its feature
        squared). Positive.
    bias_variance
        The same for the intercept; 0 leaves the intercept out.
    forgetting
        How far a weight's variance returns to its prior each time that it is used, in [0, 1): 0
        for data whose law never changes.
    max_weights
        Bound of memory: names and categories that are new when so many weights exist are
        ignored.

    Attributes
    ----------
    mean, variance, prior
        float64[n], the beliefs in order of first appearance; the intercept comes first.
    weights
        Mean of every weight by feature name, or by (name, category).
    n_updates
        Observations learned.

    Examples
    --------
    >>> from river import datasets, evaluate, metrics, preprocessing
    >>> model = preprocessing.StandardScaler() | ADFLogisticRegression()
    >>> evaluate.progressive_val_score(datasets.Phishing(), model, metrics.Accuracy())
    Accuracy: 89.36%

    References
    ----------
    Graepel, Candela, Borchert and Herbrich (2010), "Web-scale Bayesian click-through rate
    prediction for sponsored search advertising in Microsoft's Bing search engine", section 3,
    here with a logistic link.
    """

    def __init__(
        self,
        prior_variance: float = 1.0,
        bias_variance: float = 1.0,
        forgetting: float = 0.0,
        max_weights: int = 1_000_000,
    ) -> None:
        if not 0.0 < prior_variance < math.inf:
            raise LearnerError(f"prior_variance must be positive, got {prior_variance}")
        if not 0.0 <= bias_variance < math.inf:
            raise LearnerError(f"bias_variance must not be negative, got {bias_variance}")
        if not 0.0 <= forgetting < 1.0:
            raise LearnerError(f"forgetting must be in [0, 1), got {forgetting}")
        if max_weights < 1:
            raise LearnerError(f"max_weights must be at least 1, got {max_weights}")
        self.prior_variance = prior_variance
        self.bias_variance = bias_variance
        self.forgetting = forgetting
        self.max_weights = max_weights
        self.n_updates = 0
        self._ids: dict[Hashable, int] = {}
        self._n = 1
        self._mean = np.zeros(1)
        self._variance = np.full(1, float(bias_variance))
        self._prior = self._variance.copy()

    @property
    def mean(self) -> Floats:
        """Mean of every weight, float64[n]; the intercept is the first."""
        return self._mean[: self._n]

    @property
    def variance(self) -> Floats:
        """Variance of every weight, float64[n]."""
        return self._variance[: self._n]

    @property
    def prior(self) -> Floats:
        """Prior variance of every weight, float64[n]."""
        return self._prior[: self._n]

    @property
    def weights(self) -> dict[Hashable, float]:
        """Mean of every weight but the intercept, by name."""
        return {key: float(self._mean[i]) for key, i in self._ids.items()}

    def allocate(self, names: Iterable[Hashable], prior_variance: float) -> int:
        """Give new weights a prior variance of their own, before data does.

        Parameters
        ----------
        names
            Names of numeric features, or (name, category) of categories.
        prior_variance
            The variance of them all (as the parameter of the class).

        Returns
        -------
        The position of the first; the others follow it in order.

        Raises
        ------
        LearnerError
            If a name has a weight already or there is no room for all.
        """
        keys = list(names)
        for key in keys:
            if key in self._ids:
                raise LearnerError(f"feature {key!r} has a weight already")
        if len(set(keys)) < len(keys):
            raise LearnerError(f"a name occurs twice in {keys!r}")
        if self._n + len(keys) > self.max_weights:
            raise LearnerError(f"no room for {len(keys)} more weights: max_weights is reached")
        return self._append(keys, prior_variance)

    def learn_one(self, x: dict[Hashable, Any], y: base.typing.ClfTarget) -> None:
        """Fold one observation in.

        Raises
        ------
        LearnerError
            If a number is NaN, infinite or beyond `LARGEST`, a value is neither number, string
            nor None, or the label is not True or False.
        """
        target = label_of(y)
        keys, values = _encode(x)
        self._append([key for key in keys if key not in self._ids], self.prior_variance, fit=True)
        indices, known, _ = self._look_up(keys, values)
        adf.update(self._mean, self._variance, self._prior, indices, known, target, self.forgetting)
        self.n_updates += 1

    def predict_proba_one(
        self, x: dict[Hashable, Any], **kwargs: Any
    ) -> dict[base.typing.ClfTarget, float]:
        """Return the probability of False and of True, averaged over the beliefs.

        Raises
        ------
        LearnerError
            As `learn_one`.
        """
        z, s = self.logit_one(x)
        p = adf.moderated(z, s)
        return {False: 1.0 - p, True: p}

    def logit_one(self, x: Mapping[Hashable, Any]) -> tuple[float, float]:
        """Return the mean and the variance of the belief about the logit.

        Raises
        ------
        LearnerError
            As `learn_one`.
        """
        indices, values, unseen = self._look_up(*_encode(x))
        z, s = adf.moments(self._mean, self._variance, indices, values)
        return z, s + unseen

    def contributions(self, x: Mapping[Hashable, Any]) -> dict[Hashable, float]:
        """Return what each feature adds to the mean of the logit, by name as in `weights`.

        The intercept, `mean[0]`, is left out; what has no weight yet adds 0.

        Raises
        ------
        LearnerError
            As `learn_one`.

        Examples
        --------
        >>> model = ADFLogisticRegression()
        >>> model.learn_one({"visits": 2.0, "channel": "web"}, True)
        >>> {key: round(part, 3) for key, part in model.contributions({"visits": 1.0}).items()}
        {'visits': 0.4}
        """
        parts: dict[Hashable, float] = {}
        for key, value in zip(*_encode(x), strict=True):
            i = self._ids.get(key)
            parts[key] = 0.0 if i is None else float(self._mean[i]) * value
        return parts

    def learn_many(self, X: Frame, y: Frame) -> None:
        """Learn the rows one after the other: the same weights as `learn_one` in that order.

        Either all rows are learned or, if one cannot be, none.

        Raises
        ------
        LearnerError
            As `learn_one`.
        """
        rows = [_encode(row) for row in _rows(X)]
        targets = labels_of(y, len(rows))
        starts = np.zeros(len(rows) + 1, np.int64)
        indices, values = [np.empty(0, np.int64)], [np.empty(0)]
        for r, (keys, numbers) in enumerate(rows):
            new = [key for key in keys if key not in self._ids]
            self._append(new, self.prior_variance, fit=True)
            row_indices, row_values, _ = self._look_up(keys, numbers)
            indices.append(row_indices)
            values.append(row_values)
            starts[r + 1] = starts[r] + len(row_indices)
        adf.update_rows(
            self._mean,
            self._variance,
            self._prior,
            starts,
            np.concatenate(indices),
            np.concatenate(values),
            targets,
            self.forgetting,
        )
        self.n_updates += len(rows)

    def predict_proba_many(self, X: Frame) -> Frame:
        """Return the columns False and True of `predict_proba_one`, one row a row of `X`.

        Raises
        ------
        LearnerError
            As `learn_one`.
        """
        probabilities = [self.predict_proba_one(row) for row in _rows(X)]
        return type(X)(probabilities, index=X.index, columns=[False, True], dtype="float64")

    def _append(self, keys: list[Hashable], variance: float, fit: bool = False) -> int:
        """Add weights at the end (only as many as there is room for, if `fit`)."""
        if fit and self._n + len(keys) > self.max_weights:
            keys = keys[: self.max_weights - self._n]
        first = self._n
        if keys:
            self._grow(first + len(keys))
            self._ids.update(zip(keys, range(first, first + len(keys)), strict=True))
            self._n += len(keys)
            self._variance[first : self._n] = variance
            self._prior[first : self._n] = variance
        return first

    def _grow(self, size: int) -> None:
        # Always before the arrays are passed to a kernel: growing replaces them.
        if size > len(self._mean):
            more = max(size, 2 * len(self._mean)) - len(self._mean)
            self._mean = np.concatenate((self._mean, np.zeros(more)))
            self._variance = np.concatenate((self._variance, np.zeros(more)))
            self._prior = np.concatenate((self._prior, np.zeros(more)))

    def _look_up(self, keys: list[Hashable], values: list[float]) -> tuple[Indices, Floats, float]:
        """Return the weights and values known, and the logit variance of the others."""
        indices, known = [0], [1.0]
        unseen, room = 0.0, self.max_weights - self._n
        for key, value in zip(keys, values, strict=True):
            i = self._ids.get(key)
            if i is not None:
                indices.append(i)
                known.append(value)
            elif room > 0:
                room -= 1
                unseen += self.prior_variance * value * value
        return np.array(indices), np.array(known), unseen


def _encode(x: Mapping[Hashable, Any]) -> tuple[list[Hashable], list[float]]:
    keys: list[Hashable] = []
    values: list[float] = []
    for name, value in x.items():
        if isinstance(value, str):
            keys.append((name, value))
            values.append(1.0)
        elif value is not None:
            try:
                number = float(value)
            except (TypeError, ValueError, OverflowError):
                raise LearnerError(
                    f"feature {name!r} is neither a number nor a string: {value!r}"
                ) from None
            if not -LARGEST <= number <= LARGEST:
                raise LearnerError(f"feature {name!r} is not a finite number: {value!r}")
            keys.append(name)
            values.append(number)
    return keys, values


def _rows(frame: Frame) -> Iterable[dict[Hashable, Any]]:
    names = list(frame.columns)
    if not names:
        return [{}] * len(frame)
    columns = [frame[name].tolist() for name in names]
    return (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))
