"""Files of events as one ordered log: NDJSON and Parquet, one after the other by path."""

from __future__ import annotations

import glob
import hashlib
import os
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

import pyarrow as pa

from ...features.errors import SourceError, StateError
from .base import EPOCH_BYTES, EventSource, LogPartition, StopFlag
from .chunk import RawChunk
from .ndjson import LineReader
from .parquet import RowReader
from .pieces import Piece, Reader

SUFFIXES = (".ndjson", ".jsonl", ".parquet")
_GLOB = "*?["


class FileState(TypedDict):
    """Where reading goes on: plain values, so that a stored one outlives this code."""

    version: int
    position: int
    seq: int
    current: str | None
    files: bytes


class _Mark(NamedTuple):
    """How far one file has been read, and how large it was then."""

    size: int
    offset: int
    line: int


# The first 8 bytes of the SHA-256 of the absolute path, then the mark.
_MARK = struct.Struct("<8sqqq")


class FileSource(EventSource[FileState]):
    """Events from files, as one partition, resumed at the very record.

    The files are read in the order of their paths. What has been read is remembered by
    path: on a resume, finished files may be gone and new ones may have come; an NDJSON file
    may have grown by whole lines.

    Parameters
    ----------
    paths
        A file, a directory (searched in depth for `.ndjson`, `.jsonl` and `.parquet`; names
        that begin with `.` or `_` are passed over), a glob, or several of these.
    batch_rows
        Records in a chunk, at most.
    max_event_bytes
        A longer NDJSON line becomes a chunk of its own with a fault.
    epoch_bytes
        Bytes emitted between two snapshots, at most.
    columns
        Columns of Parquet files to read; None: all.
    dictionary_columns
        Text columns of Parquet files to read as dictionaries.
    stop
        Set it to end with a last snapshot.

    Raises
    ------
    SourceError
        A path that does not exist, a directory or glob without an event file, a suffix that
        is not known; the message names it.

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
        stop: StopFlag | None = None,
    ) -> None:
        several = [paths] if isinstance(paths, str | Path) else list(paths)
        found = {file for path in several for file in _find(Path(path))}
        if not found:
            raise SourceError("no event files were named")
        self.files = sorted(found)
        self._batch_rows = batch_rows
        self._max_event_bytes = max_event_bytes
        self._epoch_bytes = epoch_bytes
        self._columns = columns
        self._dictionary_columns = dictionary_columns
        self._stop = stop

    def describe(self) -> str:
        """The first file and how many there are."""
        more = len(self.files) - 1
        return f"{self.files[0]}" + (f" and {more} more" if more else "")

    def partitions(self) -> int:
        """One partition."""
        return 1

    def build_part(
        self, step_id: str, for_part: str, resume_state: FileState | None
    ) -> _FilePartition:
        """Begin, or go on where `resume_state` says."""
        return _FilePartition(self, resume_state)

    def open(self, file: Path, offset: int, line: int) -> Reader:
        """A reader of one file from `offset` on."""
        try:
            if file.suffix == ".parquet":
                return RowReader(
                    file,
                    batch_rows=self._batch_rows,
                    columns=self._columns,
                    dictionary_columns=self._dictionary_columns,
                    offset=offset,
                )
            return LineReader(
                file,
                batch_rows=self._batch_rows,
                max_event_bytes=self._max_event_bytes,
                offset=offset,
                line=line,
            )
        except OSError as error:
            raise SourceError(f"{file}: cannot be read: {error.strerror}") from error


class _FilePartition(LogPartition[FileState]):
    def __init__(self, source: FileSource, state: FileState | None) -> None:
        super().__init__(stop=source._stop, epoch_bytes=source._epoch_bytes)
        self._source = source
        self._reader: Reader | None = None
        self._file: Path | None = None
        self._position = state["position"] if state else 0
        self._seq = state["seq"] if state else 0
        self._marks: dict[bytes, _Mark] = {}
        current = None
        if state:
            if "files" not in state:
                raise StateError("the state is that of another kind of source, not of files")
            if state["version"] != 1:
                raise SourceError(f"a file position of version {state['version']} is not known")
            for digest, *mark in _MARK.iter_unpack(state["files"]):
                self._marks[digest] = _Mark(*mark)
            current = state["current"]
        self._todo = self._plan(current)

    def _plan(self, current: str | None) -> deque[tuple[Path, int, int]]:
        files = list(self._source.files)
        if current is not None:
            begun = Path(current)
            if begun not in files:
                raise SourceError(
                    f"{current}: was read in part and is no longer among the input files; "
                    "give it again, so that the rest of it is not lost"
                )
            files.remove(begun)
            files.insert(0, begun)
        todo: deque[tuple[Path, int, int]] = deque()
        for file in files:
            mark = self._marks.get(_digest(file), _Mark(-1, 0, 1))
            if os.fspath(file) == current or not _finished(file, mark):
                todo.append((file, mark.offset, mark.line))
        return todo

    def read(self) -> list[RawChunk] | None:
        """The next chunk, from the next file if need be."""
        while True:
            if self._reader is None:
                if not self._todo:
                    return None
                self._file, offset, line = self._todo.popleft()
                self._reader = self._source.open(self._file, offset, line)
            try:
                piece = self._reader.read()
                self._note()
            except OSError as error:
                raise SourceError(f"{self._file}: cannot be read: {error.strerror}") from error
            if piece is not None:
                return [self._chunk(piece)]
            self._reader.close()
            self._reader = None

    def _note(self) -> None:
        reader, file = self._reader, self._file
        if reader is not None and file is not None:
            # An NDJSON file may grow: its size is what was read. A Parquet file may not.
            size = file.stat().st_size if file.suffix == ".parquet" else reader.offset
            self._marks[_digest(file)] = _Mark(size, reader.offset, reader.line)

    def _chunk(self, piece: Piece) -> RawChunk:
        chunk = RawChunk(
            partition=0,
            position=self._position,
            format="arrow" if isinstance(piece.payload, pa.Table) else "ndjson",
            payload=piece.payload,
            origin=os.fspath(self._file or ""),
            line=piece.line,
            seq=self._seq,
            records=piece.records,
            fault=piece.fault,
            size=piece.size,
        )
        self._position += piece.records
        self._seq += 1
        return chunk

    def state(self) -> FileState:
        """The marks of all files, and the one that is open."""
        return {
            "version": 1,
            "position": self._position,
            "seq": self._seq,
            "current": os.fspath(self._file) if self._reader is not None and self._file else None,
            "files": b"".join(_MARK.pack(digest, *m) for digest, m in self._marks.items()),
        }

    def close(self) -> None:
        """Close the open file."""
        if self._reader is not None:
            self._reader.close()


def _find(path: Path) -> list[Path]:
    """The event files that `path` names, absolute."""
    if path.is_dir():
        found = [file for file in path.rglob("*") if _is_event_file(file, below=path)]
        if not found:
            raise SourceError(f"{path}: no event files ({', '.join(SUFFIXES)}) in this directory")
        return [file.absolute() for file in found]
    if not path.exists() and any(sign in os.fspath(path) for sign in _GLOB):
        matches = [Path(name) for name in glob.glob(os.fspath(path), recursive=True)]
        found = [file for file in matches if file.suffix in SUFFIXES and file.is_file()]
        if not found:
            raise SourceError(f"{path}: no event file matches ({', '.join(SUFFIXES)})")
        return [file.absolute() for file in found]
    if not path.exists():
        raise SourceError(f"{path}: no such file or directory")
    if path.suffix not in SUFFIXES:
        raise SourceError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
    return [path.absolute()]


def _is_event_file(file: Path, *, below: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in file.relative_to(below).parts)
    return file.suffix in SUFFIXES and not hidden and file.is_file()


def _digest(file: Path) -> bytes:
    return hashlib.sha256(os.fsencode(file)).digest()[:8]


def _finished(file: Path, mark: _Mark) -> bool:
    """Whether nothing is left to read; an error if what was read is no longer there."""
    if mark.size < 0:
        return False
    size = file.stat().st_size
    if size == mark.size:
        return True
    if file.suffix != ".parquet" and size > mark.size and _ends_a_line(file, mark.offset):
        return False
    raise SourceError(
        f"{file}: has changed since it was read ({mark.size} bytes then, {size} now); "
        "put new events into a new file"
    )


def _ends_a_line(file: Path, offset: int) -> bool:
    if offset == 0:
        return True
    with file.open("rb") as opened:
        opened.seek(offset - 1)
        return opened.read(1) == b"\n"
