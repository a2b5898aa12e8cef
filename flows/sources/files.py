"""Files of events as one ordered log: NDJSON, CSV and Parquet, one after the other by path."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import pyarrow as pa

from ...features.errors import SourceError, StateError
from ..disk import shown
from .base import EPOCH_BYTES, PAUSE_SECONDS, EventSource, LogPartition, StopFlag
from .chunk import RawChunk
from .csv_rows import CsvReader
from .finding import find, folded, partition_of
from .following import Follower, Unclosed
from .mapped import MappedReader
from .ndjson import LineReader
from .opening import UNREADABLE, is_whole, kind_of, unreadable
from .parquet import RowReader
from .pieces import Piece, Reader
from .read_marks import Held, Mark, Marks, digest
from .row_events import RowEvents, Rows, rows_for


class FileState(TypedDict):
    """Where reading goes on: plain values, so that a stored one outlives this code."""

    version: int
    position: int
    seq: int
    current: str | None
    files: bytes
    prints: NotRequired[bytes]  # since files are known again by more than their path


class FileSource(EventSource[FileState]):
    """Events from files, resumed at the very record.

    The files of a partition are read in the order of their paths. What has been read is
    remembered by path, and what was read at its two ends: on a resume, finished files may be
    gone and new ones may have come; a file of lines may have grown by whole ones. A file that was
    renamed, as logs are when they are rotated, is known again. One that is another now is refused.

    Parameters
    ----------
    paths
        A file, a directory (searched in depth, linked directories too, for `.ndjson`, `.jsonl`,
        `.csv`, each also with `.gz`, and `.parquet`; names that begin with `.` or `_` are passed
        over), a glob, or several of these.
    batch_rows
        Records in a chunk, at most.
    max_event_bytes
        A longer line, or record of CSV, becomes a chunk of its own with a fault.
    epoch_bytes
        Bytes emitted between two snapshots, at most.
    columns
        Columns of Parquet files to read; None: all.
    dictionary_columns
        Text columns of Parquet files to read as dictionaries.
    follow
        Wait for files to grow and for new ones to come, until stopped. An NDJSON or CSV file may
        grow by lines; the last one counts once its newline is there, and a quote that stays open
        is waited for some seconds. A Parquet or packed file must be whole when it gets its name.
    partitions
        How many partitions the files make: each must lie in a directory ``partition=K``, and a
        customer's events in that of ``shard % partitions``. None: all are one partition.
    stop
        Set it to end with a last snapshot.
    rows
        Makes events of CSV, which needs it; see `rows_for`.
    mapped
        Let `rows` make events of NDJSON and Parquet too, as their columns are not ours.

    Raises
    ------
    SourceError
        A path that does not exist, a directory that cannot be read, a directory or glob without
        an event file, a suffix that is not known, a name that no rows are declared for; the
        message names it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     _ = (Path(name) / "a.ndjson").write_text('{"n":1}\\n\\n{"n":2}')
    ...     part = FileSource(name).build_part("in", "0", None)
    ...     [(c.position, c.line, c.records, c.seq) for c in part.next_batch()]
    [(0, 1, 2, 0)]
    """

    def __init__(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        batch_rows: int = 16_384,
        max_event_bytes: int = 1 << 20,
        epoch_bytes: int = EPOCH_BYTES,
        columns: Sequence[str] | None = None,
        dictionary_columns: Sequence[str] = ("type", "channel"),
        follow: bool = False,
        partitions: int | None = None,
        stop: StopFlag | None = None,
        rows: Rows | None = None,
        mapped: bool = False,
    ) -> None:
        several = [paths] if isinstance(paths, str | Path) else paths
        self._paths = [Path(path) for path in several]
        if not self._paths:
            raise SourceError("no event files were named")
        self._follow = follow
        self._partitions = partitions
        self._rows = rows
        self._mapped = mapped
        self.spelled: dict[Path, Path] = {}  # as they were known before `..` was folded
        self.files = self._find()
        for file in self.files:
            self._rows_of(file)  # before any of them is read
        self._batch_rows = batch_rows
        self._max_event_bytes = max_event_bytes
        self._epoch_bytes = epoch_bytes
        self._columns = columns
        self._dictionary_columns = dictionary_columns
        self._stop = stop

    def describe(self) -> str:
        """The first file and how many there are."""
        if not self.files:
            return f"{shown(self._paths[0])}, where no file is yet"
        more = len(self.files) - 1
        return shown(self.files[0]) + (f" and {more} more" if more else "")

    def partitions(self) -> int:
        """One, unless the files are said to make several."""
        return self._partitions or 1

    def files_of(self, number: int, *, anew: bool = False) -> list[Path]:
        """The files of one partition in their order, looked for `anew` or as found at first."""
        files = self._find() if anew else self.files
        count = self._partitions
        return files if count is None else [f for f in files if partition_of(f, count) == number]

    def build_part(
        self, step_id: str, for_part: str, resume_state: FileState | None
    ) -> _FilePartition:
        """Begin, or go on where `resume_state` says."""
        return _FilePartition(self, int(for_part), resume_state)

    def open(self, file: Path, offset: int, line: int, unclosed: Unclosed | None = None) -> Reader:
        """A reader of one file from `offset` on."""
        kind, rows = kind_of(file), self._rows_of(file)
        try:
            reader: Reader
            if kind == "csv":
                if rows is None:
                    raise SourceError(f"{file}: CSV can only be read with a schema")
                return CsvReader(
                    file,
                    rows,
                    batch_rows=self._batch_rows,
                    max_event_bytes=self._max_event_bytes,
                    offset=offset,
                    line=line,
                    growing=self._follow,
                    unclosed=unclosed,
                )
            if kind == "parquet":
                reader = RowReader(
                    file,
                    batch_rows=self._batch_rows,
                    columns=self._columns,
                    dictionary_columns=() if self._mapped else self._dictionary_columns,
                    offset=offset,
                )
            else:
                reader = LineReader(
                    file,
                    batch_rows=self._batch_rows,
                    max_event_bytes=self._max_event_bytes,
                    offset=offset,
                    line=line,
                    growing=self._follow and not is_whole(file),
                )
        except UNREADABLE as error:
            raise unreadable(file, error) from error
        return MappedReader(reader, rows) if self._mapped and rows is not None else reader

    def _rows_of(self, file: Path) -> RowEvents | None:
        return None if self._rows is None else rows_for(file, self._rows)

    def _find(self) -> list[Path]:
        told = {file for path in self._paths for file in find(path, none_yet=self._follow)}
        found = {folded(file): file for file in told}
        for file in found if self._partitions is not None else ():
            partition_of(file, self._partitions or 1)
        self.spelled = {file: path for file, path in found.items() if file != path}
        return sorted(found)


class _FilePartition(LogPartition[FileState]):
    def __init__(self, source: FileSource, number: int, state: FileState | None) -> None:
        super().__init__(stop=source._stop, epoch_bytes=source._epoch_bytes)
        self._source = source
        self._number = number
        self._reader: Reader | None = None
        self._file: Path | None = None
        self._origin = ""
        self._position = state["position"] if state else 0
        self._seq = state["seq"] if state else 0
        self._held: Held | None = None
        self._marks = Marks()
        current = None
        if state:
            if "files" not in state:
                raise StateError("the state is that of another kind of source, not of files")
            if state["version"] != 1:
                raise SourceError(f"a file position of version {state['version']} is not known")
            self._marks = Marks(state["files"], state.get("prints", b""))
            for file, told in source.spelled.items():
                if self._marks.get(file).size < 0:
                    self._marks.rename(told, file)
            current = state["current"]
        self._todo = self._plan(current)
        self._unclosed = Unclosed()
        self._follower: Follower | None = None
        if source._follow:
            self._follower = Follower(lambda: source.files_of(number, anew=True))

    def _plan(self, current: str | None) -> deque[Path]:
        files = list(self._source.files_of(self._number))
        moved = self._marks.follow(files)
        begun: Path | None = None
        if current is not None:
            told = folded(Path(current))
            begun = moved.get(digest(told), told)
            if begun not in files:
                raise SourceError(
                    f"{current}: was read in part and is no longer among the input files; "
                    "give it again, so that the rest of it is not lost"
                )
            files.remove(begun)
            files.insert(0, begun)
        return deque(file for file in files if not self._marks.finished(file) or file == begun)

    def read(self) -> list[RawChunk] | None:
        """The next chunk, from the next file if need be."""
        while True:
            if self._reader is None:
                if not self._todo and not self._look():
                    return None if self._follower is None else []
                self._open(self._todo.popleft())
            assert self._reader is not None
            try:
                piece = self._reader.read()
                self._note()
                if piece is None:
                    self._seal()
            except UNREADABLE as error:
                raise unreadable(self._file, error) from error
            if piece is not None:
                return [self._chunk(piece)]
            self.close()
            self._reader = self._held = None

    def _open(self, file: Path) -> None:
        mark = self._marks.get(file)
        self._file, self._origin = file, shown(file)
        try:
            # Before the reader: if the path comes to name another file in between, that is
            # noticed later, and not taken for what was read.
            self._held = Held(file)
        except OSError as error:
            raise unreadable(file, error) from error
        self._reader = self._source.open(file, mark.offset, mark.line, self._unclosed)

    def _look(self) -> bool:
        """Whether there is more to read now, in files that are followed."""
        if self._follower is None:
            return False
        changed = self._follower.changed()
        if any(self._marks.is_another(file) for file in changed):
            self._marks.follow(self._source.files_of(self._number, anew=True))
        changed += (file for file in self._unclosed.due() if file not in changed)
        self._todo.extend(file for file in changed if not self._marks.finished(file))
        if not self._todo:
            waited = self._follower.wait(1.0 / self._source.partitions())
            self.pause = 0.0 if waited else PAUSE_SECONDS
        return bool(self._todo)

    def _note(self) -> None:
        reader, file, held = self._reader, self._file, self._held
        if reader is not None and file is not None and held is not None:
            # A file of lines may grow: its size is what was read. Others may not.
            size = held.size if is_whole(file) else reader.offset
            self._marks.note(file, Mark(size, reader.offset, reader.line))

    def _seal(self) -> None:
        if self._file is not None and self._held is not None:
            self._marks.seal(self._file, self._held)

    def _chunk(self, piece: Piece) -> RawChunk:
        chunk = RawChunk(
            partition=self._number,
            position=self._position,
            format="arrow" if isinstance(piece.payload, pa.Table) else "ndjson",
            payload=piece.payload,
            origin=self._origin,
            line=piece.line,
            seq=self._seq,
            records=piece.records,
            fault=piece.fault,
            size=piece.size,
            faults=piece.faults,
        )
        self._position += piece.records
        self._seq += 1
        return chunk

    def state(self) -> FileState:
        """The marks of all files, and the one that is open."""
        self._seal()
        return {
            "version": 1,
            "position": self._position,
            "seq": self._seq,
            "current": os.fspath(self._file) if self._reader is not None and self._file else None,
            "files": self._marks.places,
            "prints": self._marks.prints,
        }

    def close(self) -> None:
        """Close the open file."""
        if self._reader is not None:
            self._reader.close()
        if self._held is not None:
            self._held.close()
