"""What classifiers with a weight for each feature or category share: rows in, slots out."""

from __future__ import annotations

import abc
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from river import base

from .binding import Binding, Resolved
from .checkpoint import Data, fill, pack, reading, unpack
from .columns import Columns, number_of
from .errors import LearnerError
from .interning import USED, Interning, order_in_row
from .kernels.limits import LARGEST
from .kernels.slots import UNKNOWN
from .labels import Target, label_of, labels_of, weights_of

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Frame = Any
"""A pandas DataFrame, an Arrow table or record batch, or `Columns`."""

WINDOW = 1024
"""Rows that are resolved at once, so that slots stay in the processor's cache."""


class InternedClassifier(base.MiniBatchClassifier):
    """A binary classifier whose weights are slots of a bounded table.

    A number is a feature, a string a category with a weight of its own; None and NaN are
    missing. A subclass says what is a slot's state and how a row is learned. The order in which
    a row is summed up is numbers first, so that a row learned as columns and as a dictionary
    with numbers first gives the same bits.

    Parameters
    ----------
    max_weights
        Bound of memory: the most features and categories with a weight at a time. When more
        come, the least recently used are forgotten.
    fresh
        The state of a new weight.
    """

    def __init__(self, max_weights: int, fresh: Sequence[float]) -> None:
        self.max_weights = max_weights
        self.n_updates = 0
        self._table = Interning(max_weights, fresh)
        self._binding = Binding()

    _scalars: Floats
    """Numbers of the model beside the table: settings, and at `_learned` what it learns."""
    _learned: Sequence[int] = ()

    def to_bytes(self) -> bytes:
        """Return a snapshot, from which `from_bytes` makes an equal model.

        Raises
        ------
        LearnerError
            If the name of a feature is neither a string nor an integer, or names are more than a
            snapshot holds.
        """
        features, arrays = self._table.written()
        values = {
            "settings": self._get_params(),
            "features": features,
            "n_updates": self.n_updates,
            "evicted": self._table.evicted,
        }
        learned = self._scalars[list(self._learned)]
        return pack(type(self).__name__, values, {**arrays, "learned": learned})

    @classmethod
    def from_bytes(cls, data: Data) -> Self:
        """Return the model of a snapshot; it continues bit for bit.

        Raises
        ------
        LearnerError
            If the bytes are damaged, of another version or kind, or hold no such model.
        """
        values, arrays = unpack(data, cls.__name__)
        with reading(cls.__name__):
            model = cls(**values["settings"])
            learned = model._scalars[list(cls._learned)]
            fill(learned, arrays, "learned")
            model._scalars[list(cls._learned)] = learned
            model._table.restore(values["features"], arrays, int(values["evicted"]))
            model.n_updates = int(values["n_updates"])
            if not np.isfinite(learned).all() or not model._sound() or model.n_updates < 0:
                raise LearnerError(f"snapshot of a {cls.__name__} with numbers that cannot be")
        return model

    @abc.abstractmethod
    def _sound(self) -> bool:
        """Return whether what was learned is in its range, if it is finite."""

    @property
    def n_weights(self) -> int:
        """How many features and categories have a weight now."""
        return len(self._table)

    @property
    def n_evicted(self) -> int:
        """How many weights made room for others so far."""
        return self._table.evicted

    def _named(self, column: int) -> dict[Hashable, float]:
        """Return one number of every weight by feature, or by (feature, category)."""
        return {
            name if category is None else (name, category): float(self._table.state[slot, column])
            for name, category, slot in self._table
        }

    @abc.abstractmethod
    def _learn_row(self, values: Floats, slots: Indices, y: float, w: float) -> float:
        """Learn a row of d values; the slots are theirs, then those of its categories.

        Return the probability before, or NaN if a value is out of range.
        """

    @abc.abstractmethod
    def _predict_row(self, values: Floats, slots: Indices) -> float:
        """Return the probability of such a row, or NaN."""

    @abc.abstractmethod
    def _learn_rows(self, numeric: Floats, at: Resolved, y: Floats, w: Floats, out: Floats) -> None:
        """Learn the resolved rows in order; write the probability before each."""

    @abc.abstractmethod
    def _predict_rows(self, numeric: Floats, at: Resolved, out: Floats) -> None:
        """Write the probability of every row."""

    def learn_one(self, x: dict[Hashable, Any], y: base.typing.ClfTarget) -> None:
        """Learn one observation.

        Raises
        ------
        LearnerError
            If a number is infinite or beyond `LARGEST`, a value is neither number, string nor
            None, the label is not True or False, or a row has more features than `max_weights`.
        """
        self._learn_dict(x, y, 1.0)

    def predict_learn_one(self, x: dict[Hashable, Any], y: base.typing.ClfTarget) -> float:
        """Learn one observation; return the probability of True that it had before.

        Raises
        ------
        LearnerError
            As `learn_one`.
        """
        return self._learn_dict(x, y, 1.0)

    def predict_proba_one(
        self, x: dict[Hashable, Any], **kwargs: Any
    ) -> dict[base.typing.ClfTarget, float]:
        """Return the probability of False and of True.

        Raises
        ------
        LearnerError
            If a value cannot be used, as in `learn_one`.
        """
        numbers, slots, coded, _ = self._look_up(x)
        slots += coded
        p = self._predict_row(_values(x, numbers), np.array(slots, np.int64))
        if p != p:
            raise _unusable(x)
        return {False: 1.0 - p, True: p}

    def learn_many(self, X: Frame, y: Target) -> None:
        """Learn the rows one after the other: the same weights as `learn_one` in that order.

        Either all rows are learned or, if one cannot be, none.

        Parameters
        ----------
        X
            n rows as `Columns`, or what they can be made of.
        y
            bool[n].

        Raises
        ------
        LearnerError
            As `learn_one`, and if there are not as many labels as rows.
        """
        self._learn_columns(X, y, 1.0)

    def predict_learn_many(self, X: Frame, y: Target) -> Floats:
        """Predict each row and then learn it, before the next; as `learn_many`.

        Returns
        -------
        float64[n], the probability of True that each row had before it was learned.

        Raises
        ------
        LearnerError
            As `learn_many`.
        """
        return self._learn_columns(X, y, 1.0)

    def predict_proba_many(self, X: Frame) -> Frame:
        """Return the probabilities of n rows.

        Returns
        -------
        For a DataFrame, one with the columns False and True and the same index; else float64[n],
        the probability of True.

        Raises
        ------
        LearnerError
            As `Columns`.
        """
        columns = as_columns(X)
        out = np.empty(len(columns))
        for start in range(0, len(columns), WINDOW):
            part = columns[start : start + WINDOW]
            at = self._binding.resolve(self._table, part, grow=False)
            self._predict_rows(part.numeric, at, out[start : start + WINDOW])
        if not hasattr(X, "iloc"):
            return out
        both = np.column_stack((1.0 - out, out))
        return type(X)(both, index=X.index, columns=[False, True])

    def predict_many(self, X: Frame) -> Frame:
        """Return the labels of n rows: a Series for a DataFrame, else bool[n].

        Raises
        ------
        LearnerError
            As `Columns`.
        """
        probabilities = self.predict_proba_many(X)
        if isinstance(probabilities, np.ndarray):
            return probabilities > 0.5
        return probabilities[True] > 0.5

    def _look_up(
        self, x: Mapping[Hashable, Any]
    ) -> tuple[list[float], list[int], list[int], list[tuple[Hashable, str | None]]]:
        """Return numbers and slots of the numbers, slots of the categories, and what is new.

        What is new has slot `UNKNOWN`; NaN is left out.
        """
        numeric, categorical = self._table.numeric, self._table.categorical
        numbers: list[float] = []
        slots: list[int] = []
        coded: list[int] = []
        new: list[tuple[Hashable, str | None]] = []
        for name, value in x.items():
            if isinstance(value, str):
                known = categorical.get(name)
                slot = UNKNOWN if known is None else known.get(value, UNKNOWN)
                if slot < 0:
                    new.append((name, value))
                coded.append(slot)
                continue
            if type(value) is not float and type(value) is not int:
                if value is None:
                    continue
                value = number_of(name, value)
            if value != value:
                continue
            slot = numeric.get(name, UNKNOWN)
            if slot < 0:
                new.append((name, None))
            numbers.append(value)
            slots.append(slot)
        return numbers, slots, coded, new

    def _learn_dict(self, x: Mapping[Hashable, Any], y: base.typing.ClfTarget, w: float) -> float:
        target = label_of(y)
        numbers, slots, coded, new = self._look_up(x)
        values = _values(x, numbers)
        if new:
            if (np.abs(values) > LARGEST).any():
                raise _unusable(x)
            self._make_room(slots + coded, len(new))
            new.sort(key=lambda each: order_in_row(*each))
            for name, category in new:
                self._table.intern(name, category)
            _, slots, coded, _ = self._look_up(x)
        slots += coded
        p = self._learn_row(values, np.array(slots, np.int64), target, w)
        if p != p:
            raise _unusable(x)
        self.n_updates += 1
        return p

    def _learn_columns(self, X: Frame, y: Target, w: Any) -> Floats:
        columns = as_columns(X)
        n = len(columns)
        targets, weights = labels_of(y, n), weights_of(w, n)
        self._check_width(columns)
        out = np.empty(n)
        start = 0
        while start < n:
            part = columns[start : start + WINDOW]
            at = self._binding.resolve(self._table, part, grow=True)
            stop = start + at.rows
            self._learn_rows(
                part.numeric, at, targets[start:stop], weights[start:stop], out[start:stop]
            )
            self.n_updates += at.rows
            if at.needed:
                present = at.numeric[~np.isnan(part.numeric[at.rows])]
                self._make_room([*present, *at.coded[at.rows]], at.needed)
            start = stop
        return out

    def _check_width(self, columns: Columns) -> None:
        if sum((columns.numeric.shape[1], columns.codes.shape[1])) > self.max_weights:
            present = (~np.isnan(columns.numeric)).sum(axis=1) + (columns.codes >= 0).sum(axis=1)
            most = int(present.max(initial=0))
            if most > self.max_weights:
                raise LearnerError(f"a row of {most} features, max_weights is {self.max_weights}")

    def _make_room(self, known: Sequence[int], needed: int) -> None:
        """Have room for new names, but keep the known ones of the same row."""
        if needed > self._table.free:
            if sum(slot >= 0 for slot in known) + needed > self.max_weights:
                raise LearnerError(
                    f"a row of {len(known)} features, max_weights is {self.max_weights}"
                )
            now = float(self.n_updates)
            self._table.state[[slot for slot in known if slot >= 0], USED] = now
            self._table.evict(needed, now)


