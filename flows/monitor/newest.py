"""The newest rows of an archive in bounded memory, also while a run adds to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...features.errors import SettingsError
from ..loop_files import Files

MOST_ROWS = 5_000_000
"""The most rows that can be asked for."""
_BATCH = 4096
_YOUNG = 16
"""A worker that resumes writes its newest files anew: so many are read each time."""

Table: TypeAlias = Any
"""A `pyarrow.Table`: its stubs do not know what of a table is text and what a number."""
Take = Callable[[Any], Table]
"""Makes of a record batch the rows that are kept; one column is ``at``, int64 microseconds."""


class Found(NamedTuple):
    """What was read.

    Attributes
    ----------
    table
        The rows in the order of time, with a column ``partition`` (text).
    complete
        Whether these are all that the archive has.
    reached
        By partition: the newest time in it, microseconds.
    faults
        What was wrong with files that could not be read.
    """

    table: Table
    complete: bool
    reached: dict[str, int]
    faults: list[str]

    @property
    def since(self) -> int | None:
        """The time of the oldest row, microseconds; None: there are no rows."""
        return int(self.table["at"][0].as_py()) if self.table.num_rows else None


class Newest:
    """Reads the newest rows of a part of an archive; what was read once is kept.

    Parameters
    ----------
    directory
        Holds ``partition=K/epoch-*.parquet``; it need not exist yet.
    columns
        What is read of each file; None: all.
    take
        See `Take`.
    most
        So many rows at most, 1 to `MOST_ROWS`.

    Raises
    ------
    SettingsError
        If ``most`` is out of range.

    Examples
    --------
    >>> import tempfile, pyarrow.parquet as pq
    >>> directory = Path(tempfile.mkdtemp())
    >>> (directory / "partition=0").mkdir()
    >>> def write(number: int, *times: int) -> None:
    ...     table = pa.table({"event_timestamp": pa.array(times, pa.timestamp("us", "UTC"))})
    ...     pq.write_table(table, directory / "partition=0" / f"epoch-{number:08d}.parquet")
    >>> write(0, 1, 2); write(1, 3, 4)
    >>> take = lambda rows: pa.table({"at": times_of(rows)})
    >>> newest = Newest(directory, ["event_timestamp"], take, most=3)
    >>> found = newest.read()
    >>> found.table["at"].to_pylist(), found.complete
    ([2, 3, 4], False)
    >>> write(2, 5)
    >>> newest.read().table["at"].to_pylist()
    [3, 4, 5]
    """

    def __init__(
        self, directory: Path, columns: Sequence[str] | None, take: Take, most: int
    ) -> None:
        if not 1 <= most <= MOST_ROWS:
            raise SettingsError(f"most={most}: from 1 to {MOST_ROWS:,} rows")
        self._directory = directory
        self._columns = None if columns is None else list(columns)
        self._take, self._most = take, most
        self._partitions: dict[Path, Files] = {}
        self._kept: dict[Path, tuple[Table, bool]] = {}

    def read(self, since: int | None = None) -> Found:
        """Return the newest rows.

        Parameters
        ----------
        since
            Only rows of this time or later, microseconds; None: as many as there may be.
        """
        ways = [_Way(files) for files in self._look()]
        reached = {way.files.directory.name: way.reached for way in ways}
        pool, cut = _Pool(self._most), False
        used: set[Path] = set()
        while (open_ := [way for way in ways if way.goes_on(since)]) and not pool.has(
            max(way.reached for way in open_)
        ):
            way = max(open_, key=lambda way: way.reached)
            path = way.files.path(way.step())
            found = self._rows(way, path)
            way.look_ahead()
            if found is not None:
                used.add(path)
                pool.add(found[0])
                cut = cut or found[1]
        self._kept = {path: found for path, found in self._kept.items() if path in used}
        left = [way.reached for way in ways if way.left]
        begin = max([*left, *([] if since is None else [since])], default=None)
        faults = [fault for way in ways for fault in way.files.faults]
        for way in ways:
            way.files.close()
        table = _in_order(pool.table(), begin)
        return Found(table, not (left or cut or pool.cut), reached, faults)

    def _rows(self, way: _Way, path: Path) -> tuple[Table, bool] | None:
        """Return a file's rows, and whether it has others."""
        found = self._kept.get(path)
        if found is None:
            pool: _Pool | None = way.files.read(way.place, self._read)
            if pool is None:
                return None
            table = pool.table()
            name = pa.array([path.parent.name] * table.num_rows, pa.string()).dictionary_encode()
            found = table.append_column("partition", name), pool.cut
            if way.place < len(way.files) - _YOUNG:
                self._kept[path] = found
        return found

    def _read(self, file: Any) -> _Pool:
        wanted = None
        if self._columns is not None:
            wanted = [name for name in self._columns if name in file.schema_arrow.names]
        pool = _Pool(self._most)  # a file may be far larger
        for batch in file.iter_batches(_BATCH, columns=wanted):
            pool.add(self._take(batch))
        return pool

    def _look(self) -> Iterator[Files]:
        for path in sorted(self._directory.glob("partition=*")):
            files = self._partitions.get(path)
            if files is None:
                files = self._partitions[path] = Files(path)
            files.look()
            yield files


class _Pool:
    """The newest of all rows that were added; never more than twice as many are held."""

    def __init__(self, most: int) -> None:
        self._most, self._rows = most, 0
        self._parts: list[Table] = []
        self.cut = False
        """Whether there were others."""

    def add(self, table: Table) -> None:
        self._parts.append(table)
        self._rows += table.num_rows
        if self._rows > 2 * self._most:
            self.table()

    def has(self, begin: int) -> bool:
        """Return whether it is full of rows of this time or later."""
        if self._rows < self._most:
            return False
        late = (int((part["at"].to_numpy() >= begin).sum()) for part in self._parts)
        return sum(late) >= self._most

    def table(self) -> Table:
        """Return them in the order that they came in."""
        if not self._parts:
            return pa.table({"at": pa.array([], pa.int64())})
        table = pa.concat_tables(self._parts, promote_options="permissive")
        if table.num_rows > self._most:
            self.cut = True
            kept = np.zeros(table.num_rows, np.bool_)
            kept[np.argsort(table["at"].to_numpy(), kind="stable")[-self._most :]] = True
            table = table.filter(pa.array(kept))
        self._parts, self._rows = [table], table.num_rows
        return table


class _Way:
    """The way back through the files of a partition."""

    def __init__(self, files: Files) -> None:
        self.files, self.place = files, len(files)
        times = (files.times(i) for i in range(len(files) - 1, -1, -1))
        self.reached = next((found[1] for found in times if found is not None), -1)
        """The latest time in the next file: in order but for late rows, files before have none."""

    @property
    def left(self) -> bool:
        return self.place > 0

    def goes_on(self, since: int | None) -> bool:
        return self.left and (since is None or self.reached >= since)

    def step(self) -> int:
        self.place -= 1
        return self.place

    def look_ahead(self) -> None:
        times = self.files.times(self.place - 1) if self.left else None
        if times is not None:
            self.reached = times[1]


def times_of(rows: Any, name: str = "event_timestamp") -> Any:
    """Return a column of times as int64 microseconds."""
    return rows[name].cast(pa.int64())


def _in_order(table: Table, begin: int | None) -> Table:
    if "partition" not in table.column_names:
        table = table.append_column("partition", pa.array([], pa.string()))
    if begin is not None:
        table = table.filter(pc.greater_equal(table["at"], pa.scalar(begin, pa.int64())))
    order = pc.sort_indices(table, [("at", "ascending")])
    return table.take(order)
