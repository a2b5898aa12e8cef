"""One Parquet file of an epoch."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...features.durable import sync_path
from ...features.errors import StateError
from ..assemble import WholeChunk, archive_table
from ..disk import disk_errors

Rows: TypeAlias = pa.Table | WholeChunk
"""Rows for a file: a table, or a chunk of events of which one is yet to be made."""

_LOOSE = 64
"""Chunks of which a table is made at a time: some during the epoch, few at its end."""

_SAMPLE = 4096  # rows that tell which columns of text repeat themselves


class EpochFile:
    """A file that appears whole, by a rename, when it is finished.

    Parameters
    ----------
    final
        The file's path; until it is finished it has another name there.
    row_group_rows
        Rows that are held before they are written.

    Raises
    ------
    StateError
        The disk is full or fails, or a table has other columns.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "epoch-00000000.parquet"
    >>> table = pa.table({"position": [1, 3]})
    >>> file = EpochFile(path)
    >>> file.add(table)
    >>> path.exists(), file.finish(), path.exists()
    (False, True, True)
    """

    def __init__(self, final: Path, *, row_group_rows: int = 131_072) -> None:
        self._final = final
        # Readers of Parquet directories pass over names that begin with a dot.
        self._unfinished = final.with_name(f".{final.name}.tmp")
        self._schema: pa.Schema | None = None
        self._group = row_group_rows
        self._writer: pq.ParquetWriter | None = None
        self._loose: list[WholeChunk] = []
        self._held: list[pa.Table] = []
        self._rows = 0

    def add(self, rows: Rows) -> None:
        """Take rows."""
        if isinstance(rows, WholeChunk):
            self._rows += rows.rows
            self._loose.append(rows)
            if len(self._loose) == _LOOSE:
                self._bind()
        else:
            self._rows += rows.num_rows
            self._bind()
            self._held.append(rows)
        if self._rows >= self._group:
            self._write_held()

    def finish(self) -> bool:
        """Write the rest, and wait until the file and its name are on disk.

        Returns
        -------
        bool
            Whether there is a file: without rows there is none.
        """
        self._write_held()
        if self._writer is None:
            return False
        with disk_errors(self._unfinished):
            self._close()
            sync_path(self._unfinished)
            self._unfinished.rename(self._final)
            sync_path(self._final.parent)
        return True

    def discard(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):
            self._close()
        with contextlib.suppress(OSError):
            self._unfinished.unlink(missing_ok=True)

    def _write_held(self) -> None:
        self._bind()
        tables = [table for table in self._held if table.num_rows]
        self._held, self._rows = [], 0
        if not tables:
            return
        self._check(tables)
        # In one piece: the writer takes its time for each piece of each column.
        table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        with disk_errors(self._unfinished):
            writer = self._writer or self._open(table)
            writer.write_table(table, row_group_size=2 * self._group)

    def _bind(self) -> None:
        """Make one table of the loose chunks, as each would cost as much."""
        if self._loose:
            self._held.append(archive_table(self._loose))
            self._loose = []

    def _check(self, tables: list[pa.Table]) -> None:
        self._schema = self._schema or tables[0].schema
        for table in tables:
            if table.schema != self._schema:
                raise StateError(
                    f"{self._final}: the columns changed within one epoch, "
                    f"from {self._schema} to {table.schema}"
                )

    def _open(self, table: pa.Table) -> pq.ParquetWriter:
        """Begin the file; the first rows tell how columns are best encoded."""
        repeating = [name for name in table.column_names if _repeats(table[name])]
        steps = [
            field.name
            for field in table.schema
            if field.name not in repeating
            and (pa.types.is_integer(field.type) or pa.types.is_timestamp(field.type))
        ]
        # A dictionary of values that do not repeat is built, found too large and thrown away:
        # half of the time that writing took. Differences of positions and times are small.
        self._writer = pq.ParquetWriter(
            self._unfinished,
            table.schema,
            compression="zstd",
            use_dictionary=cast(bool, repeating),  # names too, which the stubs do not know
            column_encoding=dict.fromkeys(steps, "DELTA_BINARY_PACKED"),
            write_page_checksum=True,  # a disk that errs is found where the archive is read
        )
        return self._writer

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def _repeats(column: Any) -> bool:
    if pa.types.is_dictionary(column.type):
        return True
    if not (pa.types.is_string(column.type) or pa.types.is_floating(column.type)):
        return False
    sample = column.slice(0, _SAMPLE)
    return 2 * pc.count_distinct(sample, mode="all").as_py() <= len(sample)
