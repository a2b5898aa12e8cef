"""Runs: immutable files of rows, in which a customer's row is found by its key.

    header     HEADER_WORDS words: magic, schema id, rows, word behind the records, word of the
               index, its buckets, newest version; the last one is a checksum
    records    see `nextbest.features.kernels.records_log`; each key once
    index      from a page's beginning to the file's end: see `nextbest.features.kernels.runs`

A run is mapped, not read: what is looked up in it takes page cache and no memory of its own.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import StateError
from .kernels.layout import I64, MAX_ID_BYTES, U8, U64
from .kernels.pack import OK, OTHER_SCHEMA
from .kernels.runs import BUCKET, checksum, fetch_rows, find_many, read_names

MAGIC = int.from_bytes(b"NBRUN\x00\x00\x01", "little")
HEADER_WORDS = 16
_MAGIC, _SCHEMA, _ROWS, _END, _INDEX, _BUCKETS, _VERSION = range(7)


class Names(NamedTuple):
    """Customers of a part of a run.

    ``names`` (int64[n, 2]) are start and length of each id in ``arena`` (uint8[m]); ``keys`` is
    uint64[n, 2].
    """

    names: I64
    arena: U8
    keys: U64

    def split(self, at: int) -> tuple[Names, Names]:
        """Return the first ``at`` customers, and the others."""
        return (
            Names(self.names[:at], self.arena, self.keys[:at]),
            Names(self.names[at:], self.arena, self.keys[at:]),
        )


NOBODY = Names(np.zeros((0, 2), np.int64), np.zeros(0, np.uint8), np.zeros((0, 2), np.uint64))


def make_header(schema_id: int, rows: int, end: int, index: int, buckets: int, version: int) -> U64:
    """Return a run's header, uint64[HEADER_WORDS]."""
    header = np.zeros(HEADER_WORDS, np.uint64)
    header[: _VERSION + 1] = (MAGIC, schema_id, rows, end, index, buckets, version)
    header[-1] = checksum(header, HEADER_WORDS - 1)
    return header


class Run:
    """One run, open for reading.

    Parameters
    ----------
    path
        The file.
    schema_id
        Of the declaration that its rows must be of.

    Attributes
    ----------
    words
        uint64: the whole file.
    rows, end, version
        How many rows it holds, the word behind their records, the newest version in it.

    Raises
    ------
    StateError
        If it is missing, cut off, not a run, or of another declaration.
    """

    def __init__(self, path: Path, schema_id: int) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise StateError(f"{path}: the run is gone") from None
        except (OSError, ValueError) as error:
            raise StateError(f"{path}: cannot be read: {error}") from error
        self.bytes = len(mapped)
        self.words: U64 = np.frombuffer(mapped, np.uint64, len(mapped) // 8)
        header = self.words[:HEADER_WORDS].tolist()
        if len(header) < HEADER_WORDS or header[_MAGIC] != MAGIC:
            raise StateError(f"{path}: not a run")
        if checksum(self.words, HEADER_WORDS - 1) != header[-1]:
            raise StateError(f"{path}: the header at byte 0 is damaged (checksum)")
        if header[_SCHEMA] != schema_id:
            raise StateError(
                f"{path}: was written under another declaration "
                f"(schema {header[_SCHEMA]:08x}, now {schema_id:08x})"
            )
        size = 8 * (header[_INDEX] + BUCKET * header[_BUCKETS])
        if size != self.bytes:
            raise StateError(f"{path}: cut off ({self.bytes} bytes of {size})")
        if hasattr(mmap, "MADV_RANDOM"):
            # Reading ahead of a lookup would read what nobody asked for.
            mapped.madvise(mmap.MADV_RANDOM)
        self.schema_id = schema_id
        self.rows, self.end, self.version = header[_ROWS], header[_END], header[_VERSION]
        self._index, self._buckets = header[_INDEX], header[_BUCKETS]

    def fetch(self, pending: I64, keys: U64, memory: U64, row_words: int) -> int:
        """Unpack the rows that the run has into ``memory``; return how many it has not.

        The other parameters are those of `fetch_rows`.

        Raises
        ------
        StateError
            Naming file and offset of what is damaged.
        """
        missing, status, word = fetch_rows(
            self.words, self._index, self._buckets, self.schema_id, pending, keys, memory, row_words
        )
        if status != OK:
            raise self.damaged(int(word), int(status))
        return int(missing)

    def has(self, keys: U64) -> npt.NDArray[np.bool_]:
        """Return which of the keys (uint64[n, 2]) the run has, bool[n].

        Raises
        ------
        StateError
            As `fetch`.
        """
        found = np.zeros(len(keys), np.uint8)
        word = int(find_many(self.words, self._index, self._buckets, keys, found))
        if word:
            raise self.damaged(word)
        return found.view(np.bool_)

    def names(self, at: int, most: int) -> tuple[Names, int]:
        """Return at most so many customers, from the record at word ``at`` on; and where it ends.

        Raises
        ------
        StateError
            As `fetch`.
        """
        names = np.zeros((most, 2), np.int64)
        arena = np.empty(most * MAX_ID_BYTES, np.uint8)
        keys = np.empty((most, 2), np.uint64)
        n, stop, status = read_names(self.words, at, self.end, names, arena, keys)
        if status != OK:
            raise self.damaged(int(stop), int(status))
        return Names(names[:n], arena, keys[:n]), int(stop)

    def damaged(self, word: int, status: int = OK) -> StateError:
        """Return the error that says what is wrong at a word of the file."""
        what = "the bucket of the index" if word >= self._index else "the row"
        reason = "of another declaration" if status == OTHER_SCHEMA else "damaged (checksum)"
        return StateError(f"{self.path}: {what} at byte {8 * word} is {reason}")


def newest_names(runs: Sequence[Run], most: int) -> Iterator[tuple[int, Names]]:
    """Walk the customers of runs (newest first), each where its newest row is.

    Yields how many records were passed, and at most ``most`` customers: perhaps none.

    Raises
    ------
    StateError
        As `Run.fetch`.
    """
    for number, run in enumerate(runs):
        at = HEADER_WORDS
        while at < run.end:
            found, at = run.names(at, most)
            first = np.ones(len(found.names), np.bool_)
            for newer in runs[:number]:
                first &= ~newer.has(found.keys)
            yield len(first), Names(found.names[first], found.arena, found.keys[first])
