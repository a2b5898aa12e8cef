"""A context as a model's arrays: the row of every active category, and the numbers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from .context import MISSING, OTHER
from .errors import LearnerError
from .kernels.limits import LARGEST

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_NONE_YET = -1


class Encoded(NamedTuple):
    """One context.

    Attributes
    ----------
    rows
        int64[C'], the rows of its categories that have one.
    unseen
        How many of its categories have none yet.
    x
        float64[1 + N]: 1, then the numbers; a missing one is 0.
    """

    rows: Indices
    unseen: int
    x: Floats


class ContextEncoder:
    """Give the categories of each context rows, as they come and as long as there is room.

    Parameters
    ----------
    numbers, contexts
        Names of the numeric and of the categorical contexts.
    max_categories
        Bound of the categories of one context; later ones share `OTHER`. Positive.

    Examples
    --------
    >>> encoder = ContextEncoder(["visits"], ["hour"], max_categories=1)
    >>> encoder.learn({"hour": "morning", "visits": 3}, most_rows=10)
    (array([0]), array([1., 3.]))
    >>> encoder.encode({"hour": "noon"})
    Encoded(rows=array([], dtype=int64), unseen=1, x=array([1., 0.]))
    >>> encoder.names
    [('hour', 'morning')]
    """

    def __init__(
        self, numbers: Sequence[str], contexts: Sequence[str], max_categories: int
    ) -> None:
        self.numbers, self.contexts = tuple(numbers), tuple(contexts)
        self.names: list[tuple[str, str]] = []
        """Context and category of each row."""
        self.closed: set[int] = set()
        """Positions of the contexts whose further categories count as `OTHER`."""
        self._rows: list[dict[str, int]] = [{} for _ in self.contexts]
        self._max = max_categories

    @property
    def reserved(self) -> int:
        """How many rows are or will be needed whatever comes: those there are, and `OTHER`s."""
        return len(self.names) + sum(OTHER not in known for known in self._rows)

    def restore(self, names: Sequence[tuple[str, str]], closed: Sequence[int]) -> None:
        """Take over `names` and `closed` of another encoder of the same contexts."""
        for name, category in names:
            self._add(self.contexts.index(name), category)
        self.closed.update(closed)

    def encode(self, context: Mapping[str, Any]) -> Encoded:
        """Return the arrays of a context; nothing is learned.

        Raises
        ------
        LearnerError
            If a category is neither a string nor None, or a number not finite.
        """
        rows = []
        for c, name in enumerate(self.contexts):
            row = self._find(c, context.get(name))
            if row >= 0:
                rows.append(row)
        unseen = len(self.contexts) - len(rows)
        return Encoded(np.array(rows, np.int64), unseen, self._vector(context))

    def rows_and_numbers(self, context: Mapping[str, Any], unseen: int) -> tuple[Indices, Floats]:
        """Return int64[C], with row `unseen` for what has none, and float64[1 + N].

        Raises
        ------
        LearnerError
            As `encode`.
        """
        found = [self._find(c, context.get(name)) for c, name in enumerate(self.contexts)]
        rows = np.array([row if row >= 0 else unseen for row in found], np.int64)
        return rows, self._vector(context)

    def learn(self, context: Mapping[str, Any], most_rows: int) -> tuple[Indices, Floats]:
        """Return rows and numbers of a context, with new rows for what is new.

        Raises
        ------
        LearnerError
            As `encode`; then nothing is new.
        """
        x = self._vector(context)
        values = [context.get(name) for name in self.contexts]
        rows = [self._find(c, value) for c, value in enumerate(values)]
        for c, row in enumerate(rows):
            if row < 0:
                rows[c] = self._found_or_new(c, values[c], most_rows)
        return np.array(rows, np.int64), x

    def learn_columns(
        self, columns: Mapping[str, Any], n: int, most_rows: int
    ) -> tuple[Indices, Floats]:
        """Return int64[n, C] and float64[n, 1 + N] of n contexts, as `learn` one by one.

        Raises
        ------
        LearnerError
            As `encode`, or if a column has not n values; then nothing is new.
        """
        rows, x, values = self._columns(columns, n)
        for r, c in np.argwhere(rows < 0).tolist():  # in the order of one by one
            rows[r, c] = self._found_or_new(c, values[c][r], most_rows)
        return rows, x

    def columns(self, columns: Mapping[str, Any], n: int, unseen: int) -> tuple[Indices, Floats]:
        """Return int64[n, C] and float64[n, 1 + N], each as `rows_and_numbers`.

        Raises
        ------
        LearnerError
            As `learn_columns`.
        """
        rows, x, _ = self._columns(columns, n)
        rows[rows < 0] = unseen
        return rows, x

    def copy(self) -> Self:
        """Return an encoder that does not see what this one learns."""
        other = type(self)(self.numbers, self.contexts, self._max)
        other.names, other.closed = list(self.names), set(self.closed)
        other._rows = [dict(known) for known in self._rows]
        return other

    def _columns(
        self, columns: Mapping[str, Any], n: int
    ) -> tuple[Indices, Floats, list[list[Any]]]:
        x = np.ones((n, 1 + len(self.numbers)))
        for j, name in enumerate(self.numbers):
            x[:, 1 + j] = _numbers(name, _column(columns, name, n))
        values = [_column(columns, name, n) for name in self.contexts]
        rows = np.empty((n, len(values)), np.int64)
        for c, column in enumerate(values):
            rows[:, c] = [self._find(c, value) for value in column]
        return rows, x, values

    def _find(self, c: int, value: object) -> int:
        """Return the row of a value, `_NONE_YET` if it may get one."""
        if value is None:
            value = MISSING
        elif not isinstance(value, str):
            raise LearnerError(
                f"context {self.contexts[c]!r} must be a string or None, got {value!r}"
            )
        known = self._rows[c]
        row = known.get(value, _NONE_YET)
        if row < 0 and c in self.closed:
            row = known.get(OTHER, _NONE_YET)
        return row

    def _found_or_new(self, c: int, value: str | None, most_rows: int) -> int:
        row = self._find(c, value)
        if row < 0:
            category = MISSING if value is None else value
            full = len(self._rows[c]) >= self._max or self.reserved >= most_rows
            if full and category != OTHER:
                self.closed.add(c)
                category = OTHER
                row = self._find(c, OTHER)
            if row < 0:
                row = self._add(c, category)
        return row

    def _add(self, c: int, category: str) -> int:
        row = self._rows[c][category] = len(self.names)
        self.names.append((self.contexts[c], category))
        return row

    def _vector(self, context: Mapping[str, Any]) -> Floats:
        numbers = [_number(name, context.get(name)) for name in self.numbers]
        return np.array([1.0, *numbers])


def _number(name: str, value: object) -> float:
    if value is None:
        return 0.0
    try:
        number = float(value)  # type: ignore[arg-type]  # or else the error below
    except (TypeError, ValueError, OverflowError):
        number = np.nan
    if isinstance(value, str | bytes) or not -LARGEST <= number <= LARGEST:
        raise LearnerError(f"context {name!r} must be a finite number or None, got {value!r}")
    return number


def _numbers(name: str, column: list[Any]) -> Floats | list[float]:
    if set(map(type, column)) <= {float, int}:
        try:
            array = np.array(column, np.float64)
        except OverflowError:  # an integer beyond all floats
            array = np.array([np.nan])
        if (np.abs(array) <= LARGEST).all():
            return array
    return [_number(name, value) for value in column]


def _column(columns: Mapping[str, Any], name: str, n: int) -> list[Any]:
    try:
        column = columns[name]
    except KeyError:
        return [None] * n
    for convert in ("tolist", "to_pylist"):
        if hasattr(column, convert):
            column = getattr(column, convert)()
            break
    values = list(column)
    if len(values) != n:
        raise LearnerError(f"context {name!r} must have {n} values, got {len(values)}")
    return values
