"""Reading a file of JSON lines in pieces whose limits depend on the file alone."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .chunk import BLANK
from .opening import open_bytes
from .pieces import Piece

_WINDOW_BYTES = 4 << 20
_KEPT_BYTES = 4096
_BOM = b"\xef\xbb\xbf"
_NEWLINE = 0x0A
_SPACE = 0x20


class LineReader:
    """Whole lines of one file, from a byte offset on.

    A piece ends after `batch_rows` lines, after the last whole line within 4 MiB, before
    a line that is too long, or where the file ends, whichever comes first; so a resumed
    reader makes the same pieces as one that was never stopped.

    Parameters
    ----------
    path
        The file.
    batch_rows
        Lines in a piece, at most.
    max_event_bytes
        A longer line becomes a piece of its own with a fault; it is skipped without being
        held in memory.
    offset
        Byte at which to begin; the beginning of a line.
    line
        1-based number of that line.
    growing
        Leave a last line without a newline for later: it may not be whole yet.
    """

    def __init__(
        self,
        path: Path,
        *,
        batch_rows: int,
        max_event_bytes: int,
        offset: int = 0,
        line: int = 1,
        growing: bool = False,
    ) -> None:
        self._file = open_bytes(path)
        self._file.seek(offset)
        self._rows = batch_rows
        self._longest = max_event_bytes
        self._window = max(_WINDOW_BYTES, max_event_bytes + 1)
        self._buffer = b""
        self._at = 0
        self._ends: NDArray[np.int64] = np.empty(0, np.int64)
        self._ended = False
        self._growing = growing
        self.offset = offset
        self.line = line

    def read(self) -> Piece | None:
        """The next piece with at least one record, or None at the end of the file."""
        while True:
            if len(self._ends) < self._rows and not self._ended:
                self._fill()
            if self._at == len(self._buffer):
                return None
            if self._growing and self._ended and not len(self._ends):
                return None
            piece = self._cut() if len(self._ends) else self._skip_long()
            if piece is not None:
                return piece

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __del__(self) -> None:
        # The engine closes partitions at the end of input, not after a failure.
        with contextlib.suppress(AttributeError):
            self._file.close()

    def _fill(self) -> None:
        """Make the buffer one window of bytes from the present line on, if the file has it."""
        parts = [self._buffer[self._at :]]
        missing = self._window - len(parts[0])
        while missing > 0:
            part = self._file.read(missing)
            if not part:
                self._ended = True
                break
            parts.append(part)
            missing -= len(part)
        self._buffer = b"".join(parts)
        self._at = 0
        whole = not self._growing or b"\n" in self._buffer
        if self.offset == 0 and whole and self._buffer.startswith(_BOM):
            self._at = self.offset = len(_BOM)
        data = np.frombuffer(self._buffer, np.uint8)
        ends = np.flatnonzero(data == _NEWLINE)
        if self._ended and not self._growing and self._at < len(data) and data[-1] != _NEWLINE:
            ends = np.append(ends, len(data))
        self._ends = ends

    def _cut(self) -> Piece | None:
        ends = self._ends[: self._rows]
        starts = np.empty_like(ends)
        starts[0] = self._at
        starts[1:] = ends[:-1] + 1
        long = np.flatnonzero(ends - starts > self._longest)
        if len(long):
            if long[0] == 0:
                size = int(ends[0] - starts[0])
                head = self._buffer[self._at : self._at + _KEPT_BYTES]
                line = self.line
                self._advance(int(ends[0]) + 1, 1)
                return self._fault(head, line, size)
            ends, starts = ends[: long[0]], starts[: long[0]]
        cut = int(ends[-1]) + 1
        blank = self._blank_lines(starts, ends)
        lead = 0
        while lead < len(blank) and blank[lead] == lead:
            lead += 1
        records = len(ends) - len(blank)
        payload = self._buffer[int(starts[lead]) : cut] if records else b""
        line = self.line + lead
        self._advance(cut, len(ends))
        return Piece(payload, records, line) if records else None

    def _blank_lines(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> list[int]:
        # A line that begins with a visible byte is not blank: nearly all lines, tested at once.
        data = np.frombuffer(self._buffer, np.uint8)
        suspects = np.flatnonzero(data[starts] <= _SPACE)
        return [int(i) for i in suspects if not self._buffer[starts[i] : ends[i]].strip(BLANK)]

    def _skip_long(self) -> Piece | None:
        """Pass over a line that does not end within the window; None if it may still grow."""
        head = self._buffer[self._at : self._at + _KEPT_BYTES]
        size = len(self._buffer) - self._at
        line = self.line
        newline = -1
        rest = b""
        while newline < 0:
            rest = self._file.read(_WINDOW_BYTES)
            if not rest:
                self._ended = True
                if self._growing:
                    return None
                break
            newline = rest.find(b"\n")
            size += newline if newline >= 0 else len(rest)
        self.offset += size + (newline >= 0)
        self.line += 1
        self._buffer = rest
        self._at = newline + 1
        self._fill()
        return self._fault(head, line, size)

    def _fault(self, head: bytes, line: int, size: int) -> Piece:
        return Piece(head, 1, line, f"longer than {self._longest} bytes", size)

    def _advance(self, to: int, lines: int) -> None:
        to = min(to, len(self._buffer))
        self.offset += to - self._at
        self._at = to
        self.line += lines
        self._ends = self._ends[lines:]
