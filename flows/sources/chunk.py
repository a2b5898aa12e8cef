"""What every source emits: a run of consecutive records of one log partition, undecoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from ...features.scanner import BLANK, count_records

__all__ = ["BLANK", "RawChunk", "count_records"]


@dataclass(frozen=True, slots=True)
class RawChunk:
    """Consecutive records of one partition, in log order.

    Attributes
    ----------
    partition
        Number of the log partition.
    position
        Log position of the first record: how many records of the partition come before
        it, over all its files or entries.
    format
        `ndjson`: `payload` is bytes, one JSON object a line, blank lines left in place.
        `arrow`: `payload` is a table whose columns each have a single piece.
    payload
        The records.
    origin
        The file's path or the stream's name.
    line
        1-based number, within the origin, of the first line (NDJSON file), row (Parquet)
        or record (stream).
    seq
        Number of the chunk in its partition: 0-based, without gaps, the same after a
        resume as without one.
    records
        Records in `payload`; the next chunk's position is `position + records`.
    fault
        None, or why the source could not take this one record whole; then `payload` is
        the beginning of it and it belongs to the dead letters.
    size
        With a fault: the record's true size in bytes.

    Examples
    --------
    >>> chunk = RawChunk(0, 100, "ndjson", b'{"a":1}\\n\\n{"a":2}\\n', "a.ndjson", 7, 3, 2)
    >>> chunk.position + chunk.records
    102
    """

    partition: int
    position: int
    format: Literal["ndjson", "arrow"]
    payload: bytes | pa.Table
    origin: str
    line: int
    seq: int
    records: int
    fault: str | None = None
    size: int = 0
