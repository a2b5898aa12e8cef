"""Logs whose entries are lines: where in the log a run of them stands."""

from __future__ import annotations

from typing import TypeVar

from .base import LogPartition, StopFlag
from .chunk import RawChunk

S = TypeVar("S")


class LinePartition(LogPartition[S]):
    """A partition that counts records and chunks as it emits them.

    Parameters
    ----------
    number
        Of the partition.
    position, seq
        Records and chunks emitted before.
    stop, epoch_bytes
        See `LogPartition`.
    """

    def __init__(
        self, number: int, position: int, seq: int, *, stop: StopFlag | None, epoch_bytes: int
    ) -> None:
        super().__init__(stop=stop, epoch_bytes=epoch_bytes)
        self.number = number
        self.position = position
        self.seq = seq

    def chunk(
        self,
        payload: bytes,
        records: int,
        *,
        origin: str,
        line: int,
        fault: str | None = None,
        size: int = 0,
    ) -> RawChunk:
        """Make the next chunk; the arguments mean what they mean in `RawChunk`."""
        made = RawChunk(
            partition=self.number,
            position=self.position,
            format="ndjson",
            payload=payload,
            origin=origin,
            line=line,
            seq=self.seq,
            records=records,
            fault=fault,
            size=size,
        )
        self.position += records
        self.seq += 1
        return made
