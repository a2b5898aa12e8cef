"""Observations as columns: a matrix of numbers, and a matrix of codes of categories."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import LearnerError
from .kernels.limits import LARGEST

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

MOST_CELLS = 1 << 27
"""The most rows times columns that `Columns.from_dicts` makes."""


class Columns:
    """A micro-batch of n observations: what a learner takes without a dictionary for each row.

    Parameters
    ----------
    numeric
        float64[n, d]; NaN is missing.
    numeric_names
        Names of the d numeric features.
    codes
        int32[n, c], places in the categories of each feature; -1 is missing.
    categorical_names
        Names of the c categorical features.
    categories
        For each categorical feature its categories; those that no row has are allowed.

    Attributes
    ----------
    numeric, numeric_names, codes, categorical_names, categories
        As the parameters; the arrays are copies, in C order. They must not be written.

    Raises
    ------
    LearnerError
        If shapes do not fit, a name occurs twice, a number is infinite or beyond `LARGEST`, or a
        code has no category.

    Examples
    --------
    >>> batch = Columns([[1.0], [np.nan]], ["visits"], [[0], [1]], ["channel"], [("web", "app")])
    >>> len(batch), batch[1:].to_dicts()
    (2, [{'channel': 'app'}])
    """

    __slots__ = ("categorical_names", "categories", "codes", "numeric", "numeric_names")

    numeric: Floats
    numeric_names: tuple[Hashable, ...]
    codes: Codes
    categorical_names: tuple[Hashable, ...]
    categories: tuple[tuple[str, ...], ...]

    def __init__(
        self,
        numeric: Any,
        numeric_names: Sequence[Hashable],
        codes: Any,
        categorical_names: Sequence[Hashable],
        categories: Sequence[Sequence[str]],
    ) -> None:
        self.numeric = np.array(numeric, np.float64, order="C", ndmin=2)
        wide = np.array(codes, order="C", ndmin=2)
        if wide.size and wide.dtype.kind not in "iu":
            raise LearnerError(f"codes must be integers, got {wide.dtype}")
        self.numeric_names = tuple(numeric_names)
        self.categorical_names = tuple(categorical_names)
        self.categories = tuple(tuple(known) for known in categories)
        for what, array, names in (
            ("numeric", self.numeric, self.numeric_names),
            ("codes", wide, self.categorical_names),
        ):
            if array.ndim != 2 or array.shape[1] != len(names):
                raise LearnerError(f"{what} of shape {array.shape} do not fit {len(names)} names")
            if len(set(names)) < len(names):
                raise LearnerError(f"a name occurs twice among the {what} features: {names!r}")
        if len(self.numeric) != len(wide):
            raise LearnerError(f"{len(self.numeric)} rows of numbers but {len(wide)} of codes")
        if len(self.categories) != len(self.categorical_names):
            raise LearnerError(
                f"categories of {len(self.categories)} features, names of {wide.shape[1]}"
            )
        for name, known, column in zip(
            self.categorical_names, self.categories, wide.T, strict=True
        ):
            wrong = (column < -1) | (column >= len(known))
            if wrong.any():
                raise LearnerError(
                    f"code {column[wrong][0]} of feature {name!r} is not among its "
                    f"{len(known)} categories"
                )
        self.codes = wide.astype(np.int32)
        self._check_numbers()

    def _check_numbers(self) -> None:
        wrong = np.abs(self.numeric) > LARGEST
        if wrong.any():
            row, j = np.argwhere(wrong)[0]
            raise LearnerError(
                f"feature {self.numeric_names[j]!r} is not a finite number in row {row}: "
                f"{self.numeric[row, j]!r}"
            )

    @classmethod
    def from_dicts(cls, rows: Sequence[Mapping[Hashable, Any]]) -> Columns:
        """Make columns of rows: numbers, strings, and None or NaN for missing.

        A name that has numbers in some rows and strings in others becomes two features.

        Raises
        ------
        LearnerError
            If a value is of another type, or the columns would have more than `MOST_CELLS`.

        Examples
        --------
        >>> Columns.from_dicts([{"visits": 2, "channel": "web"}, {"visits": 3}]).numeric.tolist()
        [[2.0], [3.0]]
        """
        columns: dict[Hashable, list[Any]] = {}
        for row in rows:
            for name in row:
                if name not in columns:
                    columns[name] = []
                    _check_size(len(rows), len(columns))
        for name, values in columns.items():
            values.extend([row.get(name) for row in rows])
        return cls._assemble(len(rows), [_of_values(name, v) for name, v in columns.items()])

    @classmethod
    def from_frame(cls, frame: Any) -> Columns:
        """Make columns of a pandas DataFrame.

        Numbers and booleans become numeric; strings and categories become codes; missing values
        are NaN, None or NA.

        Raises
        ------
        LearnerError
            If a column is of another type; the message names it.
        """
        if not hasattr(frame, "iloc") or not hasattr(frame, "columns"):
            raise LearnerError(f"not a data frame: {type(frame).__name__}")
        parts: list[_Part] = []
        for j, name in enumerate(frame.columns):
            series = frame.iloc[:, j]
            arrow = str(getattr(series.dtype, "pyarrow_dtype", ""))
            if arrow and arrow not in _PANDAS_READS and not arrow.startswith("decimal"):
                parts.append(_of_arrow(name, series.array.__arrow_array__()))
                continue
            kind = series.dtype.kind
            if kind in "biuf":
                parts.append(_Part(name, _numbers(name, series.to_numpy("float64", na_value=NAN))))
            elif kind in "OUT":
                parts.append(_of_series(name, series))
            else:
                raise LearnerError(
                    f"feature {name!r} is neither numbers nor strings but {series.dtype}"
                )
        return cls._assemble(len(frame), parts)

    @classmethod
    def from_arrow(cls, data: Any) -> Columns:
        """Make columns of an Arrow Table or RecordBatch.

        Numbers and booleans become numeric; strings, dictionary-encoded or not, become codes;
        null is missing.

        Raises
        ------
        LearnerError
            If a column is of another type; the message names it.
        """
        if not hasattr(data, "schema") or not hasattr(data, "num_rows"):
            raise LearnerError(f"not an Arrow table: {type(data).__name__}")
        names = data.schema.names
        return cls._assemble(
            data.num_rows, [_of_arrow(name, data.column(i)) for i, name in enumerate(names)]
        )

    @classmethod
    def _assemble(cls, n: int, parts: Sequence[_Part]) -> Columns:
        """Put checked columns side by side; a code is known to have its category."""
        numeric = [part for part in parts if part.numbers is not None]
        coded = [part for part in parts if part.codes is not None]
        made = cls.__new__(cls)
        made.numeric = np.empty((n, len(numeric)))
        made.codes = np.empty((n, len(coded)), np.int32)
        for j, part in enumerate(numeric):
            made.numeric[:, j] = part.numbers
        for j, part in enumerate(coded):
            if part.codes is not None:
                made.codes[:, j] = part.codes
        made.numeric_names = tuple(part.name for part in numeric)
        made.categorical_names = tuple(part.name for part in coded)
        made.categories = tuple(tuple(part.categories) for part in coded)
        for names in (made.numeric_names, made.categorical_names):
            if len(set(names)) < len(names):
                raise LearnerError(f"a name occurs twice among the features: {names!r}")
        made._check_numbers()
        return made

    def __len__(self) -> int:
        return len(self.numeric)

    def __getitem__(self, rows: slice) -> Columns:
        """Return some of the rows; nothing is copied but what a step other than 1 needs."""
        made = Columns.__new__(Columns)
        made.numeric = np.ascontiguousarray(self.numeric[rows])
        made.codes = np.ascontiguousarray(self.codes[rows])
        made.numeric_names = self.numeric_names
        made.categorical_names = self.categorical_names
        made.categories = self.categories
        return made

    def batches(self, size: int) -> Iterator[Columns]:
        """Yield all rows in order, `size` at a time.

        Raises
        ------
        LearnerError
            If the size is below 1.
        """
        if size < 1:
            raise LearnerError(f"a batch has at least 1 row, got {size}")
        return (self[start : start + size] for start in range(0, len(self), size))

    def to_dicts(self) -> list[dict[Hashable, Any]]:
        """Return the rows as `from_dicts` takes them, numbers first, without what is missing."""
        out: list[dict[Hashable, Any]] = []
        coded = list(zip(self.categorical_names, self.categories, strict=True))
        for numbers, codes in zip(self.numeric.tolist(), self.codes.tolist(), strict=True):
            row = {
                name: number
                for name, number in zip(self.numeric_names, numbers, strict=True)
                if number == number  # not missing
            }
            for (name, known), code in zip(coded, codes, strict=True):
                if code >= 0:
                    row[name] = known[code]
            out.append(row)
        return out


NAN = float("nan")
_SIZES = (8, 16, 32, 64)
_ARROW_NUMBERS = frozenset(
    ["null", "bool", "double", "float", "halffloat"]
    + [f"int{size}" for size in _SIZES]
    + [f"uint{size}" for size in _SIZES]
)
_PANDAS_READS = ("string", "large_string")
_ARROW_STRINGS = frozenset([*_PANDAS_READS, "string_view"])


class _Part:
    """One name: its numbers, its codes and categories, or both."""

    __slots__ = ("categories", "codes", "name", "numbers")

    def __init__(
        self,
        name: Hashable,
        numbers: Floats | None,
        codes: NDArray[Any] | None = None,
        categories: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.numbers = numbers
        self.codes = codes
        self.categories = categories


def number_of(name: Hashable, value: Any) -> float:
    """Return a value of a feature as a number; the missing value of pandas is NaN.

    Raises
    ------
    LearnerError
        If it is not one.

    Examples
    --------
    >>> number_of("visits", np.int8(3))
    3.0
    """
    if type(value).__name__ == "NAType":
        return NAN
    if not isinstance(value, bytes | bytearray | str):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    raise LearnerError(f"feature {name!r} is neither a number nor a string: {value!r}")


def _of_series(name: Hashable, series: Any) -> _Part:
    try:
        coded = series.astype("category").cat
    except TypeError:  # some value is not hashable
        return _of_values(name, series.tolist())
    categories = coded.categories.tolist()
    if categories and all(isinstance(category, str) for category in categories):
        return _Part(name, None, coded.codes.to_numpy(), categories)
    return _of_values(name, series.tolist())


def _of_values(name: Hashable, values: Sequence[Any]) -> _Part:
    places: dict[str, int] = {}
    numbers, codes = [NAN] * len(values), [-1] * len(values)
    any_number = False
    for i, value in enumerate(values):
        if isinstance(value, str):
            codes[i] = places.setdefault(value, len(places))
        elif value is not None:
            numbers[i] = number_of(name, value)
            any_number = any_number or numbers[i] == numbers[i]
    if places:
        numeric = np.array(numbers) if any_number else None
        return _Part(name, numeric, np.array(codes), list(places))
    return _Part(name, np.array(numbers))


def _of_arrow(name: Hashable, column: Any) -> _Part:
    coded = str(column.type).startswith("dictionary<")
    kind = str(column.type.value_type if coded else column.type)
    if kind not in _ARROW_NUMBERS and kind not in _ARROW_STRINGS:
        raise LearnerError(f"feature {name!r} is neither numbers nor strings but {kind}")
    if hasattr(column, "chunks"):
        try:
            column = column.unify_dictionaries()
        except ValueError:  # there is a null in one of them
            column, coded = _decoded(name, column), False
        column = column.combine_chunks()
    if kind in _ARROW_NUMBERS:
        if coded:
            column = _decoded(name, column)
        if kind != "double":
            column = column.cast("float64", safe=False)
        return _Part(name, column.to_numpy(zero_copy_only=False))
    if not coded:
        column = column.cast("string").dictionary_encode()
    indices = column.indices
    if indices.null_count:
        unsigned = str(indices.type).startswith("u")
        indices = (indices.cast("int64") if unsigned else indices).fill_null(-1)
    codes = indices.to_numpy(zero_copy_only=False)
    categories = column.dictionary.to_pylist()
    if codes.size and not -1 <= codes.min() <= codes.max() < len(categories):
        raise _wild(name)
    if None in categories:  # a null may stand in the dictionary instead of in the rows
        missing = np.array([category is None for category in categories])
        codes = np.where((codes >= 0) & missing[codes], -1, codes)
        categories = ["" if category is None else category for category in categories]
    return _Part(name, None, codes, categories)


def _decoded(name: Hashable, column: Any) -> Any:
    try:
        return column.cast(column.type.value_type)
    except IndexError:
        raise _wild(name) from None


def _wild(name: Hashable) -> LearnerError:
    return LearnerError(f"feature {name!r} has an index without a dictionary entry")


def _numbers(name: Hashable, values: Any) -> Floats:
    if values.ndim != 1:
        raise LearnerError(f"feature {name!r} has values of shape {values.shape[1:]}")
    return np.asarray(values, np.float64)


def _check_size(rows: int, columns: int) -> None:
    if rows * columns > MOST_CELLS:
        raise LearnerError(
            f"{rows} rows have more than {columns - 1} different names: "
            f"more than {MOST_CELLS} cells as columns; give fewer rows at a time"
        )
