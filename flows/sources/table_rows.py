"""Rows of Parquet as Python values; one that has none costs only its row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any

import pyarrow as pa

from .row_events import RowError, RowEvents

_NO_VALUE = (ValueError, OverflowError, KeyError, TypeError, pa.ArrowException)
"""What a value raises that Python has none for: bad UTF-8, the year 30000, an unknown time zone."""

Row = dict[str, Any]


def rows_of(table: pa.Table, rows: RowEvents) -> Iterator[tuple[bytes | None, Row | RowError]]:
    """Yield each row, or why it is none; with a text to show or to make an id of, if need be."""
    names = table.column_names
    exact = [_without_nanoseconds(column) for column in table.columns]
    columns: list[Sequence[Any]] = []
    broken = False
    for column in exact:
        try:
            columns.append(column.to_pylist())
        except _NO_VALUE:
            columns.append([_value(scalar) for scalar in column])
            broken = True
    nanoseconds: dict[str, list[int | None]] = {}
    if (rows.columns.event_id or "event_id") not in names:
        nanoseconds = {
            name: column.cast(pa.int64()).to_pylist()
            for name, column in zip(names, table.columns, strict=True)
            if pa.types.is_timestamp(column.type) and column.type.unit == "ns"
        }
    values = zip(*columns, strict=True) if columns else repeat((), table.num_rows)
    if not broken and not nanoseconds:
        yield from ((None, dict(zip(names, of, strict=True))) for of in values)
        return
    for i, of in enumerate(values):
        row = dict(zip(names, of, strict=True))
        bad = _first_bad(row)
        if bad is not None:
            name, error = bad
            good = {key: value for key, value in row.items() if not isinstance(value, RowError)}
            yield rows.shown(good), RowError(str(error), rows.path_of(name))
        elif nanoseconds:
            whole = {name: _isoformat(row[name], ns[i]) for name, ns in nanoseconds.items()}
            yield rows.shown(row | whole), row
        else:
            yield None, row


def _without_nanoseconds(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    # Python's own times have microseconds.
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return column.cast(pa.time64("us"), safe=False)
    return column


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return RowError(f"Invalid UTF-8 (byte {error.start})")
    except _NO_VALUE as error:
        return RowError(f"a value that cannot be read: {error}")


def _first_bad(row: Row) -> tuple[str, RowError] | None:
    return next(((key, each) for key, each in row.items() if isinstance(each, RowError)), None)


def _isoformat(time: Any, ns: int | None) -> str | None:
    """Return a time with all its digits: rows that differ in the last ones are two events."""
    if ns is None or not isinstance(time, datetime):
        return None
    text = time.isoformat(timespec="microseconds" if ns % 1000 else "auto")
    return f"{text[:26]}{ns % 1000:03}{text[26:]}" if ns % 1000 else text
