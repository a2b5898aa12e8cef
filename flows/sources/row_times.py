"""Times as people write them, as integer microseconds since 1970."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ...features.columns import Columns

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_FIRST = 1_000_000_000  # 2001-09-09, seconds
_LAST = 4_102_444_800  # 2100-01-01
_MOST = 10**20
_MOST_DIGITS = 40

TimeReader = Callable[[Any], int]
"""From a field to microseconds; `ValueError` says why not."""


def time_reader(columns: Columns) -> TimeReader:
    """Return the reader of a file's times.

    >>> read = time_reader(Columns())
    >>> read("2026-01-01T01:00:00+01:00") == read("1767225600") == read(1767225600000)
    True
    >>> read("soon")
    Traceback (most recent call last):
        ...
    ValueError: no time that can be read: expected ISO 8601, or a number since 1970
    """
    zone: tzinfo = UTC if columns.time_zone == "UTC" else ZoneInfo(columns.time_zone)
    shape = columns.time_format
    if shape == "auto":
        return lambda value: _auto(value, zone)
    if shape in _PER_SECOND:
        per_second = _PER_SECOND[shape]
        return lambda value: _counted(value, per_second, shape)
    return lambda value: _by_pattern(value, shape, zone)


def _auto(value: Any, zone: tzinfo) -> int:
    if isinstance(value, date):
        return _microseconds(value, zone)
    if isinstance(value, str) and not _is_number(value):
        try:
            return _microseconds(datetime.fromisoformat(value.strip()), zone)
        except (ValueError, OverflowError):
            raise _no_time("ISO 8601, or a number since 1970") from None
    number = _number(value)
    for unit, per_second in _PER_SECOND.items():
        if number is not None and _FIRST * per_second <= number < _LAST * per_second:
            return _counted(value, per_second, unit)
    raise _no_time("a number of seconds, ms, us or ns from 2001-09-09 on")


def _counted(value: Any, per_second: int, unit: str) -> int:
    if isinstance(value, date):
        return _microseconds(value, UTC)
    number = _number(value)
    if number is None:
        raise _no_time(f"a number of {unit} since 1970")
    if per_second > 1_000_000:
        return int(number) // (per_second // 1_000_000)
    return round(number * (1_000_000 // per_second))


def _by_pattern(value: Any, pattern: str, zone: tzinfo) -> int:
    if isinstance(value, date):
        return _microseconds(value, zone)
    try:
        return _microseconds(datetime.strptime(str(value).strip(), pattern), zone)
    except (ValueError, OverflowError):
        raise _no_time(pattern) from None


def _microseconds(at: date, zone: tzinfo) -> int:
    if not isinstance(at, datetime):
        at = datetime.combine(at, time.min)
    if at.tzinfo is None:
        at = at.replace(tzinfo=zone)
    return (at - _EPOCH) // _MICROSECOND


def _is_number(text: str) -> bool:
    # Eight digits are a date of ISO 8601, and fourteen are none.
    plain = text.strip().replace(".", "", 1)
    return plain.isascii() and plain.isdecimal() and len(plain) != 8


def _number(value: Any) -> float | int | None:
    if isinstance(value, Decimal):
        value = str(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = value if not isinstance(value, str) else _of_text(value)
    except ValueError:
        return None
    return number if abs(number) < _MOST else None


def _of_text(text: str) -> float | int:
    if "_" in text or len(text) > _MOST_DIGITS:
        raise ValueError(text)
    return float(text) if "." in text or "e" in text.lower() else int(text)


def _no_time(expected: str) -> ValueError:
    return ValueError(f"no time that can be read: expected {expected}")
