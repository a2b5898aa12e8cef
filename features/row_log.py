"""A shard's write-ahead log: the rows that changed, with the version in which they did.

The payload of each record of the `DeltaLog` is: version (uint64), how many rows follow (uint64),
their records (`nextbest.features.kernels.records_log`).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .delta_log import DeltaLog
from .errors import StateError
from .state import ShardState

_HEAD = struct.Struct("<QQ")
ROWS_PER_RECORD = 4096
"""Rows of one record of the log, at most: what a reader must hold at a time."""


class Rows(NamedTuple):
    """Where the log holds rows: a record of it, and what its head says."""

    at: int
    length: int
    version: int
    rows: int


class RowLog:
    """One generation of a shard's log.

    Parameters
    ----------
    path, pointer
        As for `DeltaLog`.

    Raises
    ------
    StateError
        As `DeltaLog`.
    """

    def __init__(self, path: Path, pointer: int | None) -> None:
        self.path = path
        self._log = DeltaLog(path, pointer)
        # Of each record the numbers of its `Rows`: where little changes there are very many.
        self._records = array("Q")
        self._rows = 0
        for at, length in self._log.bounds():
            head = self._log.peek(at, _HEAD.size)
            if length < _HEAD.size or len(head) < _HEAD.size:
                raise StateError(f"{path}: the record at byte {at} is cut off")
            self._add(Rows(at, length, *_HEAD.unpack(head)))

    def __len__(self) -> int:
        """Return how many records it has."""
        return len(self._records) // len(Rows._fields)

    @property
    def pointer(self) -> int:
        """The log's end in bytes."""
        return self._log.pointer

    @property
    def rows(self) -> int:
        """How many rows it holds, every version of them counted."""
        return self._rows

    @property
    def first_version(self) -> int | None:
        """The version of its first rows; None without any."""
        return self._record(0).version if len(self) else None

    @property
    def last_version(self) -> int:
        """The version of its last rows; 0 without any."""
        return self._record(len(self) - 1).version if len(self) else 0

    def append(self, state: ShardState, version: int) -> None:
        """Write the rows that changed, without waiting for the disk.

        Raises
        ------
        StateError
            If the disk is full or fails.
        """
        while state.unlogged:
            rows = min(state.unlogged, ROWS_PER_RECORD)
            changes = state.take_changes(version, ROWS_PER_RECORD)
            at = self._log.pointer
            self._log.write(_HEAD.pack(version, rows), changes)
            self._add(Rows(at, _HEAD.size + len(changes), version, rows))

    def sync(self) -> None:
        """Wait until all that was written is on disk.

        Raises
        ------
        StateError
            If the disk fails.
        """
        self._log.sync()

    def load(self, state: ShardState) -> None:
        """Put the rows back; none is to be published for it.

        Raises
        ------
        StateError
            Naming file and offset of what is damaged.
        """
        for record in map(self._record, range(len(self))):
            changes = self._log.read(record.at, record.length)[_HEAD.size :]
            try:
                state.load_changes(changes, record.version)
            except StateError as error:
                raise StateError(
                    f"{self.path}: in the record at byte {record.at}: {error}"
                ) from error
            state.publish_nothing()

    def newest_first(self) -> Iterator[tuple[Rows, bytes]]:
        """Yield the log's records, the newest first, and their payloads.

        Raises
        ------
        StateError
            Naming file and offset of what is damaged.
        """
        for record in map(self._record, reversed(range(len(self)))):
            yield record, self._log.read(record.at, record.length)

    def close(self) -> None:
        """Close the file."""
        self._log.close()

    def _record(self, number: int) -> Rows:
        wide = len(Rows._fields)
        return Rows(*self._records[number * wide : (number + 1) * wide])

    def _add(self, record: Rows) -> None:
        self._records.extend(record)
        self._rows += record.rows
