"""Events waiting to be replayed: in memory, and on disk where they are too many."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .errors import StateError
from .kernels.layout import I64, U64
from .kernels.records import split_by_shard

BUCKETS = 64
_LOOSE_ROWS = 1 << 16
_PIECE_ROWS = 1 << 16


class Buckets:
    """Records by the bucket of their slot (``slot % BUCKETS``).

    Parameters
    ----------
    words
        Of a record.
    memory_bytes
        How much is held before it is written to a file.
    directory
        Where that file lies; it has no name, so that nothing is left whatever happens. None: the
        system's directory for such files.

    Attributes
    ----------
    words
        Of a record.
    spilled_bytes
        How much was written.

    Examples
    --------
    >>> with Buckets(10, 1 << 20) as buckets:
    ...     buckets.add(np.full((3, 10), 65, np.uint64))
    ...     buckets.seal()
    ...     [len(piece) for piece in buckets.pieces(1)]
    [3]
    """

    def __init__(self, words: int, memory_bytes: int, directory: str | Path | None = None) -> None:
        self.words = words
        self._limit = memory_bytes
        self._directory = directory
        self._lock = threading.Lock()
        self._loose: list[U64] = []
        self._loose_rows = 0
        self._held: list[tuple[U64, I64]] = []
        self._held_bytes = 0
        self._file: BinaryIO | None = None
        self._extents: list[list[tuple[int, int]]] = [[] for _ in range(BUCKETS)]
        self.spilled_bytes = 0

    def __enter__(self) -> Buckets:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def add(self, records: U64) -> None:
        """Take records (uint64[n, words]); any thread may call.

        Raises
        ------
        StateError
            If the disk is full or fails.
        """
        with self._lock:
            self._loose.append(records)
            self._loose_rows += len(records)
            if self._loose_rows < _LOOSE_ROWS:
                return
            loose, self._loose, self._loose_rows = self._loose, [], 0
        self._hold(loose)

    def seal(self) -> None:
        """Nothing is added any more; from now on any thread may read.

        Raises
        ------
        StateError
            If the disk is full or fails.
        """
        loose, self._loose, self._loose_rows = self._loose, [], 0
        if loose:
            self._hold(loose)

    def pieces(self, bucket: int) -> Iterator[U64]:
        """Yield what was added to a bucket, piece by piece, each of bounded size.

        Raises
        ------
        StateError
            If the disk fails.
        """
        size = 8 * self.words
        for start, rows in self._extents[bucket]:
            for first in range(0, rows, _PIECE_ROWS):
                count = min(_PIECE_ROWS, rows - first)
                yield self._read(start + first * size, count)
        for records, bounds in self._held:
            if bounds[bucket] < bounds[bucket + 1]:
                yield records[bounds[bucket] : bounds[bucket + 1]]

    def rows(self, bucket: int) -> int:
        """Return how many records a bucket has."""
        spilled = sum(rows for _, rows in self._extents[bucket])
        return spilled + sum(int(b[bucket + 1] - b[bucket]) for _, b in self._held)

    def close(self) -> None:
        """Let go of memory and disk."""
        with self._lock:
            self._loose, self._held = [], []
            if self._file is not None:
                self._file.close()
                self._file = None

    def _hold(self, loose: list[U64]) -> None:
        records = loose[0] if len(loose) == 1 else np.concatenate(loose)
        loose.clear()
        grouped, _, bounds = split_by_shard(records, BUCKETS)  # by the word SLOT
        with self._lock:
            self._held.append((grouped, bounds))
            self._held_bytes += grouped.nbytes
            if self._held_bytes > self._limit:
                self._spill()

    def _spill(self) -> None:
        where = self._directory or tempfile.gettempdir()
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=where, buffering=0)  # noqa: SIM115
            for bucket in range(BUCKETS):
                start, rows = self.spilled_bytes, 0
                for records, bounds in self._held:
                    piece = records[bounds[bucket] : bounds[bucket + 1]]
                    rest = piece.reshape(-1).view(np.uint8).data
                    while rest:
                        rest = rest[os.write(self._file.fileno(), rest) :]
                    rows += len(piece)
                if rows:
                    self._extents[bucket].append((start, rows))
                    self.spilled_bytes += rows * self.words * 8
        except OSError as error:
            raise StateError(
                f"{where}: events to be replayed cannot be kept there: {error.strerror}"
            ) from error
        self._held, self._held_bytes = [], 0

    def _read(self, start: int, rows: int) -> U64:
        assert self._file is not None
        out = np.empty((rows, self.words), np.uint64)
        rest = out.reshape(-1).view(np.uint8).data
        try:
            while rest:
                data = os.pread(self._file.fileno(), len(rest), start)
                if not data:
                    raise OSError(0, "the file is shorter than what was written")
                rest[: len(data)] = data
                rest, start = rest[len(data) :], start + len(data)
        except OSError as error:
            raise StateError(
                f"events to be replayed cannot be read back: {error.strerror}"
            ) from error
        return out
