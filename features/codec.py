"""From bytes or Arrow to a validated table of events, and what had to be rejected.

The canonical table has ``event_id`` and ``customer_id`` (string), ``event_timestamp``
(timestamp[us, UTC]), ``type`` and ``channel`` (dictionary of strings), and a column for each
declared property: a dictionary of strings, or float64 (an int is exact, a bool is 1 or 0). Null
means missing. One bad event never costs a good one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .arrow_columns import (
    Findings,
    check_id,
    find_column,
    read_numbers,
    read_strings,
    read_timestamps,
    read_words,
    wire_form,
)
from .errors import EventError, SourceError
from .events import (
    EXTRA,
    MAX_TIMESTAMP,
    RESERVED,
    EventSchema,
    PropertyType,
    wire_type,
)

_WORDS = pa.dictionary(pa.int32(), pa.string())
_TIME = pa.timestamp("us", "UTC")
_WIRE: dict[PropertyType, Any] = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_()}
_BLANK = b" \t\r"
_BAD_LINE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, EventError)


class Rejected(NamedTuple):
    """One record that is not an event of the schema."""

    index: int  # type: ignore[assignment]  # tuple.index is not needed
    """The record's ordinal in its chunk: of the lines that are not blank, or of the rows."""
    line: int
    """The line in the chunk, from 0 (Arrow: the row)."""
    reason: str
    path: str | None
    """Where in the event, such as ``$.properties.value``; None: the record as a whole."""
    raw: bytes
    """The line, or the row as the JSON object that it would have been on the wire."""


class Decoded(NamedTuple):
    """What a chunk held."""

    table: pa.Table
    """The good events, in order; see the module's text."""
    index: npt.NDArray[np.int64]  # type: ignore[assignment]  # tuple.index is not needed
    """int64[rows of the table]: each event's ordinal in the chunk."""
    rejected: list[Rejected]
    """The bad ones, in order."""
    records: int
    """How many there were, good or bad."""


