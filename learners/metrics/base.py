"""What all measures of predicted probabilities share: updates, merging, snapshots, River's ways."""

from __future__ import annotations

import abc
import math
import operator
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from river import base

from ..checkpoint import Data, fill, pack, reading, unpack
from ..errors import LearnerError

Floats = NDArray[np.float64]
Prediction = float | dict[Any, float]
"""The probability of True, or one by label as `predict_proba_one` gives it."""

_ONES = np.ones(1 << 12)


class One(Protocol):
    """A kernel that adds an outcome to sums."""

    def __call__(self, sums: Floats, y: float, p: float, w: float) -> None:
        """Add outcome ``y``, predicted with ``p``, ``w`` times."""


class Many(Protocol):
    """A kernel that adds rows of outcomes to sums, in order."""

    def __call__(self, sums: Floats, y: Floats, p: Floats, w: Floats) -> None:
        """Add a row each of ``y``, ``p`` and ``w``."""


class Measure(base.Base, abc.ABC):
    """A measure of predicted probabilities that is a function of sums over the predictions.

    That it is made of sums is what makes it streaming, mergeable, and `Decayed` and `Windowed`
    versions of it possible. River takes it wherever it takes a metric of its own
    (`river.evaluate.progressive_val_score` and the others), though it does not import River's,
    which takes seconds; `as_river` gives an instance of River's class.
    """

    bigger_is_better: bool = False
    """Whether a high value is better than a low one."""
    requires_labels: ClassVar[bool] = False
    """It wants probabilities."""
    works_with_weights: ClassVar[bool] = True
    """A prediction may have a weight."""

    _fmt: str = ",.6f"

    @property
    @abc.abstractmethod
    def sums(self) -> Floats:
        """float64, the sums that the measure is a function of; what they are, its kernel says."""

    @abc.abstractmethod
    def _kernels(self) -> tuple[One, Many]:
        """Return what adds an outcome to the sums, and what adds many."""

    @abc.abstractmethod
    def _put(self, sums: Floats) -> None:
        """Take over other sums."""

    @abc.abstractmethod
    def _value(self, sums: Floats) -> float:
        """Return the measure of sums."""

    def _exact(self, y: Floats, p: Floats, w: Floats) -> float:
        """Return the measure of these rows alone; at least as precise as by the sums."""
        sums = np.zeros_like(self.sums)
        self._kernels()[1](sums, y, p, w)
        return self._value(sums)

    def get(self) -> float:
        """Return the value, NaN as long as there is none."""
        return self._value(self.sums)

    def update(self, y_true: bool, y_pred: Prediction, w: float = 1) -> None:
        """Count one prediction.

        Parameters
        ----------
        y_true
            What happened: True or False (or 1 or 0).
        y_pred
            The probability of True, in [0, 1]; or one by label.
        w
            How often it counts; positive.

        Raises
        ------
        LearnerError
            If a value is not such.
        """
        sums = self.sums
        self._kernels()[0](sums, label(y_true), probability(y_pred), float(weight(w)))
        self._put(sums)

    def revert(self, y_true: bool, y_pred: Prediction, w: float = 1) -> None:
        """Take a prediction back that was counted (sums of floats keep a rounding error)."""
        sums = self.sums
        self._kernels()[0](sums, label(y_true), probability(y_pred), -float(weight(w)))
        self._put(sums)

    def update_many(self, y: ArrayLike, p: ArrayLike, w: ArrayLike | None = None) -> None:
        """Count a column of predictions: the same bits as `update` in that order.

        Parameters
        ----------
        y
            bool[n] (or numbers 0 and 1), what happened.
        p
            float[n], the probabilities of True.
        w
            float[n], how often each counts; None: once.

        Raises
        ------
        LearnerError
            If a row is not such, naming it; then none is counted.
        """
        sums = self.sums
        self._kernels()[1](sums, *columns(y, p, w))
        self._put(sums)

    def merge(self, other: Self) -> None:
        """Add the predictions that `other` has counted.

        Raises
        ------
        LearnerError
            If it is another measure, or has other settings.
        """
        self._check_alike(other)
        self._put(self.sums + other.sums)

    def to_bytes(self) -> bytes:
        """Return a snapshot, from which `from_bytes` makes an equal measure."""
        return pack(type(self).__name__, self._settings(), self._snapshot())

    @classmethod
    def from_bytes(cls, data: Data) -> Self:
        """Return the measure of a snapshot; it continues bit for bit.

        Raises
        ------
        LearnerError
            If the bytes are damaged, or are not a snapshot of such a measure.
        """
        values, arrays = unpack(data, cls.__name__)
        with reading(cls.__name__):
            made = cls._of(values)
            made._fill(arrays)
        return made

    @classmethod
    def _of(cls, settings: Mapping[str, Any]) -> Self:
        return cls(**settings)

    def _snapshot(self) -> dict[str, NDArray[Any]]:
        return {"sums": self.sums}

    def _fill(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        sums = self.sums
        fill_sums(sums, arrays)
        self._put(sums)

    def _settings(self) -> dict[str, Any]:
        """Return the arguments of the class, plain."""
        return dict(self._get_params())

    def _check_alike(self, other: object) -> None:
        if type(other) is not type(self):
            raise LearnerError(
                f"cannot merge a {type(other).__name__} into a {type(self).__name__}"
            )
        if other._settings() != self._settings():
            raise LearnerError(
                f"cannot merge a {type(self).__name__} of {other._settings()} into one "
                f"of {self._settings()}"
            )

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]

    # What River asks of a metric.

    def works_with(self, model: base.Estimator) -> bool:
        """Return whether River may measure a model with this: a classifier."""
        return isinstance(model, base.Classifier)

    def is_better_than(self, other: Any) -> bool:
        """Return whether the value is better than that of another measure."""
        better = operator.gt if self.bigger_is_better else operator.lt
        return bool(better(self.get(), other.get()))

    def __gt__(self, other: Any) -> bool:
        return self.is_better_than(other)

    def __add__(self, other: Any) -> Any:
        return self.as_river() + (other.as_river() if isinstance(other, Measure) else other)

    def __repr__(self) -> str:
        return f"{self._title()}: {self.get():{self._fmt}}"

    def __str__(self) -> str:
        return repr(self)

    def _title(self) -> str:
        return type(self).__name__

    def as_river(self) -> Any:
        """Return a `river.metrics.base.BinaryMetric` that updates this measure.

        Examples
        --------
        >>> from river import metrics
        >>> from nextbest.learners import LogLoss
        >>> loss = LogLoss()
        >>> both = metrics.Accuracy() + loss.as_river()
        >>> both.update(True, {False: 0.2, True: 0.8})
        >>> both
        Accuracy: 100.00%
        LogLoss: 0.223144
        """
        from .river_metric import RiverMetric

        return RiverMetric(self)


