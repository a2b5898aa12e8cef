"""Logistic regression with River's optimizers, order-exact on micro-batches."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
from river import base

from .binding import Resolved
from .errors import LearnerError
from .interned import Floats, Frame, Indices, InternedClassifier
from .interning import NEVER
from .kernels import linear
from .labels import Target, weights_of

OPTIMIZERS = {
    "sgd": linear.SGD,
    "adagrad": linear.ADAGRAD,
    "ftrl": linear.FTRL,
    "ftrl-proximal": linear.FTRL_PROXIMAL,
}
LARGEST_SETTING = 1e6
"""The largest of the rates and penalties: with it, no weight of finite data overflows."""
SMALLEST_RATE = 1e-12


class LogisticRegression(InternedClassifier):
    """Logistic regression that learns one observation at a time, as River's does.

    A number is taken as it is, a string as a category with a weight of its own, None and NaN as
    missing. It equals ``river.linear_model.LogisticRegression`` (with strings through
    ``OneHotEncoder(drop_zeros=True)``) to rounding, one by one and in micro-batches: `learn_many`
    takes one step a row, where River's takes one mean step a batch.

    Parameters
    ----------
    optimizer
        ``"sgd"``, ``"adagrad"``, ``"ftrl"`` or ``"ftrl-proximal"``; see the notes.
    lr
        Learning rate of the first two; None is River's default, 0.01 and 0.1.
    l2
        Penalty on the squares of the weights in the observation; None is River's default, 0, and
        1 with the FTRL optimizers.
    l1
        Penalty on the magnitudes of the weights, with the FTRL optimizers only.
    alpha, beta
        Learning rate and its offset of the FTRL optimizers.
    eps
        Offset of AdaGrad's sum of squares.
    intercept_init, intercept_lr
        The intercept at first, and its own learning rate: with every optimizer it takes plain
        gradient steps, as in River.
    clip_gradient
        Bound of a gradient's magnitude.
    max_weights
        Bound of memory: when more features and categories come, the least recently used sixteenth
        is forgotten.

    Attributes
    ----------
    weights
        Every weight by feature name, or by (name, category).
    intercept
        The intercept.
    n_updates
        Observations learned.

    Raises
    ------
    LearnerError
        If a setting is out of range, or does not belong to the optimizer.

    Notes
    -----
    ``"ftrl"`` is River's variant: it predicts with weights that are one step old, and a weight
    whose z falls within l1 keeps its value. ``"ftrl-proximal"`` is Algorithm 1 as published:
    weights are those of the current z and n, and within l1 they are 0. Only the intercept
    differs from the publication, where it would be a coordinate like any other: for that set
    `intercept_lr` to 0 and give a feature that is always 1.

    Examples
    --------
    >>> from river import datasets, evaluate, metrics, preprocessing
    >>> model = preprocessing.StandardScaler() | LogisticRegression(lr=0.1)
    >>> evaluate.progressive_val_score(datasets.Phishing(), model, metrics.Accuracy())
    Accuracy: 88.96%

    References
    ----------
    McMahan et al. (2013), "Ad click prediction: a view from the trenches", Algorithm 1; Duchi,
    Hazan and Singer (2011), "Adaptive subgradient methods for online learning and stochastic
    optimization", section 1.1.
    """

    _scaled = False
    _learned = (linear.INTERCEPT,)

    def __init__(
        self,
        optimizer: str = "sgd",
        lr: float | None = None,
        l2: float | None = None,
        l1: float = 0.0,
        alpha: float = 0.05,
        beta: float = 1.0,
        eps: float = 1e-8,
        intercept_init: float = 0.0,
        intercept_lr: float = 0.01,
        clip_gradient: float = 1e12,
        max_weights: int = 1_000_000,
    ) -> None:
        if optimizer not in OPTIMIZERS:
            raise LearnerError(f"optimizer must be one of {list(OPTIMIZERS)}, got {optimizer!r}")
        self.optimizer = optimizer
        self.lr = lr
        self.l2 = l2
        self.l1 = l1
        self.alpha = alpha
        self.beta = beta
        self.eps = eps
        self.intercept_init = intercept_init
        self.intercept_lr = intercept_lr
        self.clip_gradient = clip_gradient
        self._kind = OPTIMIZERS[optimizer]
        self._scalars = self._settings()
        super().__init__(max_weights, (NEVER,) + (0.0,) * (7 if self._scaled else 3))

    def _settings(self) -> Floats:
        ftrl = self._kind in (linear.FTRL, linear.FTRL_PROXIMAL)
        if ftrl and self.lr is not None:
            raise LearnerError(f"optimizer {self.optimizer!r} takes alpha instead of lr")
        if not ftrl and self.l1 != 0.0:
            raise LearnerError(f"optimizer {self.optimizer!r} has no l1; the FTRL ones have")
        lr = (0.01 if self._kind == linear.SGD else 0.1) if self.lr is None else self.lr
        l2 = float(ftrl) if self.l2 is None else self.l2
        for name, value, smallest, largest in (
            ("lr", lr, SMALLEST_RATE, LARGEST_SETTING),
            ("alpha", self.alpha, SMALLEST_RATE, LARGEST_SETTING),
            ("l2", l2, 0.0, LARGEST_SETTING),
            ("l1", self.l1, 0.0, LARGEST_SETTING),
            ("beta", self.beta, 0.0, LARGEST_SETTING),
            ("eps", self.eps, SMALLEST_RATE, LARGEST_SETTING),
            ("intercept_init", self.intercept_init, -LARGEST_SETTING, LARGEST_SETTING),
            ("intercept_lr", self.intercept_lr, 0.0, LARGEST_SETTING),
            ("clip_gradient", self.clip_gradient, 0.0, 1e12),
        ):
            if not smallest <= value <= largest:
                raise LearnerError(f"{name} must be in [{smallest:g}, {largest:g}], got {value}")
        if self._kind == linear.SGD and lr * l2 > 1.0:
            raise LearnerError(f"with lr * l2 = {lr * l2:g} above 1 the weights would diverge")
        scalars = np.zeros(8)
        scalars[linear.INTERCEPT] = self.intercept_init
        scalars[linear.RATE] = self.alpha if ftrl else lr
        scalars[linear.INTERCEPT_RATE] = self.intercept_lr
        scalars[linear.CLIP] = self.clip_gradient
        scalars[linear.L1] = self.l1
        scalars[linear.L2] = l2
        scalars[linear.EPS] = self.eps
        scalars[linear.BETA] = self.beta
        return scalars

    @property
    def intercept(self) -> float:
        """The intercept."""
        return float(self._scalars[linear.INTERCEPT])

    @property
    def weights(self) -> dict[Hashable, float]:
        """Every weight by feature name, or by (name, category)."""
        return self._named(linear.WEIGHT)

    def learn_one(self, x: dict[Hashable, Any], y: base.typing.ClfTarget, w: float = 1.0) -> None:
        """Learn one observation with importance `w`; else as every learner here."""
        self._learn_dict(x, y, _weight(w))

    def predict_learn_one(
        self, x: dict[Hashable, Any], y: base.typing.ClfTarget, w: float = 1.0
    ) -> float:
        """Learn one observation; return the probability of True that it had before."""
        return self._learn_dict(x, y, _weight(w))

    def learn_many(self, X: Frame, y: Target, w: Any = 1.0) -> None:
        """Learn the rows one after the other, with importance `w`, a number or float64[n]."""
        self._learn_columns(X, y, w)

    def predict_learn_many(self, X: Frame, y: Target, w: Any = 1.0) -> Floats:
        """Predict each row and then learn it, before the next; return float64[n]."""
        return self._learn_columns(X, y, w)

    def _sound(self) -> bool:
        sums = {linear.ADAGRAD: [linear.FIRST], linear.SGD: []}.get(self._kind, [linear.SECOND])
        if self._scaled:
            sums += [linear.COUNT, linear.VARIANCE, linear.SCALE]
        return bool((self._table.state[:, sums] >= 0.0).all())

    def _learn_row(self, values: Floats, slots: Indices, y: float, w: float) -> float:
        return linear.learn_one(
            self._table.state,
            self._scalars,
            self._kind,
            self._scaled,
            values,
            slots,
            y,
            w,
            self.n_updates,
        )

    def _predict_row(self, values: Floats, slots: Indices) -> float:
        return linear.predict_one(self._table.state, self._scalars, self._scaled, values, slots)

    def _learn_rows(self, numeric: Floats, at: Resolved, y: Floats, w: Floats, out: Floats) -> None:
        linear.learn_rows(
            self._table.state,
            self._scalars,
            self._kind,
            self._scaled,
            numeric,
            at.numeric,
            at.coded,
            y,
            w,
            self.n_updates,
            np.empty(numeric.shape[1]),
            out,
        )

    def _predict_rows(self, numeric: Floats, at: Resolved, out: Floats) -> None:
        linear.predict_rows(
            self._table.state, self._scalars, self._scaled, numeric, at.numeric, at.coded, out
        )

    def _unit_test_skips(self) -> set[str]:
        return set()


def _weight(w: float) -> float:
    if type(w) is float and 0.0 <= w <= 1.0:
        return w
    return math.fsum(weights_of(w, 1))
