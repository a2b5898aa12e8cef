"""The archive: immutable Parquet files, one for each partition and epoch, each exactly once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from bytewax.outputs import StatefulSinkPartition

from ...features.durable import sync_path
from ...features.errors import StateError
from .base import KeyedSink

_FILE = re.compile(r"epoch-(\d{8,})\.parquet")


class ArchiveSink(KeyedSink[pa.Table, int]):
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
        Rows collected before they are written out to the unfinished file.
    max_uncommitted
        How many files a resume may delete. More means that the archive and the recovery
        store do not belong together (the recovery store was lost, say), and the archive is
        not touched.

    Raises
    ------
    StateError
        More files than `max_uncommitted` lie beyond the resume state, or a table's columns
        differ from those of its file.

    Examples
    --------
    >>> import tempfile
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
        row_group_rows: int = 65_536,
        max_uncommitted: int = 8,
    ) -> None:
        super().__init__(parts)
        self._directory = Path(directory)
        self._row_group_rows = row_group_rows
        self._max_uncommitted = max_uncommitted

    def build_part(
        self, step_id: str, for_part: str, resume_state: int | None
    ) -> _ArchivePartition:
        """A partition whose next file has the number `resume_state`."""
        directory = self._directory / f"partition={for_part}"
        directory.mkdir(parents=True, exist_ok=True)
        number = resume_state or 0
        _drop_uncommitted(directory, number, self._max_uncommitted)
        return _ArchivePartition(directory, number, self._row_group_rows)


class _ArchivePartition(StatefulSinkPartition[pa.Table, int]):
    def __init__(self, directory: Path, number: int, row_group_rows: int) -> None:
        self._directory = directory
        self._number = number
        self._row_group_rows = row_group_rows
        self._writer: pq.ParquetWriter | None = None
        self._schema: pa.Schema | None = None
        self._held: list[pa.Table] = []
        self._held_rows = 0

    @property
    def _final(self) -> Path:
        return self._directory / f"epoch-{self._number:08d}.parquet"

    @property
    def _unfinished(self) -> Path:
        # Readers of Parquet directories pass over names that begin with a dot.
        return self._directory / f".{self._final.name}.tmp"

    def write_batch(self, items: list[pa.Table]) -> None:
        for table in items:
            if not table.num_rows:
                continue
            if self._writer is None:
                self._schema = table.schema
                self._writer = pq.ParquetWriter(self._unfinished, table.schema, compression="zstd")
            elif table.schema != self._schema:
                raise StateError(
                    f"{self._final}: the columns changed within one epoch, "
                    f"from {self._schema} to {table.schema}"
                )
            self._held.append(table)
            self._held_rows += table.num_rows
            if self._held_rows >= self._row_group_rows:
                self._write_held(self._writer)

    def snapshot(self) -> int:
        if self._writer is not None:
            self._write_held(self._writer)
            self._writer.close()
            self._writer = None
            sync_path(self._unfinished)
            self._unfinished.rename(self._final)
            sync_path(self._directory)
            self._number += 1
        return self._number

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._unfinished.unlink(missing_ok=True)

    def _write_held(self, writer: pq.ParquetWriter) -> None:
        if self._held:
            writer.write_table(pa.concat_tables(self._held), row_group_size=self._held_rows)
            self._held = []
            self._held_rows = 0


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
