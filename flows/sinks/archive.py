"""The archive: immutable Parquet files, one for each partition and epoch, each exactly once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bytewax.outputs import StatefulSinkPartition

from ...features.durable import sync_path
from ...features.errors import StateError
from ..disk import disk_errors
from .base import KeyedSink
from .parquet import EpochFile, Rows

_FILE = re.compile(r"epoch-(\d{8,})\.parquet")


class ArchiveSink(KeyedSink[Rows, int]):
    """Writes the tables of each epoch to `DIRECTORY/partition=KEY/epoch-00000042.parquet`.

    A file appears whole, by a rename, when its epoch ends; epochs without rows make none.
    The state is the number of the next file: on a resume, files with that number or a
    higher one belong to an epoch that was never committed and are deleted, because their
    rows will come again.

    Parameters
    ----------
    directory
        Root of the archive; made if need be.
    parts
        Partitions, as their number or their names.
    row_group_rows
        Rows that are held before they are written.
    max_uncommitted
        How many files a resume may delete. More means that the archive and the recovery
        store do not belong together (the recovery store was lost, say), and the archive is
        not touched.

    Raises
    ------
    StateError
        More files than `max_uncommitted` lie beyond the resume state, a table's columns
        differ from those of its file, or the disk is full or fails.

    Examples
    --------
    >>> import tempfile, pyarrow as pa
    >>> with tempfile.TemporaryDirectory() as name:
    ...     part = ArchiveSink(Path(name), parts=["0"]).build_part("archive", "0", None)
    ...     part.write_batch([pa.table({"n": [1, 2]})])
    ...     part.snapshot(), [p.name for p in Path(name).glob("*/*")]
    (1, ['epoch-00000000.parquet'])
    """

    def __init__(
        self,
        directory: str | Path,
        parts: int | Sequence[str] = 16,
        *,
        row_group_rows: int = 131_072,
        max_uncommitted: int = 8,
    ) -> None:
        super().__init__(parts)
        self._directory = Path(directory)
        self._open = partial(EpochFile, row_group_rows=row_group_rows)
        self._max_uncommitted = max_uncommitted

    def build_part(
        self, step_id: str, for_part: str, resume_state: int | None
    ) -> _ArchivePartition:
        """A partition whose next file has the number `resume_state`."""
        directory = self._directory / f"partition={for_part}"
        number = resume_state or 0
        with disk_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
            _drop_uncommitted(directory, number, self._max_uncommitted)
        return _ArchivePartition(directory, number, self._open)


class _ArchivePartition(StatefulSinkPartition[Rows, int]):
    def __init__(
        self, directory: Path, number: int, open_file: Callable[[Path], EpochFile]
    ) -> None:
        self._directory = directory
        self._number = number
        self._open = open_file
        self._file: EpochFile | None = None

    def write_batch(self, items: list[Rows]) -> None:
        if self._file is None:
            self._file = self._open(self._directory / f"epoch-{self._number:08d}.parquet")
        for rows in items:
            self._file.add(rows)

    def snapshot(self) -> int:
        if self._file is not None:
            self._number += self._file.finish()
            self._file = None
        return self._number

    def close(self) -> None:
        if self._file is not None:
            self._file.discard()
            self._file = None


def _drop_uncommitted(directory: Path, number: int, most: int) -> None:
    for unfinished in directory.glob(".epoch-*.tmp"):
        unfinished.unlink()
    beyond = [
        file
        for file in directory.iterdir()
        if (match := _FILE.fullmatch(file.name)) and int(match[1]) >= number
    ]
    if len(beyond) > most:
        raise StateError(
            f"{directory}: {len(beyond)} files lie beyond number {number}, where this run goes "
            "on: the archive and the recovery store do not belong together. Restore the "
            "recovery store, or move the archive away to have it written anew"
        )
    for file in sorted(beyond, reverse=True):
        file.unlink()
    if beyond:
        sync_path(directory)