def fill_sums(sums: Floats, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Copy the sums of a snapshot; ones that no predictions can lead to are a `LearnerError`."""
    fill(sums, arrays, "sums")
    if not np.isfinite(sums).all():
        raise LearnerError("model snapshot of a measure whose sums are not finite")


def label(y: object) -> float:
    """Return an outcome as 0.0 or 1.0; what is neither True nor False is a `LearnerError`."""
    if y is True or y is False or y in (0, 1):
        return 1.0 if y else 0.0
    raise LearnerError(f"an outcome must be True or False, got {y!r}")


def probability(prediction: Prediction) -> float:
    """Return the probability of True; one outside [0, 1] is a `LearnerError`."""
    p = prediction.get(True, 0.0) if isinstance(prediction, dict) else prediction
    if not 0.0 <= p <= 1.0:
        raise LearnerError(f"a probability must be in [0, 1], got {p!r}")
    return float(p)


def weight(w: float) -> float:
    """Return a weight; one that is not positive and finite is a `LearnerError`."""
    if not 0.0 < w < math.inf:
        raise LearnerError(f"a weight must be positive and finite, got {w!r}")
    return w if type(w) is int else float(w)


def columns(y: ArrayLike, p: ArrayLike, w: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Return outcomes, probabilities and weights as float64[n].

    Raises
    ------
    LearnerError
        If they are not such, naming the row.
    """
    outcomes = _floats("outcomes", y)
    predicted = _floats("probabilities", p)
    n = len(predicted)
    weights = (_ONES[:n] if n <= len(_ONES) else np.ones(n)) if w is None else _floats("weights", w)
    if not len(outcomes) == n == len(weights):
        raise LearnerError(
            f"{len(outcomes)} outcomes, {n} probabilities and {len(weights)} weights: "
            "a row must have one of each"
        )
    _check("an outcome must be True or False", outcomes, (outcomes == 0.0) | (outcomes == 1.0))
    _check("a probability must be in [0, 1]", predicted, (predicted >= 0.0) & (predicted <= 1.0))
    if w is not None:
        _check(
            "a weight must be positive and finite", weights, (weights > 0.0) & (weights < math.inf)
        )
    return outcomes, predicted, weights


def _floats(what: str, values: ArrayLike) -> Floats:
    try:
        array = np.ascontiguousarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise LearnerError(f"{what} must be numbers: {error}") from None
    if np.ndim(values) != 1:
        raise LearnerError(f"{what} must be one column, got the shape {np.shape(values)}")
    return array


def _check(what: str, values: Floats, good: NDArray[np.bool_]) -> None:
    if not good.all():
        row = int(np.argmin(good))
        raise LearnerError(f"{what}, got {float(values[row])!r} in row {row}")
