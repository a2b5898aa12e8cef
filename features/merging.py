"""Merging logs and runs into a new run, from file to file: the newest row of each key wins.

Size-tiered: of the newest runs, those of a size are merged when there are FAN_IN of them, so that
a row is rewritten about once for each time that the state grows fourfold.
"""

from __future__ import annotations

import contextlib
import mmap
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import background, durable
from .errors import StateError
from .kernels.layout import U64
from .kernels.pack import FULL, OK, OTHER_SCHEMA
from .kernels.runs import BUCKET, PER_BUCKET, build_index, merge_records
from .row_log import RowLog
from .runs import HEADER_WORDS, Run, make_header

FAN_IN = 4
_SMALLEST = 1 << 20  # below it all runs count as of a size
_STEP = 1 << 19  # words written at a time, and waited for: 4 MiB
_PAGE = mmap.ALLOCATIONGRANULARITY // 8


class Source(NamedTuple):
    """Records to merge: words ``start`` to ``end`` of ``words``, byte ``offset`` of the file on."""

    path: Path
    offset: int
    words: U64
    start: int
    end: int
    version: int


def read_sources(logs: Sequence[RowLog], runs: Sequence[Run]) -> Iterator[Source]:
    """Yield what logs (oldest first) and runs (newest first, all older) hold, the newest first.

    Raises
    ------
    StateError
        If a record of a log is damaged.
    """
    for log in reversed(logs):
        for record, payload in log.newest_first():
            words = np.frombuffer(payload, np.uint64, len(payload) // 8)
            yield Source(log.path, record.at + 8, words, 2, len(words), record.version)
    for run in runs:
        yield Source(run.path, 0, run.words, HEADER_WORDS, run.end, run.version)


def write_run(
    path: Path, schema_id: int, rows: int, sources: Iterator[Source], stop: threading.Event
) -> None:
    """Merge sources (newest first) of at most ``rows`` records into a new run.

    Raises
    ------
    StateError
        If a source is damaged, or the disk is full or fails; there is then no new run.
    CancelledError
        Soon after ``stop`` was set.
    """
    unfinished = path.with_suffix(".tmp")
    try:
        with durable.named_errors(path), durable.create(unfinished) as file:
            durable.write(file, bytes(8 * HEADER_WORDS))
            with _key_table(path.parent, rows) as seen:
                end, count, version = _copy(file, schema_id, sources, seen, stop)
                index, buckets = -(-end // _PAGE) * _PAGE, -(-count // PER_BUCKET)
                size = 8 * BUCKET * buckets
                durable.allocate(file, 8 * end, 8 * (index - end) + size)
                with _mapped(file.fileno(), size, 8 * index) as words:
                    build_index(seen, words)
            file.seek(0)
            header = make_header(schema_id, count, end, index, buckets, version)
            durable.write(file, header.tobytes())
            durable.sync(file)
            durable.rename(unfinished, path)
            durable.sync_path(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def _copy(
    file: FileIO,
    schema_id: int,
    sources: Iterator[Source],
    seen: U64,
    stop: threading.Event,
) -> tuple[int, int, int]:
    """Write the newest record of each key; return the word behind, how many, newest version."""
    out = np.empty(_STEP, np.uint64)
    sizes = np.zeros(2, np.int64)
    word, version = HEADER_WORDS, 0

    def flush() -> None:
        nonlocal word
        durable.write(file, out[: sizes[0]].data)
        # In steps, so that nobody else who waits for the disk waits for all of it.
        durable.sync(file)
        word += int(sizes[0])
        sizes[0] = 0

    for source in sources:
        version = max(version, source.version)
        at = source.start
        while at < source.end:
            if stop.is_set():
                raise CancelledError
            at, status = map(int, merge_records(
                source.words, at, source.end, schema_id, word, out, seen, sizes
            ))  # fmt: skip
            if status == FULL and sizes[0]:
                flush()
            elif status != OK:
                where = f"{source.path}: the row at byte {source.offset + 8 * at}"
                reason = "of another declaration" if status == OTHER_SCHEMA else "damaged"
                raise StateError(f"{where} is {reason} (code {status})")
    flush()
    return word, int(sizes[1]), version


@contextlib.contextmanager
def _mapped(descriptor: int, size: int, offset: int) -> Iterator[U64]:
    """Map bytes of a file for writing."""
    mapped = mmap.mmap(descriptor, size, offset=offset)
    yield np.frombuffer(mapped, np.uint64)
    durable.sync_map(mapped)  # whoever still holds the array keeps the map open


@contextlib.contextmanager
def _key_table(directory: Path, rows: int) -> Iterator[U64]:
    """Make an empty table for so many keys, in a file without a name rather than in memory."""
    places = rows + rows // 2 + 1
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        durable.allocate(file, 0, 24 * places)
        yield np.frombuffer(mmap.mmap(file.fileno(), 24 * places), np.uint64).reshape(places, 3)


def due_runs(runs: Sequence[Run]) -> int:
    """Return how many of the runs (newest first) are to be merged, or 0."""
    tiers = [(run.bytes // _SMALLEST).bit_length() // 2 for run in runs]
    due = 0
    for tier in sorted(set(tiers)):
        prefix = next((i for i, other in enumerate(tiers) if other > tier), len(tiers))
        if tiers[:prefix].count(tier) >= FAN_IN:
            due = prefix
    return due


class Merge:
    """A merge in the background.

    Parameters
    ----------
    path
        The run to be made.
    schema_id
        Of the declaration.
    logs, runs
        Sealed logs, oldest first, or runs, newest first.
    """

    def __init__(
        self, path: Path, schema_id: int, logs: Sequence[RowLog], runs: Sequence[Run]
    ) -> None:
        self.path, self.logs, self.runs = path, tuple(logs), tuple(runs)
        self._stop = threading.Event()
        rows = sum(log.rows for log in logs) + sum(run.rows for run in runs)
        self._future: Future[None] = background.submit(
            write_run, path, schema_id, rows, read_sources(self.logs, self.runs), self._stop
        )

    @property
    def done(self) -> bool:
        """Whether the run is there, or there was an error."""
        return self._future.done()

    def result(self) -> None:
        """Wait for the run.

        Raises
        ------
        StateError
            What went wrong.
        """
        self._future.result()

    def cancel(self) -> bool:
        """Give it up if it has not begun; return whether."""
        return self._future.cancel()

    def stop(self) -> None:
        """Give it up, and wait until it has ended."""
        self._stop.set()
        if not self._future.cancel():
            self._future.exception()
