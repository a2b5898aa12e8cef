"""What a reader of one file gives: a piece of it, before it has a place in the log."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import pyarrow as pa

from .faults import Fault


class Piece(NamedTuple):
    """Consecutive records of one file; the fields mean what they mean in `RawChunk`."""

    payload: bytes | pa.Table
    records: int
    line: int
    fault: str | None = None
    size: int = 0
    faults: dict[int, Fault] | None = None


class Reader(Protocol):
    """One open file that is read once, front to back.

    `offset` and `line` say where the next piece begins: bytes and lines of NDJSON and CSV,
    rows of Parquet. A reader made with them reads on exactly there.
    """

    @property
    def offset(self) -> int:
        """Bytes (NDJSON, CSV; unpacked) or rows (Parquet) already read."""

    @property
    def line(self) -> int:
        """1-based number of the next line or row."""

    def read(self) -> Piece | None:
        """The next piece, or None at the end."""

    def close(self) -> None:
        """Close the file."""
