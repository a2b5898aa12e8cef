"""The newest rows of an archive in bounded memory, also while a run adds to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

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
        self._kept: dict[Path, pa.Table] = {}

    def read(self, since: int | None = None) -> Found:
        """Return the newest rows.

        Parameters
        ----------
        since
            Only rows of this time or later, microseconds; None: as many as there may be.
        """
        ways = [_Way(files) for files in self._look()]
        reached = {way.files.directory.name: way.newest() for way in ways}
        parts: list[Table] = []
        used: set[Path] = set()
        rows = 0
        while rows < self._most and (open_ := [way for way in ways if way.goes_on(since)]):
            way = max(open_, key=lambda way: way.reached)
            path = way.files.path(way.step())
            table = self._rows(way, path)
            if table is not None:
                used.add(path)
                parts.append(table)
                rows += table.num_rows
        self._kept = {path: table for path, table in self._kept.items() if path in used}
        left = [way.reached for way in ways if way.left]
        begin = max([*left, *([] if since is None else [since])], default=None)
        faults = [fault for way in ways for fault in way.files.faults]
        for way in ways:
            way.files.close()
        table = _together(parts, begin)
        complete = not left and table.num_rows <= self._most
        return Found(table.slice(max(0, table.num_rows - self._most)), complete, reached, faults)

    def _rows(self, way: _Way, path: Path) -> Table | None:
        table = self._kept.get(path)
        if table is None:
            table = way.files.read(way.place, self._read)
            if table is None:
                return None
            name = pa.array([path.parent.name] * table.num_rows, pa.string()).dictionary_encode()
            table = table.append_column("partition", name)
            if way.place < len(way.files) - _YOUNG:
                self._kept[path] = table
        if table.num_rows:
            way.reached = min(way.reached, int(pc.min(table["at"]).as_py()))
        return table

    def _read(self, file: Any) -> Table:
        wanted = None
        if self._columns is not None:
            wanted = [name for name in self._columns if name in file.schema_arrow.names]
        parts: deque[Table] = deque()
        rows = 0
        for batch in file.iter_batches(_BATCH, columns=wanted):
            parts.append(self._take(batch))
            rows += parts[-1].num_rows
            while rows - parts[0].num_rows >= self._most:  # a file may be far larger
                rows -= parts.popleft().num_rows
        if not parts:
            return pa.table({"at": pa.array([], pa.int64())})
        whole = pa.concat_tables(list(parts), promote_options="permissive")
        return whole.slice(max(0, whole.num_rows - self._most))

    def _look(self) -> Iterator[Files]:
        for path in sorted(self._directory.glob("partition=*")):
            files = self._partitions.get(path)
            if files is None:
                files = self._partitions[path] = Files(path)
            files.look()
            yield files


class _Way:
    """The way back through the files of a partition."""

    def __init__(self, files: Files) -> None:
        self.files, self.place = files, len(files)
        self.reached = 2**62

    @property
    def left(self) -> bool:
        return self.place > 0

    def goes_on(self, since: int | None) -> bool:
        return self.left and (since is None or self.reached >= since)

    def step(self) -> int:
        self.place -= 1
        times = self.files.times(self.place)
        if times is not None:
            self.reached = min(self.reached, times[0])
        return self.place

    def newest(self) -> int:
        times = (self.files.times(i) for i in range(len(self.files) - 1, -1, -1))
        return next((found[1] for found in times if found is not None), -1)


def times_of(rows: Any, name: str = "event_timestamp") -> Any:
    """Return a column of times as int64 microseconds."""
    return rows[name].cast(pa.int64())


def _together(parts: list[Table], begin: int | None) -> Table:
    if not parts:
        names = {"at": pa.array([], pa.int64()), "partition": pa.array([], pa.string())}
        return pa.table(names)
    table = pa.concat_tables(parts, promote_options="permissive")
    if begin is not None:
        table = table.filter(pc.greater_equal(table["at"], pa.scalar(begin, pa.int64())))
    order = pc.sort_indices(table, [("at", "ascending")])
    return table.take(order)
