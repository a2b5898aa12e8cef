"""From bytes or Arrow to a validated table of events, and what had to be rejected.

The canonical table has ``event_id`` and ``customer_id`` (string), ``event_timestamp``
(timestamp[us, UTC]), ``type`` and ``channel`` (dictionary of strings), and a column for each
declared property: a dictionary of strings, or float64 (an int is exact, a bool is 1 or 0). Null
means missing. One bad event never costs a good one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from .arrow_columns import (
    TIME_TYPE,
    WORDS_TYPE,
    Findings,
    check_id,
    check_timestamps,
    find_column,
    read_numbers,
    read_strings,
    read_timestamps,
    read_words,
    wire_form,
)
from .decoded import Decoded, Rejected, ScannedLines
from .errors import SourceError
from .event_check import BLANK, latest
from .events import RESERVED, EventSchema
from .line_decoder import LineDecoder, Lines
from .scanner import LineScanner

__all__ = ["Decoded", "EventDecoder", "Rejected"]


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
        self._scanner = LineScanner(schema, max_event_bytes=max_event_bytes)
        self._lines = LineDecoder(schema, max_event_bytes=max_event_bytes)

    def decode_ndjson(self, payload: bytes) -> Decoded:
        """Decode lines of JSON.

        Never raises: whatever is wrong with a line is in ``rejected``. Undeclared properties are
        kept as the JSON text of an object in the column ``extra``, null where there are none.
        """
        now, latest = self._clock()
        found = self._scanner.scan(payload, latest=latest)
        regular = len(found.cells)
        records = regular + len(found.irregular)
        scanned = ScannedLines(found, self._scanner) if regular else None
        ordinals, numbers, starts, stops = found.irregular.T
        places = zip(starts.tolist(), stops.tolist(), strict=True)
        raws = [payload[start:stop].strip(BLANK) for start, stop in places]
        lines = Lines(ordinals, numbers, raws)
        events, others, rejected = self._lines.decode(lines, now, latest)
        if scanned is None or not len(others):
            index = found.ordinals if len(found.cells) else others
            return Decoded(events, index, rejected, records, scanned)
        index = np.concatenate([found.ordinals, others])
        order = np.argsort(index, kind="stable")
        return Decoded(events, index[order], rejected, records, scanned, order)

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

    def _read(self, name: str, column: Any, rows: int, found: Findings) -> Any:
        """Read one column of a table canonically, noting the rows that are wrong."""
        if name == "event_timestamp":
            stamps = read_timestamps(column, found)
            check_timestamps(stamps, *self._clock(), found)
            return pa.array(stamps).cast(TIME_TYPE)
        if name in ("event_id", "customer_id"):
            return check_id(read_strings(name, column), f"$.{name}", found)
        kind = self.schema.properties.get(name, "string")
        if column is None:
            return pa.nulls(rows, WORDS_TYPE if kind == "string" else pa.float64())
        if kind == "string":
            return read_words(name, column, self.schema, found)
        return read_numbers(name, column, kind, found)

    def _clock(self) -> tuple[int, int]:
        """Return the time, and the latest that an event may have, microseconds."""
        now = self._now()
        return now, latest(now, self._skew)
