"""`nextbest publish`: lines of a file → a stream."""

from __future__ import annotations

import codecs
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from rich.console import Console

from ...features.errors import EventError, SettingsError, SourceError
from ...features.store_url import without_password
from ..embedded import connect
from ..partitions import BLOB_BYTES
from ..settings import Settings
from ..sources.chunk import count_records
from ..sources.files import FileSource
from ..sources.opening import UNREADABLE, kind_of, open_bytes, unreadable
from ..sources.row_events import Rows
from ..sources.valkey_stream import publish, publish_events
from . import place
from .rows import rows_of

_READ_BYTES = 1 << 20
_BLOBS = 256
_SHOWN = 5


def publish_file(
    settings: Settings,
    path: Path,
    stream: str,
    partitions: int | None,
    console: Console,
    *,
    catalog: str | None = None,
    columns: str | None = None,
) -> None:
    """Append the lines of an NDJSON file (``-``: standard input) to a stream, or to several.

    They are checked where they are read: a bad line becomes a dead letter of the run. Rows of CSV,
    and of files with `columns` of their own, are made events first; those that cannot be are named.

    Raises
    ------
    SourceError
        If the file cannot be read.
    SettingsError
        If its rows cannot be made events without a catalog.
    EventError
        If it holds no event.
    """
    if kind_of(path) == "parquet":
        raise SettingsError(f"{path}: only lines can be published, NDJSON and CSV")
    own = columns is not None or kind_of(path) == "csv"
    if own and catalog is None:
        raise SettingsError(f"{path}: what its rows mean is in a declaration: give --catalog")
    last = place.remembered(settings.data_dir)
    if last is not None:
        settings = place.same_store(settings, last)
    events = entries = 0
    size = BLOB_BYTES if partitions is None else _READ_BYTES
    with contextlib.ExitStack() as opened:
        blobs: Iterator[bytes]
        if own:
            bad = _Bad()
            blobs = _made(path, rows_of(catalog or "", columns), columns is not None, size, bad)
        else:
            blobs = _blobs(path, opened.enter_context(_opened(path)), size)
        client = opened.enter_context(contextlib.closing(connect(settings)))
        waiting: list[bytes] = []
        for blob in blobs:
            events += count_records(blob)
            entries += 1
            if partitions is not None:
                publish_events(client, stream, blob, partitions, settings.shards)
                continue
            waiting.append(blob)
            if len(waiting) == _BLOBS:
                publish(client, stream, waiting)
                waiting = []
        if own:
            bad.tell(console)
        if not events:
            raise EventError(f"{path}: no event in it")
        if waiting:
            publish(client, stream, waiting)
    where = without_password(settings.redis_url) if settings.redis_url else "the embedded server"
    said = f"{events:,} events in {entries:,} entries of stream {stream}, {where}"
    console.print(said, markup=False)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open_bytes(path, buffering=-1)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None
    with file:
        yield file


@dataclass
class _Bad:
    """Rows that are no events."""

    count: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)

    def note(self, line: int, reason: str) -> None:
        """Count one, and keep it if it is among the first."""
        self.count += 1
        if len(self.first) < _SHOWN:
            self.first.append((line, reason))

    def tell(self, console: Console) -> None:
        """Say how many there were, if any, and what the first were."""
        if self.count:
            console.print(f"left out, as they are no events: {self.count:,}")
        for line, reason in self.first:
            console.print(f"  line {line}: {reason}", soft_wrap=True, markup=False)


def _made(path: Path, rows: Rows, mapped: bool, size: int, bad: _Bad) -> Iterator[bytes]:
    """Lines of JSON made of a file's rows, about so many bytes at a time."""
    held: list[bytes] = []
    waiting = 0
    for event in _events(path, rows, mapped, bad):
        held.append(event)
        waiting += len(event) + 1
        if waiting >= size:
            yield b"\n".join(held) + b"\n"
            held, waiting = [], 0
    if held:
        yield b"\n".join(held) + b"\n"


def _events(path: Path, rows: Rows, mapped: bool, bad: _Bad) -> Iterator[bytes]:
    part = FileSource(path, rows=rows, mapped=mapped).build_part("in", "0", None)
    with contextlib.closing(part):
        while chunks := part.read():
            for chunk in chunks:
                if chunk.fault is not None:
                    bad.note(chunk.line, chunk.fault)
                    continue
                assert isinstance(chunk.payload, bytes)
                lines = [(n, text) for n, text in enumerate(chunk.payload.split(b"\n")) if text]
                for record, (number, text) in enumerate(lines):
                    fault = (chunk.faults or {}).get(record)
                    if fault is None:
                        yield text
                    else:
                        bad.note(chunk.line + number, fault.reason)


def _blobs(path: Path, file: IO[bytes], size: int) -> Iterator[bytes]:
    """Whole lines, so many bytes at a time; blank blobs are left out."""
    mark = codecs.BOM_UTF8  # only the first line may have it
    while True:
        try:
            lines = file.readlines(size)
        except UNREADABLE as error:
            raise unreadable(path, error) from error
        if not lines:
            return
        lines[0], mark = lines[0].removeprefix(mark), b""
        blob = b"".join(lines)
        if count_records(blob):
            yield blob
