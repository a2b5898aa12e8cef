"""Reading and checking the columns of an Arrow table of events, without a loop over good rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .errors import SourceError
from .event_check import id_fault, time_fault
from .events import MAX_TIMESTAMP, RESERVED, EventSchema, PropertyType
from .kernels.layout import MAX_ID_BYTES

WORDS_TYPE = pa.dictionary(pa.int32(), pa.string())
TIME_TYPE = pa.timestamp("us", "UTC")
MAX_CHARACTERS = {"channel": 64}
MAX_TEXT = 4096
"""The longest string of a property, in characters; `MAX_CHARACTERS` has the exceptions."""

_MAX_INT = 2**53
_UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}


class Findings:
    """The first thing found wrong with each row."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[str, str]] = {}

    def add(self, bad: Any, path: str, reason: str | Callable[[int], str]) -> None:
        """Note the rows where ``bad`` (bool[n]) holds."""
        for row in np.flatnonzero(bad).tolist():
            if row not in self.rows:
                self.rows[row] = (reason if isinstance(reason, str) else reason(row), path)

    def drop_from(self, table: pa.Table) -> tuple[pa.Table, npt.NDArray[np.int64]]:
        """Return the table without those rows, and which rows are left."""
        good = np.ones(table.num_rows, dtype=np.bool_)
        if not self.rows:
            return table, np.arange(table.num_rows, dtype=np.int64)
        good[list(self.rows)] = False
        return table.filter(pa.array(good)), np.flatnonzero(good)


def find_column(table: pa.Table, name: str) -> Any:
    """Return the column, or None if it may be absent and is."""
    places = table.schema.get_all_field_indices(name)
    if len(places) > 1:
        raise SourceError(f"column {name!r} stands {len(places)} times")
    if not places and name in RESERVED and name != "channel":
        raise SourceError(f"column {name!r} is missing")
    return table.column(places[0]) if places else None


