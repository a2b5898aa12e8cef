"""Files in a user's own words: which of their columns are what, and how they write times."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import msgspec

from .errors import DeclarationError
from .events import EXTRA, RESERVED

UNITS = ("s", "ms", "us", "ns")
_ASCII = bytes(range(128))


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Which columns of a file make an event; the rest of them are properties of the same name.

    A column is one of a CSV or Parquet file, or a field of a line of JSON.

    Parameters
    ----------
    customer_id, event_timestamp, type
        The columns that hold them.
    every_row_is
        Every row is an event of this type; then there is no column of types.
    event_id
        The column that holds it. Default: ``event_id``, where a file has it; else the id is made
        from the row's text, so that rows that are equal in every column are one event.
    channel
        The column that holds it. Default: ``channel``, where a file has it.
    properties
        Property → column, for columns whose names are others.
    time_format
        ``auto``: ISO 8601, or a number since 1970 whose unit is told from its size (seconds to
        nanoseconds, from 2001-09-09 on). ``s``, ``ms``, ``us``, ``ns``: a number of that unit.
        Or a pattern of `datetime.strptime`, as ``%d.%m.%Y %H:%M``.
    time_zone
        Of times that name none: ``UTC``, ``Europe/Berlin``.
    delimiter, decimal, missing, encoding
        Of CSV: what stands between fields, the decimal point, the words that mean that there is no
        value, and how text is encoded (one that has ASCII in its place).

    Raises
    ------
    DeclarationError
        Naming what cannot be meant.

    Examples
    --------
    >>> Columns(customer_id="user", event_timestamp="created_at", every_row_is="order").time_zone
    'UTC'
    >>> Columns(time_zone="Mars/Olympus")
    Traceback (most recent call last):
        ...
    nextbest.features.errors.DeclarationError: columns: no time zone 'Mars/Olympus' is known
    """

    customer_id: str = "customer_id"
    event_timestamp: str = "event_timestamp"
    type: str = "type"
    every_row_is: str | None = None
    event_id: str | None = None
    channel: str | None = None
    properties: Mapping[str, str] = {}
    time_format: str = "auto"
    time_zone: str = "UTC"
    delimiter: str = ","
    decimal: str = "."
    missing: Sequence[str] = ("",)
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        named = [self.customer_id, self.event_timestamp, self.event_id, self.channel]
        named += [self.type] if self.every_row_is is None else []
        for column in (*named, *self.properties.values()):
            if column is not None and (not isinstance(column, str) or not column.strip()):
                raise DeclarationError("columns", f"{column!r} is no name of a column")
        for name in self.properties:
            if not name.isidentifier() or name in (*RESERVED, EXTRA, "properties"):
                raise DeclarationError("columns", f"{name!r} is no name of a property")
        if self.time_format not in ("auto", *UNITS) and "%" not in self.time_format:
            raise DeclarationError(
                "columns",
                f"time_format is {self.time_format!r}, not auto, {', '.join(UNITS)} or a pattern",
            )
        try:
            ZoneInfo(self.time_zone)
        except (OSError, ValueError, KeyError):
            raise DeclarationError("columns", f"no time zone {self.time_zone!r} is known") from None
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n' or not self.delimiter.isascii():
            raise DeclarationError("columns", f"delimiter is {self.delimiter!r}, not one character")
        if self.decimal not in (".", ",") or self.decimal == self.delimiter:
            raise DeclarationError(
                "columns", f"decimal is {self.decimal!r}: a point, or a comma between other marks"
            )
        if isinstance(self.missing, str):
            raise DeclarationError("columns", "missing must be a sequence of words")
        msgspec.structs.force_setattr(self, "missing", tuple(self.missing))
        if not _keeps_ascii(self.encoding):
            raise DeclarationError(
                "columns",
                f"encoding {self.encoding!r} is not known, or has no ASCII in its place; "
                "save the file as UTF-8",
            )


def _keeps_ascii(encoding: str) -> bool:
    try:
        codec = codecs.lookup(encoding)
        return codec.decode(_ASCII)[0] == _ASCII.decode()
    except (LookupError, ValueError, TypeError):
        return False
