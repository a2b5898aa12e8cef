"""One Parquet file of an epoch, in the order of the log whatever order its rows come in."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...features.durable import sync_path
from ...features.errors import StateError
from ..disk import disk_errors

_SAMPLE = 4096  # rows that tell which columns of text repeat themselves


class EpochFile:
    """A file that appears whole, by a rename, when it is finished.

    Shards hand in their parts of a chunk one after the other, so rows are held back and sorted
    before they are written; in the rare case that one comes too late even so, the file is sorted
    once more at its end.

    Parameters
    ----------
    final
        The file's path; until it is finished it has another name there.
    schema
        Of every table.
    order_by
        A column of integers to sort rows by; None: they stay as they come.
    row_group_rows
        Rows written at a time; twice as many are held.

    Raises
    ------
    StateError
        The disk is full or fails, or a table has other columns.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "epoch-00000000.parquet"
    >>> tables = [pa.table({"position": [1, 3]}), pa.table({"position": [0, 2]})]
    >>> file = EpochFile(path, tables[0].schema, order_by="position")
    >>> for table in tables:
    ...     file.add(table)
    >>> file.finish()
    >>> pq.ParquetFile(path).read()["position"].to_pylist()
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        final: Path,
        schema: pa.Schema,
        *,
        order_by: str | None = None,
        row_group_rows: int = 131_072,
    ) -> None:
        self._final = final
        # Readers of Parquet directories pass over names that begin with a dot.
        self._unfinished = final.with_name(f".{final.name}.tmp")
        self._schema = schema
        self._order_by = order_by
        self._group = row_group_rows
        self._writer: pq.ParquetWriter | None = None
        self._held: list[pa.Table] = []
        self._rows = 0
        self._written_to: int | None = None
        self._in_order = True

    def add(self, table: pa.Table) -> None:
        """Take a table's rows."""
        if table.schema != self._schema:
            raise StateError(
                f"{self._final}: the columns changed within one epoch, "
                f"from {self._schema} to {table.schema}"
            )
        self._held.append(table)
        self._rows += table.num_rows
        if self._rows >= 2 * self._group:
            held = self._sorted()
            self._write(held.slice(0, self._group))
            self._held = [held.slice(self._group)]
            self._rows = held.num_rows - self._group

    def finish(self) -> None:
        """Write the rest, and wait until the file and its name are on disk."""
        self._write(self._sorted())
        with disk_errors(self._unfinished):
            self._close()
            if not self._in_order:
                whole = self._ordered(pq.ParquetFile(self._unfinished).read())
                self._open(whole)
                self._written_to = None
                self._write(whole)
                self._close()
            sync_path(self._unfinished)
            self._unfinished.rename(self._final)
            sync_path(self._final.parent)

    def discard(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):
            self._close()
        with contextlib.suppress(OSError):
            self._unfinished.unlink(missing_ok=True)

    def _sorted(self) -> pa.Table:
        held, self._held, self._rows = self._held, [], 0
        return self._ordered(pa.concat_tables(held))

    def _ordered(self, table: pa.Table) -> pa.Table:
        positions = self._positions(table)
        if positions is None or not (np.diff(positions) < 0).any():
            return table
        return table.take(np.argsort(positions, kind="stable"))

    def _positions(self, table: pa.Table) -> npt.NDArray[np.int64] | None:
        if self._order_by is None:
            return None
        return cast(npt.NDArray[np.int64], table[self._order_by].to_numpy())

    def _write(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        positions = self._positions(table)
        if positions is not None:
            if self._written_to is not None and positions[0] < self._written_to:
                self._in_order = False
            self._written_to = int(positions[-1])
        with disk_errors(self._unfinished):
            writer = self._writer or self._open(table)
            writer.write_table(table, row_group_size=self._group)

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