def _single(column: Any) -> Any:
    """Return a chunked array as one array, without a copy if it has one chunk."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _value_type(column: Any) -> Any:
    return column.type.value_type if pa.types.is_dictionary(column.type) else column.type


def _require_strings(name: str, column: Any) -> None:
    kind = _value_type(column)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if not any(check(kind) for check in (*texts, pa.types.is_null)):
        raise SourceError(f"column {name!r} is {column.type}, not string")


def _is_utf8(array: Any) -> bool:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        if "UTF8" not in str(error):
            raise
        return False
    return True


def _not_utf8(array: Any, first: int = 0) -> list[int]:
    """Find the strings that are not UTF-8 by halving; the first has the number ``first``."""
    if _is_utf8(array):
        return []
    if len(array) == 1:
        return [first]
    half = len(array) // 2
    return _not_utf8(array[:half], first) + _not_utf8(array[half:], first + half)


def _text_faults(
    array: Any, suspect: npt.NDArray[np.bool_], check: Callable[[str], str | None]
) -> dict[int, str]:
    """Say what is wrong with the strings that are suspect (bool[n], none null) or not UTF-8."""
    faults = {}
    for place in sorted({*np.flatnonzero(suspect).tolist(), *_not_utf8(array)}):
        try:
            fault = check(array[place].as_buffer().to_pybytes().decode())
        except UnicodeDecodeError as error:
            fault = f"Invalid UTF-8 (byte {error.start})"
        if fault:
            faults[place] = fault
    return faults


def check_id(array: Any, path: str, found: Findings) -> Any:
    """Note the ids that are null, empty, too long or not UTF-8; return the array."""
    if array.null_count:
        found.add(array.is_null(), path, "Expected `str`, got `null`")
    sizes = pc.binary_length(array).fill_null(1).to_numpy()
    faults = _text_faults(array, (sizes < 1) | (sizes > MAX_ID_BYTES), id_fault)
    if faults:
        found.add(np.isin(np.arange(len(array)), list(faults)), path, faults.__getitem__)
    return array


def read_strings(name: str, column: Any) -> Any:
    """Return a column of text as one array of strings."""
    _require_strings(name, column)
    return _single(column).cast(pa.string())


def read_timestamps(column: Any, found: Findings) -> npt.NDArray[np.int64]:
    """Return int64[n] microseconds; nulls are noted, and what would overflow stays too large."""
    kind = column.type
    meant = (pa.types.is_timestamp, pa.types.is_integer, pa.types.is_null)
    if not any(check(kind) for check in meant):
        raise SourceError(f"column 'event_timestamp' is {kind}, not a timestamp or integer")
    array = _single(column).cast(pa.int64(), safe=False)
    if array.null_count:
        found.add(array.is_null(), "$.event_timestamp", "Expected `int`, got `null`")
        array = array.fill_null(0)
    stamps: npt.NDArray[np.int64] = array.to_numpy()
    unit = kind.unit if pa.types.is_timestamp(kind) else "us"
    if unit == "ns":
        return stamps // 1000
    scale = _UNITS[unit]
    return stamps if scale == 1 else stamps.clip(0, MAX_TIMESTAMP // scale + 1) * scale


def check_timestamps(stamps: npt.NDArray[np.int64], now: int, latest: int, found: Findings) -> None:
    """Note the timestamps (int64[n], microseconds) below 1 or above ``latest``."""

    def reason(row: int) -> str:
        return time_fault(int(stamps[row]), now, latest) or ""

    if len(stamps) and (stamps.min() < 1 or stamps.max() > latest):
        found.add((stamps < 1) | (stamps > latest), "$.event_timestamp", reason)


def read_words(name: str, column: Any, schema: EventSchema, found: Findings) -> Any:
    """Read a string column as one dictionary array; what is checked is its dictionary."""
    _require_strings(name, column)
    path = f"$.{name}" if name in RESERVED else f"$.properties.{name}"
    if pa.types.is_dictionary(column.type) and column.num_chunks:
        chunks = [
            pa.DictionaryArray.from_arrays(
                chunk.indices.cast(pa.int32()), chunk.dictionary.cast(pa.string())
            )
            for chunk in column.chunks
        ]
        array = _single(pa.chunked_array(chunks))
        if len(array.dictionary) > len(array):
            array = array.cast(pa.string()).dictionary_encode()
    else:
        array = read_strings(name, column).dictionary_encode()
    words = array.dictionary
    longest = MAX_CHARACTERS.get(name, MAX_TEXT)
    if name == "type":
        suspect = ~pc.is_in(words, pa.array(schema.types)).to_numpy(zero_copy_only=False)
    else:
        suspect = pc.utf8_length(words).fill_null(0).to_numpy() > longest
    absent = words.is_null().to_numpy(zero_copy_only=False)
    if name == "channel":
        absent |= pc.equal(words, pa.scalar("")).fill_null(False).to_numpy(zero_copy_only=False)

    def fault(word: str) -> str:
        if name == "type":
            return f"Invalid enum value {word!r}"
        return f"Expected `str` of length <= {longest}"

    faults = _text_faults(words, suspect & ~absent, fault)
    if faults:
        indices = array.indices.fill_null(-1).to_numpy()
        found.add(np.isin(indices, list(faults)), path, lambda row: faults[int(indices[row])])
        absent[list(faults)] = True
    if absent.any():
        words = pc.if_else(pa.array(absent), pa.scalar(None, pa.string()), words)
        array = pa.DictionaryArray.from_arrays(array.indices, words)
        array = array.cast(pa.string()).dictionary_encode()
    if name == "type" and array.null_count:
        found.add(array.is_null(), path, "Expected `str`, got `null`")
    return array


def read_numbers(name: str, column: Any, kind: PropertyType, found: Findings) -> Any:
    """Read a numeric column as one float64 array."""
    given = _value_type(column)
    numbers = (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal, pa.types.is_boolean)
    if not any(check(given) for check in (*numbers, pa.types.is_null)):
        raise SourceError(f"column {name!r} is {column.type}, not {kind}")
    path = f"$.properties.{name}"

    def check(bad: npt.NDArray[np.bool_], reason: str | Callable[[int], str]) -> None:
        if bad.any():
            found.add(bad, path, reason)

    def check_range(values: npt.NDArray[Any]) -> None:
        check(values > _MAX_INT, f"Expected `int` <= {_MAX_INT}")
        check(values < -_MAX_INT, f"Expected `int` >= {-_MAX_INT}")

    array = _single(column).cast(given)
    if kind == "int" and pa.types.is_integer(given):  # a cast could round it into the range
        check_range(array.fill_null(0).to_numpy())
    array = array.cast(pa.float64(), safe=False)
    values = array.fill_null(0.0).to_numpy()
    check(~np.isfinite(values), lambda row: f"Expected a finite number, got {values[row]}")
    if kind == "int":
        check(np.floor(values) != values, "Expected `int`, got `float`")
        check_range(values)
    elif kind == "bool":
        check((values != 0) & (values != 1), lambda row: f"Expected `bool`, got {values[row]}")
    return array


def wire_form(table: pa.Table, rows: list[int]) -> Iterable[bytes]:
    """Yield rows as the JSON objects that they would have been on the wire."""
    if not rows:
        return
    bad = table.take(pa.array(rows))
    fields = {name: to_python(bad.column(name)) for name in bad.column_names}
    for row in range(len(rows)):
        event = {name: fields[name][row] for name in RESERVED if name in fields}
        event["properties"] = {
            name: values[row]
            for name, values in fields.items()
            if name not in RESERVED and values[row] is not None
        }
        yield json.dumps(event, default=str, ensure_ascii=False).encode()


def to_python(column: Any) -> list[Any]:
    """Return a column's values, timestamps as integer microseconds, bad UTF-8 made readable."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        whole = column.cast(pa.int64()).to_pylist()
        if kind.unit == "ns":
            return [None if value is None else value // 1000 for value in whole]
        return [None if value is None else value * _UNITS[kind.unit] for value in whole]
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (ValueError, OverflowError):
        return [_readable(cell) for cell in column]


def _readable(cell: Any) -> Any:
    try:
        return cell.as_py()
    except (ValueError, OverflowError):
        text = cell.value if isinstance(cell, pa.DictionaryScalar) else cell
        if hasattr(text, "as_buffer"):
            return text.as_buffer().to_pybytes().decode(errors="replace")
        return None
