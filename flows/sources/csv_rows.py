"""Reading CSV (RFC 4180) in pieces whose limits depend on the file alone."""

from __future__ import annotations

import contextlib
import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...features.errors import SourceError
from .faults import NO_EVENT, Fault
from .following import Unclosed
from .opening import is_whole, open_bytes
from .pieces import Piece
from .row_events import RowError, RowEvents, fault

_PIECE_BYTES = 4 << 20
_KEPT_BYTES = 4096
_SKIPPED_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 18
_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_QUOTED = re.compile(rb'"[^"]*"?')
_RETURN_ALONE = re.compile(rb"\r[^\r\n]")
LONGEST_FIELD = 1 << 30
csv.field_size_limit(LONGEST_FIELD)  # a record is bounded already, by `max_event_bytes`


def check_line_ends(path: Path, first: bytes) -> None:
    """Check that the first line of a file does not hold another one.

    Raises
    ------
    SourceError
        If its lines end with a carriage return alone, as on a Mac long ago.
    """
    if _RETURN_ALONE.search(_QUOTED.sub(b"", first)):
        raise SourceError(
            f"{path}: its lines end with a carriage return alone; save it with newlines"
        )


class CsvReader:
    """Rows of one file as lines of JSON, each on the line where its record begins.

    The first line that is not blank names the columns; a file without one is empty. Fields may be
    quoted, and then hold delimiters, quotes (doubled) and newlines. A record that is no event is a
    fault and costs only itself; where a quote is never closed that is its first line.

    Parameters
    ----------
    path
        The file; ``.gz`` is unpacked.
    rows
        Makes events of rows.
    batch_rows
        Rows in a piece, at most.
    max_event_bytes
        A longer record is a fault; it is skipped without being held in memory.
    offset
        Byte (unpacked) at which to begin; the beginning of a record, 0 for the first.
    line
        1-based number of its line.
    growing
        Leave a last record without a newline for later: it may not be whole yet.
    unclosed
        Says how long to leave one whose last quote is missing; None: until it is too long.

    Raises
    ------
    SourceError
        The header cannot be read, or it lacks a column; or lines end with a carriage return alone.
    """

    def __init__(
        self,
        path: Path,
        rows: RowEvents,
        *,
        batch_rows: int,
        max_event_bytes: int,
        offset: int = 0,
        line: int = 1,
        growing: bool = False,
        unclosed: Unclosed | None = None,
    ) -> None:
        self._file = open_bytes(path, buffering=_BUFFER_BYTES)
        self._path = path
        self._rows = rows
        self._encoding = rows.columns.encoding
        self._delimiter = rows.columns.delimiter
        self._batch = batch_rows
        self._longest = max_event_bytes
        self._growing = growing and not is_whole(path)
        self._unclosed = unclosed
        self._torn = 0  # bytes of a last line without a newline
        self._waiting: deque[tuple[bytes, int]] = deque()  # lines that were read ahead
        self._ended = False
        self._begin = offset, line
        self.offset, self.line = 0, 1
        self._make: Callable[[Sequence[str], bytes], bytes] | None = None
        try:
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def read(self) -> Piece | None:
        """The next piece with at least one row, or None at the end of the file."""
        if self._make is None:
            return None
        lines: list[bytes] = []
        faults: dict[int, Fault] = {}
        first, records, size = self.line, 0, 0
        while records < self._batch and size < _PIECE_BYTES:
            record = self._next()
            if record is None:
                break
            text, fields, height = record
            if not text.strip():
                event = b""
            else:
                try:
                    if isinstance(fields, RowError):
                        raise fields
                    event = self._make(fields, text)
                except RowError as error:
                    event = NO_EVENT
                    faults[records] = fault(error, text[:_KEPT_BYTES])
                records += 1
            if not records:
                first = self.line
                continue
            lines.append(event)
            lines += [b""] * (height - 1)
            size += len(event) + height
        if not records:
            return None
        return Piece(b"\n".join(lines) + b"\n", records, first, faults=faults or None)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __del__(self) -> None:
        # The engine closes partitions at the end of input, not after a failure.
        with contextlib.suppress(AttributeError):
            self._file.close()

    def _read_header(self) -> None:
        while True:
            record = self._next()
            if record is None:
                return  # no row either
            text, header, _ = record
            if text.strip():
                break
        if isinstance(header, RowError):
            raise SourceError(f"{self._path}: its first line must name the columns: {header}")
        self._make = self._rows.of_fields(header, str(self._path))
        offset, line = self._begin
        if offset > self.offset:
            self._file.seek(offset)
            self._waiting.clear()
            self._ended = False
            self.offset, self.line = offset, line

    def _next(self) -> tuple[bytes, list[str] | RowError, int] | None:
        """The next record: its text, its fields or why it has none, and how many lines it is."""
        found = self._line()
        if found is None:
            return None
        text, cut = found
        if cut:
            self._advance(cut, 1)
            return text, RowError(f"longer than {self._longest} bytes", size=cut), 1
        if b'"' in text:
            return self._quoted(text)
        fields = self._decoded(text)
        self._advance(len(text), 1)
        if isinstance(fields, RowError):
            return text, fields, 1
        return text, fields.rstrip("\r\n").split(self._delimiter), 1

    def _quoted(self, first: bytes) -> tuple[bytes, list[str] | RowError, int] | None:
        taken: list[tuple[bytes, int]] = []
        open_ended = False
        size = 0

        def lines() -> Iterator[str]:
            # Asked for another line, and only then, the record's last quote is still open.
            nonlocal open_ended, size
            found: tuple[bytes, int] | None = (first, 0)
            while found is not None:
                taken.append(found)
                line, cut = found
                size += cut or len(line)
                if size > self._longest and len(taken) > 1:
                    break
                yield line.decode(self._encoding, "surrogateescape")
                found = self._line()
            open_ended = True

        fields: list[str] | RowError
        try:
            fields = next(csv.reader(lines(), delimiter=self._delimiter))
        except csv.Error as error:
            fields = RowError(str(error))
        if open_ended:
            if self._growing and size <= self._longest and self._may_be_closed(size):
                self._ended = True  # its other lines may come
                return None
            fields = RowError("a quote that is never closed")
            self._waiting.extendleft(reversed(taken[1:]))
            taken = taken[:1]
        text = b"".join(line for line, _ in taken)
        whole = self._decoded(text)
        self._advance(len(text), len(taken))
        return text, whole if isinstance(whole, RowError) else fields, len(taken)

    def _may_be_closed(self, size: int) -> bool:
        if self._unclosed is None:
            return True
        size += self._torn
        return self._unclosed.waits(self._path, self.offset, size, torn=self._torn > 0)

    def _decoded(self, text: bytes) -> str | RowError:
        try:
            return text.decode(self._encoding)
        except UnicodeDecodeError as error:
            return RowError(f"Invalid {self._encoding.upper()} (byte {error.start})")

    def _line(self) -> tuple[bytes, int] | None:
        """The next line with its newline; of one that is too long its beginning, and its size."""
        if self._waiting:
            return self._waiting.popleft()
        if self._ended:
            return None
        line = self._file.readline(self._longest + 2)
        if self.offset == 0 and line.startswith(_WIDE_BOMS):
            raise SourceError(f"{self._path}: is UTF-16; save it as UTF-8")
        if self._make is None:
            check_line_ends(self._path, line)
        if self.offset == 0 and line.startswith(_BOM):
            self.offset = len(_BOM)
            line = line[len(_BOM) :]
        if line.endswith(b"\n"):
            return line, 0
        size, part = len(line), line
        if size > self._longest + 1:
            while part and not part.endswith(b"\n"):
                part = self._file.readline(_SKIPPED_BYTES)
                size += len(part)
        if not part.endswith(b"\n") and self._growing:
            self._ended, self._torn = True, size
            return None
        if not line:
            return None
        return (line, 0) if size == len(line) else (line[:_KEPT_BYTES], size)

    def _advance(self, size: int, lines: int) -> None:
        self.offset += size
        self.line += lines
