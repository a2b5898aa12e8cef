"""What every source emits: a run of consecutive records of one log partition, undecoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...features.event_check import BLANK
from ...features.scanner import count_records
from .faults import Fault

__all__ = ["BLANK", "Entries", "RawChunk", "count_records"]


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """What a chunk was joined from: m entries of a stream, or messages of a topic.

    Attributes
    ----------
    names
        The id or the offset of each.
    lines
        int64[m]: the line of the payload that each begins with, from 0.
    records
        int64[m]: the ordinal in the chunk of the first record of each.
    positions
        int64[m]: the log position of that record.
    times
        int64[m]: when the log took each in, by its own account, microseconds; `partitions.NO_TIME`
        where it does not say; None: it says so of none.
    traces
        Of some, by their ordinal: the trace that they are part of, see `telemetry.context`.
    """

    names: Sequence[str]
    lines: npt.NDArray[np.int64]
    records: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64] | None = None
    traces: Mapping[int, str] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        """Do they say the same?"""
        return isinstance(other, Entries) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have none


@dataclass(frozen=True, slots=True)
class RawChunk:
    """Consecutive records of one partition, in log order.

    Attributes
    ----------
    partition
        Number of the log partition.
    position
        Log position of the first record. Of files: how many records of the partition come
        before it. Of a stream or topic: see `nextbest.flows.partitions`.
    format
        `ndjson`: `payload` is bytes, one JSON object a line, blank lines left in place.
        `arrow`: `payload` is a table whose columns each have a single piece.
    payload
        The records.
    origin
        The file's path; of a stream or topic its name, ``clicks:0`` or ``clicks[0]``.
    line
        1-based number of the first line (NDJSON) or row (Parquet), within the file; 1 in a
        stream or topic.
    seq
        Number of the chunk in its partition: 0-based, without gaps, the same after a
        resume as without one.
    records
        Records in `payload`.
    entries
        What the payload was joined from; None: from nothing, positions are contiguous.
    fault
        None, or why the source could not take this one record whole; then `payload` is
        the beginning of it and it belongs to the dead letters.
    size
        With a fault: the record's true size in bytes.
    faults
        Records of a payload of lines that the source made no event of, by their ordinals; their
        lines are `faults.NO_EVENT`.

    Examples
    --------
    >>> chunk = RawChunk(0, 100, "ndjson", b'{"a":1}\\n\\n{"a":2}\\n', "a.ndjson", 7, 3, 2)
    >>> chunk.positions(np.arange(2)).tolist(), chunk.where(1, 2)
    ([100, 101], ('a.ndjson', 9, 101))
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
    entries: Entries | None = None
    faults: dict[int, Fault] | None = None

    def positions(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return int64[n], the log positions of records.

        Parameters
        ----------
        index
            int64[n]: their ordinals in the chunk.
        """
        entries = self.entries
        if entries is None or len(entries.records) == 1:
            return self.position + index
        which = np.searchsorted(entries.records, index, side="right") - 1
        found: npt.NDArray[np.int64] = (entries.positions - entries.records)[which] + index
        return found

    def logged(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
        """Return int64[n], when the log took records in; None: it does not say.

        Parameters
        ----------
        index
            int64[n]: their ordinals in the chunk.
        """
        entries = self.entries
        if entries is None or entries.times is None:
            return None
        which = np.searchsorted(entries.records, index, side="right") - 1
        found: npt.NDArray[np.int64] = entries.times[which]
        return found

    def traced(self, index: npt.NDArray[np.int64]) -> dict[int, str]:
        """Return the traces of records, by their place in ``index`` (int64[n], as above)."""
        entries = self.entries
        if entries is None or not entries.traces:
            return {}
        which = np.searchsorted(entries.records, index, side="right") - 1
        places = np.flatnonzero(np.isin(which, list(entries.traces)))
        return {place: entries.traces[int(which[place])] for place in places.tolist()}

    def where(self, index: int, line: int) -> tuple[str, int, int]:
        """Return the origin, the 1-based line in it and the log position of one record.

        Parameters
        ----------
        index
            Its ordinal in the chunk.
        line
            Its line in the payload, from 0.
        """
        entries = self.entries
        if entries is None:
            return self.origin, self.line + line, self.position + index
        which = int(np.searchsorted(entries.lines, line, side="right")) - 1
        origin = f"{self.origin}@{entries.names[which]}"
        position = int(entries.positions[which] - entries.records[which]) + index
        return origin, line - int(entries.lines[which]) + 1, position
