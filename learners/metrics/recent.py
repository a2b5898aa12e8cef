"""Any measure of the last predictions alone, or with weights that fade."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checkpoint import fill
from ..errors import LearnerError
from ..kernels import measures
from .base import (
    Floats,
    Many,
    Measure,
    One,
    Prediction,
    columns,
    fill_sums,
    label,
    probability,
    weight,
)
from .calibration import Calibration
from .losses import Brier, LogLoss, NormalizedEntropy
from .ranking import AUC

LARGEST_WINDOW = 1 << 24
_FURTHEST = 64.0  # half-lives that weights may grow before all sums are scaled back

KINDS: dict[str, type[Measure]] = {
    kind.__name__: kind for kind in (AUC, Brier, Calibration, LogLoss, NormalizedEntropy)
}
"""What there can be a recent version of, by name."""


class _Recent(Measure):
    """A version of a measure, which it asks for everything but what counts how much."""

    def __init__(self, measure: Measure) -> None:
        if KINDS.get(type(measure).__name__) is not type(measure):
            raise LearnerError(f"measure must be one of {', '.join(KINDS)}, got {measure!r:.100}")
        self.measure = measure.clone()
        self.bigger_is_better = measure.bigger_is_better
        self._fmt = measure._fmt

    def current(self) -> Measure:
        """Return the measure with what counts now alone, each prediction by its weight now.

        So a `Calibration` gives its table and its ratio, an `AUC` its bound.
        """
        measure = self.measure.clone()
        measure._put(self.sums)
        return measure

    def _kernels(self) -> tuple[One, Many]:
        return self.measure._kernels()

    def _put(self, sums: Floats) -> None:
        raise LearnerError(f"the sums of a {type(self).__name__} follow from what it has counted")

    def _value(self, sums: Floats) -> float:
        return self.measure._value(sums)

    def _title(self) -> str:
        return f"{type(self).__name__}({self.measure._title()})"

    def revert(self, y_true: bool, y_pred: Prediction, w: float = 1) -> None:
        """Refuse: what no longer counts, the measure knows by itself."""
        raise LearnerError(f"a {type(self).__name__} measure takes no prediction back")

    def _settings(self) -> dict[str, Any]:
        own = {key: v for key, v in self._get_params().items() if key != "measure"}
        return {"measure": [type(self.measure).__name__, self.measure._settings()], **own}

    @classmethod
    def _of(cls, settings: Mapping[str, Any]) -> Self:
        kind, own = settings["measure"]
        return cls(**{**settings, "measure": KINDS[kind](**own)})


class Windowed(_Recent):
    """A measure of the last predictions alone, exactly: as if counted anew from them.

    Parameters
    ----------
    measure
        An `AUC`, `Brier`, `Calibration`, `LogLoss` or `NormalizedEntropy`; what it has counted
        itself is left out. Not its sums are asked but the predictions, so that an `AUC` is exact.
    size
        How many predictions; up to `LARGEST_WINDOW`. Each takes 17 bytes, and `get` goes over all.

    Examples
    --------
    >>> metric = Windowed(AUC(), size=4)
    >>> metric.update_many([1, 0, 0, 1, 1], [0.1, 0.003, 0.004, 0.0035, 0.008])
    >>> metric
    Windowed(AUC): 75.00%
    """

    def __init__(self, measure: Measure, size: int = 1000) -> None:
        super().__init__(measure)
        if type(size) is not int or not 1 <= size <= LARGEST_WINDOW:
            raise LearnerError(f"size must be 1 to {LARGEST_WINDOW}, got {size!r}")
        self.size = size
        self._y, self._p, self._w = np.zeros(size, np.uint8), np.zeros(size), np.zeros(size)
        self._n = 0  # in the window
        self._next = 0  # place of the next

    @property
    def n(self) -> int:
        """How many predictions the window holds."""
        return self._n

    def window(self) -> tuple[NDArray[np.bool_], Floats, Floats]:
        """Return outcomes bool[n], probabilities float64[n] and weights float64[n], oldest first.

        What `reliability` and `roc_auc` take.
        """
        places = np.arange(self._next - self._n, self._next) % self.size
        return self._y[places].astype(np.bool_), self._p[places], self._w[places]

    @property
    def sums(self) -> Floats:
        """float64, the sums over the window."""
        y, p, w = self.window()
        sums = np.zeros_like(self.measure.sums)
        self._kernels()[1](sums, y.astype(np.float64), p, w)
        return sums

    def get(self) -> float:
        """Return the value of the window, NaN as long as there is none."""
        y, p, w = self.window()
        return self.measure._exact(y.astype(np.float64), p, w)

    def update(self, y_true: bool, y_pred: Prediction, w: float = 1) -> None:
        """As `Measure.update`."""
        y, p, one = label(y_true), probability(y_pred), weight(w)
        at = self._next
        self._y[at], self._p[at], self._w[at] = y, p, one
        self._next = (at + 1) % self.size
        self._n = min(self._n + 1, self.size)

    def update_many(self, y: ArrayLike, p: ArrayLike, w: ArrayLike | None = None) -> None:
        """As `Measure.update_many`."""
        outcomes, predicted, weights = (column[-self.size :] for column in columns(y, p, w))
        n = len(predicted)
        places = np.arange(self._next, self._next + n) % self.size
        self._y[places], self._p[places], self._w[places] = outcomes, predicted, weights
        self._next = (self._next + n) % self.size
        self._n = min(self._n + n, self.size)

    def merge(self, other: Self) -> None:
        """Count the predictions of another window after those of this one.

        Raises
        ------
        LearnerError
            As `Measure.merge`.
        """
        self._check_alike(other)
        self.update_many(*other.window())

    def _snapshot(self) -> dict[str, NDArray[Any]]:
        y, p, w = self.window()
        return {"y": y, "p": p, "w": w}

    def _fill(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        y, p, w = (arrays[name] for name in ("y", "p", "w"))
        if len(p) > self.size:
            raise LearnerError(f"model snapshot of a window of {self.size} holds {len(p)}")
        self.update_many(y, p, w)


class Decayed(_Recent):
    """A measure with exponentially fading weights: how the predictions are lately.

    Parameters
    ----------
    measure
        As of `Windowed`.
    half_life
        After so many further predictions, one counts half. Positive.

    Examples
    --------
    >>> metric = Decayed(Brier(), half_life=1.0)
    >>> metric.update_many([False, True], [0.0, 0.0])
    >>> round(metric.get(), 4)
    0.6667
    >>> metric.current().n
    1.5
    """

    def __init__(self, measure: Measure, half_life: float = 1000.0) -> None:
        super().__init__(measure)
        if not 0.0 < half_life < np.inf:
            raise LearnerError(f"half_life must be positive, got {half_life!r}")
        self.half_life = float(half_life)
        self._sums = np.zeros_like(self.measure.sums)
        self._age = 0  # predictions since one had the weight 1

    @property
    def sums(self) -> Floats:
        """float64, the sums with the newest prediction's weight 1."""
        return self._sums * measures.fade(1 - self._age, self.half_life)

    def update(self, y_true: bool, y_pred: Prediction, w: float = 1) -> None:
        """As `Measure.update`."""
        y, p, own = label(y_true), probability(y_pred), float(weight(w))
        self._make_room()
        self._kernels()[0](self._sums, y, p, own * measures.fade(self._age, self.half_life))
        self._age += 1

    def update_many(self, y: ArrayLike, p: ArrayLike, w: ArrayLike | None = None) -> None:
        """As `Measure.update_many`."""
        outcomes, predicted, own = columns(y, p, w)
        at = 0
        while at < len(predicted):
            end = min(at + self._make_room(), len(predicted))
            weights = np.empty(end - at)
            measures.fade_many(self._age, self.half_life, own[at:end], weights)
            self._kernels()[1](self._sums, outcomes[at:end], predicted[at:end], weights)
            self._age += end - at
            at = end

    def merge(self, other: Self) -> None:
        """Add the predictions of another one, as made alongside: each keeps its own age.

        Raises
        ------
        LearnerError
            As `Measure.merge`.
        """
        self._check_alike(other)
        self._sums = self.sums + other.sums
        self._age = 1

    def _make_room(self) -> int:
        """Return how many more predictions there is room for, at least one.

        Newer ones are given larger weights instead of all sums smaller ones, up to a limit.
        """
        if self._age > self._oldest():
            self._sums *= measures.fade(-self._age, self.half_life)
            self._age = 0
        return self._oldest() + 1 - self._age

    def _oldest(self) -> int:
        return int(min(_FURTHEST * self.half_life, 1 << 62))

    def _snapshot(self) -> dict[str, NDArray[Any]]:
        return {"sums": self._sums, "age": np.array(self._age)}

    def _fill(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        age = np.zeros((), np.int64)
        fill(age, arrays, "age")
        if not 0 <= age <= self._oldest() + 1:
            raise LearnerError(f"model snapshot of a Decayed measure with the age {age}")
        fill_sums(self._sums, arrays)
        self._age = int(age)