def as_columns(X: Frame) -> Columns:
    """Return columns, made of a data frame or an Arrow table if need be.

    Raises
    ------
    LearnerError
        If it is none of these.

    Examples
    --------
    >>> batch = Columns.from_dicts([{"visits": 1.0}])
    >>> as_columns(batch) is batch
    True
    """
    if isinstance(X, Columns):
        return X
    if hasattr(X, "iloc"):
        return Columns.from_frame(X)
    if hasattr(X, "schema"):
        return Columns.from_arrow(X)
    raise LearnerError(f"neither columns, data frame nor Arrow table: {type(X).__name__}")


def _values(x: Mapping[Hashable, Any], numbers: list[float]) -> Floats:
    try:
        return np.array(numbers, np.float64)
    except OverflowError:  # an integer beyond all floats
        raise _unusable(x) from None


def _unusable(x: Mapping[Hashable, Any]) -> LearnerError:
    for name, value in _numbers(x):
        if abs(value) > LARGEST:
            return LearnerError(f"feature {name!r} is not a finite number: {x[name]!r}")
    return LearnerError(f"an observation without usable numbers: {x!r}")


def _numbers(x: Mapping[Hashable, Any]) -> Iterator[tuple[Hashable, float]]:
    for name, value in x.items():
        if value is not None and not isinstance(value, str):
            try:
                yield name, float(value)
            except OverflowError:
                yield name, np.inf