class EventDecoder:
    """Decode chunks of one schema's events.

    Parameters
    ----------
    schema
        What an event is.
    now
        The clock, microseconds since 1970. Default: the wall clock.
    future_skew_us
        How far ahead of the clock an event may be, microseconds. Default: a day.
    max_event_bytes
        The longest line.

    Examples
    --------
    >>> shop = EventSchema("shop", types=("view", "cart"), properties={"value": float})
    >>> good = '{"event_id":"1","event_timestamp":7,"customer_id":"ann","type":"cart"}'
    >>> decoded = EventDecoder(shop).decode_ndjson(f"{good}\\n{good[:-1]},7}}".encode())
    >>> decoded.table.num_rows, decoded.records
    (1, 2)
    >>> decoded.rejected[0].reason
    'JSON is malformed: object keys must be strings (byte 70)'
    """

    def __init__(
        self,
        schema: EventSchema,
        *,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
        future_skew_us: int = 86_400_000_000,
        max_event_bytes: int = 1 << 20,
    ) -> None:
        self.schema = schema
        self._now = now
        self._skew = future_skew_us
        self._max_bytes = max_event_bytes
        event = wire_type(schema)
        properties = {field.name: field.type for field in msgspec.structs.fields(event)}[
            "properties"
        ]
        closed = msgspec.defstruct(
            "closed", [], bases=(properties,), frozen=True, gc=False, forbid_unknown_fields=True
        )
        field = ("properties", closed, msgspec.field(default_factory=closed))
        strict = msgspec.defstruct("strict", [field], bases=(event,), frozen=True, gc=False)
        bag = msgspec.defstruct("bag", [("properties", dict[str, msgspec.Raw], {})])
        self._open = msgspec.json.Decoder(event)
        self._closed = msgspec.json.Decoder(strict)
        self._bags = msgspec.json.Decoder(bag)

    def decode_ndjson(self, payload: bytes) -> Decoded:
        """Decode lines of JSON.

        Never raises: whatever is wrong with a line is in ``rejected``. Undeclared properties are
        kept as the JSON text of an object in the column ``extra``, null where there are none.
        """
        rejected: list[Rejected] = []
        whole = self._decode_whole(payload)
        lines: list[tuple[int, bytes]] = []
        if whole is not None:
            events, extras = whole
            index = np.arange(len(events), dtype=np.int64)
        else:
            events, extras = [], []
            ordinals = []
            lines = _numbered(payload)
            for ordinal, (number, line) in enumerate(lines):
                try:
                    event, extra = self._decode_line(line)
                except _BAD_LINE as error:
                    rejected.append(Rejected(ordinal, number, *_explain(error), line))
                else:
                    events.append(event)
                    extras.append(extra)
                    ordinals.append(ordinal)
            index = np.array(ordinals, dtype=np.int64)
        records = len(events) + len(rejected)
        table, found = self._to_table(events, extras)
        if found.rows:
            lines = lines or _numbered(payload)
            for row, (reason, path) in found.rows.items():
                ordinal = int(index[row])
                number, line = lines[ordinal]
                rejected.append(Rejected(ordinal, number, reason, path, line))
            rejected.sort()
        table, kept = found.drop_from(table)
        return Decoded(table, index[kept], rejected, records)

    def decode_arrow(self, table: pa.Table) -> Decoded:
        """Decode a table with a column a field, under the canonical names.

        ``event_timestamp`` may be a timestamp of any unit and zone (without one: UTC) or integer
        microseconds; numbers, of any width; strings, plain or dictionaries. ``channel`` and
        properties may be absent. Columns that the schema does not declare pass through.

        Raises
        ------
        SourceError
            If a reserved column is absent, a column stands twice, or its type cannot be meant.
        """
        found = Findings()
        columns: dict[str, Any] = {}
        for name in (*RESERVED, *self.schema.properties):
            column = find_column(table, name)
            try:
                columns[name] = self._read(name, column, table.num_rows, found)
            except pa.ArrowException as error:
                raise SourceError(f"column {name!r}: {error}") from error
        for name, column in zip(table.column_names, table.columns, strict=True):
            if name == "properties":
                raise SourceError("column 'properties': give each property a column of its own")
            if name not in columns:
                columns[name] = column
        canonical, index = found.drop_from(pa.table(columns))
        rows = sorted(found.rows)
        rejected = [
            Rejected(row, row, *found.rows[row], raw)
            for row, raw in zip(rows, wire_form(table, rows), strict=True)
        ]
        return Decoded(canonical, index, rejected, table.num_rows)

    def _decode_whole(self, payload: bytes) -> tuple[list[Any], list[str | None] | None] | None:
        """Decode a chunk without a fault in one call, or return None."""
        expected = _count_regular_lines(payload, self._max_bytes)
        if not expected:
            return None
        extras: list[str | None] | None = None
        try:
            if not payload.isascii():
                payload.decode()  # msgspec does not look into strings that it skips
            try:
                events = self._closed.decode_lines(payload)
            except msgspec.ValidationError:
                # Where the first event has undeclared properties most have; else one by one is
                # faster.
                if self._decode_line(payload.split(b"\n", 1)[0])[1] is None:
                    return None
                events = self._open.decode_lines(payload)
                extras = [self._undeclared(bag) for bag in self._bags.decode_lines(payload)]
        except _BAD_LINE:
            return None
        return (events, extras) if len(events) == expected else None

    def _decode_line(self, line: bytes) -> tuple[Any, str | None]:
        if len(line) > self._max_bytes:
            raise EventError(f"line of {len(line)} bytes, more than {self._max_bytes}")
        if not line.isascii():
            line.decode()
        try:
            return self._closed.decode(line), None
        except msgspec.ValidationError:
            event = self._open.decode(line)
        return event, self._undeclared(self._bags.decode(line))

    def _undeclared(self, bag: Any) -> str | None:
        kept = {k: v for k, v in bag.properties.items() if k not in self.schema.properties}
        if not kept:
            return None
        text = msgspec.json.encode(kept)
        try:
            msgspec.json.decode(text)  # a skipped number may be out of range
        except msgspec.DecodeError as error:
            raise EventError(_explain(error)[0], "$.properties") from None
        return text.decode()

    def _to_table(
        self, events: list[Any], extras: list[str | None] | None
    ) -> tuple[pa.Table, Findings]:
        stamps = np.array([event.event_timestamp for event in events], dtype=np.int64)
        columns: dict[str, Any] = {
            "event_id": pa.array([event.event_id for event in events], pa.string()),
            "event_timestamp": pa.array(stamps).cast(_TIME),
            "customer_id": pa.array([event.customer_id for event in events], pa.string()),
            "type": pa.array([event.type for event in events], _WORDS),
            "channel": pa.array([event.channel or None for event in events], _WORDS),
        }
        properties = [event.properties for event in events]
        for name, kind in self.schema.properties.items():
            values = pa.array(list(map(attrgetter(name), properties)), _WIRE.get(kind, _WORDS))
            columns[name] = values if kind == "string" else values.cast(pa.float64())
        columns[EXTRA] = pa.array(extras or [None] * len(events), pa.string())
        found = Findings()
        check_id(columns["event_id"], "$.event_id", found)
        self._check_timestamps(stamps, found)
        check_id(columns["customer_id"], "$.customer_id", found)
        return pa.table(columns), found

    def _read(self, name: str, column: Any, rows: int, found: Findings) -> Any:
        """Read one column of a table canonically, noting the rows that are wrong."""
        if name == "event_timestamp":
            stamps = read_timestamps(column, found)
            self._check_timestamps(stamps, found)
            return pa.array(stamps).cast(_TIME)
        if name in ("event_id", "customer_id"):
            return check_id(read_strings(name, column), f"$.{name}", found)
        kind = self.schema.properties.get(name, "string")
        if column is None:
            return pa.nulls(rows, _WORDS if kind == "string" else pa.float64())
        if kind == "string":
            return read_words(name, column, self.schema, found)
        return read_numbers(name, column, kind, found)

    def _check_timestamps(self, stamps: npt.NDArray[np.int64], found: Findings) -> None:
        now = self._now()
        latest = min(now + self._skew, MAX_TIMESTAMP)

        def reason(row: int) -> str:
            us = int(stamps[row])
            if us < 1:
                return "Expected `int` >= 1"
            if us > MAX_TIMESTAMP:
                return f"Expected `int` <= {MAX_TIMESTAMP}"
            return f"timestamp is {(us - now) // 1_000_000} s in the future"

        if len(stamps) and (stamps.min() < 1 or stamps.max() > latest):
            found.add((stamps < 1) | (stamps > latest), "$.event_timestamp", reason)


