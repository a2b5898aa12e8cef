"""From a row in somebody's own columns to an event as the log has it."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from ...features.columns import Columns
from ...features.errors import DeclarationError, SourceError
from ...features.event_check import BLANK
from ...features.events import EventSchema, PropertyType
from .faults import Fault
from .row_times import time_reader

_ID_BYTES = 8
_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})
_MOST_DIGITS = 400
_SHOWN = 20
_PARQUET_ONLY = (bytes, Decimal)
_Convert = Callable[[str], Any]


class RowError(ValueError):
    """A row that is no event: why, and where in it."""

    def __init__(self, reason: str, path: str | None = None, size: int = 0) -> None:
        super().__init__(reason)
        self.path = path
        self.size = size


class RowEvents:
    """Makes events of rows, typed as a schema declares.

    Parameters
    ----------
    schema
        What an event is.
    columns
        Which columns are what. Default: those of the same names.

    Raises
    ------
    DeclarationError
        If every row is to be of a type that the schema does not have.

    Examples
    --------
    >>> shop = EventSchema("shop", types=("order",), properties={"value": float})
    >>> rows = RowEvents(shop, Columns(customer_id="user", event_timestamp="at",
    ...                                every_row_is="order"))
    >>> read = rows.of_fields(["user", "at", "value"], "orders.csv")
    >>> read(["ann", "2026-01-01", "9.5"], b"ann,2026-01-01,9.5").decode()[:60]
    '{"event_id":"a794c336d1ccec7d","event_timestamp":17672256000'
    """

    def __init__(self, schema: EventSchema, columns: Columns | None = None) -> None:
        self.columns = columns or Columns()
        always = self.columns.every_row_is
        if always is not None and always not in schema.types:
            raise DeclarationError("columns", f"no event type {always!r} in schema {schema.name!r}")
        self._time = time_reader(self.columns)
        self._properties = {column: name for name, column in self.columns.properties.items()}
        self._missing = frozenset(self.columns.missing)
        self._kinds: dict[str, PropertyType] = dict(schema.properties)
        self._encode = msgspec.json.Encoder(enc_hook=_plain).encode

    def of_fields(
        self, header: Sequence[str], name: str
    ) -> Callable[[Sequence[str], bytes], bytes]:
        """Return what makes an event of a row's fields and its text, for one file.

        Raises
        ------
        SourceError
            If the file lacks a column, or has one twice.
        """
        asked = self.columns
        names = [column.strip() for column in header]
        check_columns(name, names)

        def place(column: str, field: str) -> int:
            if column in names:
                return names.index(column)
            known = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
            raise SourceError(
                f"{name}: no column {column!r} for {field}; its first line names: {known}. Say "
                f"which it is with Columns({field}=...) and --columns; `nextbest init` writes it; "
                "--columns may name a dict, as {'a*.csv': Columns(...)}, for files of several kinds"
            )

        customer, stamp = (
            place(asked.customer_id, "customer_id"),
            place(asked.event_timestamp, "event_timestamp"),
        )
        kind = None if asked.every_row_is is not None else place(asked.type, "type")
        given = {
            field: place(column, field)
            for field, column in (("event_id", asked.event_id), ("channel", asked.channel))
            if column is not None
        }
        for field in ("event_id", "channel"):
            if field not in given and field in names:
                given[field] = names.index(field)
        for column in asked.properties.values():
            place(column, f"properties: {self._properties[column]}")
        used = {customer, stamp, kind, *given.values()}
        rest = [
            (i, self._properties.get(column, column), self._converter(column))
            for i, column in enumerate(names)
            if column and i not in used
        ]
        missing, read_time, encode = self._missing, self._time, self._encode
        identity, channel = given.get("event_id"), given.get("channel")
        width = len(names)

        def make(fields: Sequence[str], text: bytes) -> bytes:
            if len(fields) != width:
                raise RowError(f"{len(fields)} fields, the first line has {width}")
            who, when = fields[customer], fields[stamp]
            if who in missing:
                raise RowError(f"no value in the column {names[customer]!r}", "$.customer_id")
            try:
                at = read_time(when)
            except ValueError as error:
                raise RowError(str(error), "$.event_timestamp") from None
            event: dict[str, Any] = {
                "event_id": digest(text) if identity is None else fields[identity],
                "event_timestamp": at,
                "customer_id": who,
                "type": asked.every_row_is if kind is None else fields[kind],
            }
            if channel is not None and fields[channel] not in missing:
                event["channel"] = fields[channel]
            event["properties"] = {
                key: convert(fields[i]) for i, key, convert in rest if fields[i] not in missing
            }
            return encode(event)

        return make

    def of_mapping(self, row: Any, text: bytes | None) -> bytes:
        """Return the event of a row that is a mapping of columns to typed values.

        Raises
        ------
        RowError
            If it is none.
        """
        if not isinstance(row, dict):
            raise RowError(f"Expected `object`, got `{type(row).__name__}`")
        asked = self.columns
        left = dict(row)
        nested = left.pop("properties", None)
        if isinstance(nested, Mapping):
            left = dict(nested) | left

        def take(column: str, field: str) -> Any:
            value = left.pop(column, None)
            if value is None:
                raise RowError(f"no value in the column {column!r}", f"$.{field}")
            return value

        who = take(asked.customer_id, "customer_id")
        try:
            at = self._time(_text_of(take(asked.event_timestamp, "event_timestamp")))
        except ValueError as error:
            if isinstance(error, RowError):
                raise
            raise RowError(str(error), "$.event_timestamp") from None
        identity = left.pop(asked.event_id or "event_id", None)
        channel = left.pop(asked.channel or "channel", None)
        event: dict[str, Any] = {
            "event_id": digest(text or self._encode(row)) if identity is None else _text(identity),
            "event_timestamp": at,
            "customer_id": _text(who),
            "type": asked.every_row_is or _text_of(take(asked.type, "type")),
        }
        if channel is not None:
            event["channel"] = _text_of(channel)
        event["properties"] = {
            self._properties.get(key, key): value
            if type(value) not in _PARQUET_ONLY
            else self._known_to_json(key, value)
            for key, value in left.items()
            if value is not None
        }
        return self._encode(event)

    def shown(self, row: Any) -> bytes:
        """Return a row without a text as JSON."""
        return self._encode(row)

    def path_of(self, column: str) -> str:
        """Return where in an event the value of a column is.

        >>> RowEvents(EventSchema("s", types=("a",)), Columns(customer_id="user")).path_of("user")
        '$.customer_id'
        """
        asked = self.columns
        for field in ("customer_id", "event_timestamp", "type", "event_id", "channel"):
            if column == (getattr(asked, field) or field):
                return f"$.{field}"
        return f"$.properties.{self._properties.get(column, column)}"

    def _known_to_json(self, column: str, value: bytes | Decimal) -> Any:
        if isinstance(value, bytes):
            return _text_of(value)
        kind = self._kinds.get(self._properties.get(column, column))
        if kind == "int" and value.is_finite() and value == int(value):
            return int(value)
        return float(value) if kind in ("int", "float") else value

    def _converter(self, column: str) -> _Convert:
        kind = self._kinds.get(self._properties.get(column, column), "string")
        if kind == "float":
            return self._float
        return {"int": _int, "bool": _bool}.get(kind, str)

    def _float(self, text: str) -> Any:
        if self.columns.decimal == ",":
            text = text.replace(".", "").replace(",", ".")
        number = _number(text)
        return text if number is None else number


def check_columns(name: str, columns: Sequence[str]) -> None:
    """Check that a file's first line names no column twice; one without a name is none.

    Raises
    ------
    SourceError
        Naming the first that it does.
    """
    for column, times in Counter(columns).items():
        if column and times > 1:
            raise SourceError(f"{name}: the column {column!r} stands {times} times")


def digest(text: bytes) -> str:
    """Return the id of a row that has none: 16 hexadecimal digits of its text."""
    return hashlib.blake2b(text.strip(BLANK + b"\n"), digest_size=_ID_BYTES).hexdigest()


def fault(error: RowError, raw: bytes) -> Fault:
    """Return what a dead letter says of a row that is no event."""
    return Fault(str(error), error.path, raw.strip(BLANK + b"\n"), error.size)


def _number(text: str) -> float | None:
    if "_" in text or len(text) > _MOST_DIGITS:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


Rows: TypeAlias = RowEvents | Mapping[str, RowEvents]
"""What makes events: of all files, or of each kind by a pattern of their names."""


def rows_for(file: Path, rows: Rows) -> RowEvents:
    """Return what makes events of a file: of the first pattern that its name has.

    Patterns are those of a shell; a name's ``.gz`` may be left out.

    Raises
    ------
    SourceError
        If there is no such pattern.

    Examples
    --------
    >>> rows = RowEvents(EventSchema("shop", types=("order",), properties={"value": float}))
    >>> rows_for(Path("in/orders-1.csv.gz"), {"orders*.csv": rows}) is rows
    True
    >>> rows_for(Path("visits.csv"), {"orders*.csv": rows})
    Traceback (most recent call last):
        ...
    nextbest.features.errors.SourceError: visits.csv: no columns are declared for such a name; \
there are: orders*.csv
    """
    if isinstance(rows, RowEvents):
        return rows
    names = file.name, file.name.removesuffix(".gz")
    for pattern, found in rows.items():
        if any(fnmatchcase(name, pattern) for name in names):
            return found
    known = ", ".join(rows)
    raise SourceError(f"{file}: no columns are declared for such a name; there are: {known:.400}")


def _int(text: str) -> Any:
    number = _number(text)
    if number is None or not number.is_integer():
        return text
    return int(number) if abs(number) >= 2**53 or "." in text or "e" in text.lower() else int(text)


def _bool(text: str) -> Any:
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else text


def _text(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text_of(value)


def _text_of(value: Any) -> Any:
    """Return bytes as the text that they nearly always are; other values, and bytes, as is."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    return value


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
