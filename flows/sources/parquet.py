"""Reading a Parquet file in tables whose limits depend on the file alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ...features.errors import SourceError
from .pieces import Piece

_TABLE_BYTES = 32 << 20
_BUFFER_BYTES = 1 << 20


class _Unit(NamedTuple):
    """Row groups that are read together, because one alone is less than a batch."""

    start: int
    rows: int
    groups: list[int]


class RowReader:
    """Rows of one file as tables, streamed; never more than a batch and its pages in memory.

    Parameters
    ----------
    path
        The file; one of no bytes has no rows.
    batch_rows
        Rows in a table, at most; fewer if rows are so wide that a table would exceed 32 MiB.
    columns
        Columns to read, as far as the file has them; None: all.
    dictionary_columns
        Text columns to read as dictionaries (codes and words), as far as the file has them.
    offset
        Row at which to begin.

    Raises
    ------
    SourceError
        The file is no Parquet file, or damaged; the message names it.
    """

    def __init__(
        self,
        path: Path,
        *,
        batch_rows: int,
        columns: Sequence[str] | None,
        dictionary_columns: Sequence[str],
        offset: int = 0,
    ) -> None:
        self._path = path
        self._file: pq.ParquetFile | None = None
        self.offset = offset
        self._tables: Iterator[pa.Table] = iter(())
        if path.stat().st_size == 0:
            return
        try:
            self._file = _open(path, dictionary_columns)
            self._tables = self._read_from(self._file, batch_rows, columns, offset)
        except (pa.ArrowException, OSError) as error:
            self.close()
            raise SourceError(f"{path}: not a readable Parquet file: {error}") from error

    @property
    def line(self) -> int:
        """1-based number of the next row."""
        return self.offset + 1

    def read(self) -> Piece | None:
        """The next table, or None after the last row."""
        try:
            table = next(self._tables, None)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{self._path}: damaged after row {self.offset}: {error}") from error
        if table is None:
            return None
        piece = Piece(table, table.num_rows, self.line)
        self.offset += table.num_rows
        return piece

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    @staticmethod
    def _read_from(
        file: pq.ParquetFile, batch_rows: int, columns: Sequence[str] | None, offset: int
    ) -> Iterator[pa.Table]:
        metadata = file.metadata
        wanted = None
        if columns is not None:
            names = set(file.schema_arrow.names)
            wanted = [name for name in columns if name.split(".", 1)[0] in names]
        sizes = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
        row_bytes = max(1, sum(sizes) // max(1, metadata.num_rows))
        rows = max(1, min(batch_rows, _TABLE_BYTES // row_bytes))
        return _tables(file, _units(metadata, rows), rows, wanted, offset)


def _open(path: Path, dictionary_columns: Sequence[str]) -> pq.ParquetFile:
    schema = pq.read_schema(path)
    words = [
        name
        for name in dictionary_columns
        if name in schema.names
        and (pa.types.is_string(t := schema.field(name).type) or pa.types.is_large_string(t))
    ]
    return pq.ParquetFile(path, read_dictionary=words, buffer_size=_BUFFER_BYTES)


def _units(metadata: pq.FileMetaData, least: int) -> list[_Unit]:
    units: list[_Unit] = []
    start = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if units and units[-1].rows < least:
            last = units[-1]
            units[-1] = _Unit(last.start, last.rows + rows, [*last.groups, group])
        else:
            units.append(_Unit(start, rows, [group]))
        start += rows
    return units


def _tables(
    file: pq.ParquetFile,
    units: list[_Unit],
    rows: int,
    columns: list[str] | None,
    offset: int,
) -> Iterator[pa.Table]:
    """Tables of exactly `rows` rows, the last of each unit excepted."""
    for unit in units:
        skip = max(0, offset - unit.start)
        if skip >= unit.rows:
            continue
        held: list[pa.RecordBatch] = []
        count = 0
        for batch in file.iter_batches(rows, row_groups=unit.groups, columns=columns):
            dropped = min(skip, batch.num_rows)
            skip -= dropped
            batch = batch.slice(dropped)
            while batch.num_rows:
                part = batch.slice(0, rows - count)
                held.append(part)
                count += part.num_rows
                batch = batch.slice(part.num_rows)
                if count == rows:
                    yield _table(held)
                    held, count = [], 0
        if held:
            yield _table(held)


def _table(batches: list[pa.RecordBatch]) -> pa.Table:
    table = pa.Table.from_batches(batches)
    return table if len(batches) == 1 else table.unify_dictionaries().combine_chunks()