def _explain(error: Exception) -> tuple[str, str | None]:
    """Split an error into a reason and a path."""
    if isinstance(error, EventError):
        return error.reason, error.path
    if isinstance(error, RecursionError):
        return "JSON is nested too deeply", None
    if isinstance(error, UnicodeDecodeError):
        return f"Invalid UTF-8 (byte {error.start})", None
    reason, at, path = str(error).partition(" - at `")
    return reason, path[:-1] if at else None


def _count_regular_lines(payload: bytes, longest: int) -> int:
    """Count the lines, if each begins with ``{``, ends with ``}`` and is not too long; else 0.

    Then no object spans lines, as ``}`` and ``{`` never follow each other inside one, and
    `decode_lines` has found one a line if it has found that many.
    """
    data = np.frombuffer(payload, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    if not payload.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.concatenate(([0], ends[:-1] + 1))
    if not len(data) or (ends - starts).max() > longest:
        return 0
    regular = (data[starts] == ord("{")).all() and (data[ends - 1] == ord("}")).all()
    return len(ends) if regular else 0


def _numbered(payload: bytes) -> list[tuple[int, bytes]]:
    """Return the lines that are not blank, with their numbers."""
    lines = enumerate(line.strip(_BLANK) for line in payload.split(b"\n"))
    return [(number, line) for number, line in lines if line]
