"""Lines of JSON and rows of Parquet whose fields have other names than ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa

from ...features.event_check import explain
from .faults import NO_EVENT, Fault
from .pieces import Piece, Reader
from .row_events import RowError, RowEvents, fault
from .table_rows import rows_of

_BAD_LINE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class MappedReader:
    """A reader whose every record is made an event, line for line and row for row.

    Parameters
    ----------
    reader
        Reads the file.
    rows
        Makes the events.
    """

    def __init__(self, reader: Reader, rows: RowEvents) -> None:
        self._reader = reader
        self._rows = rows

    @property
    def offset(self) -> int:
        """Where the next piece begins: bytes or rows."""
        return self._reader.offset

    @property
    def line(self) -> int:
        """1-based number of the next line or row."""
        return self._reader.line

    def read(self) -> Piece | None:
        """The next piece, or None at the end."""
        piece = self._reader.read()
        if piece is None or piece.fault is not None:
            return piece
        lines: list[bytes] = []
        faults: dict[int, Fault] = {}
        records = 0
        for text, row in self._records(piece.payload):
            if row is None:
                lines.append(b"")
                continue
            try:
                if isinstance(row, RowError):
                    raise row
                if isinstance(row, Exception):
                    raise RowError(*explain(row))
                lines.append(self._rows.of_mapping(row, text))
            except RowError as error:
                lines.append(NO_EVENT)
                faults[records] = fault(error, text if text is not None else self._rows.shown(row))
            records += 1
        payload = b"\n".join(lines) + b"\n"
        return Piece(payload, piece.records, piece.line, faults=faults or None)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def _records(self, payload: bytes | pa.Table) -> Iterator[tuple[bytes | None, Any]]:
        """Yield each record's text, if it has one, and what it says: None where it is blank."""
        if not isinstance(payload, bytes):
            yield from rows_of(payload, self._rows)
            return
        for line in payload.removesuffix(b"\n").split(b"\n"):
            text = line.strip()
            row: Any = None
            if text:
                try:
                    text.decode()
                    row = msgspec.json.decode(text)
                    row = RowError("Expected `object`, got `null`") if row is None else row
                except _BAD_LINE as error:
                    row = error
            yield text, row
