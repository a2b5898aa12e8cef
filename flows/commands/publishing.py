"""`nextbest publish`: lines of a file → a stream."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rich.console import Console

from ...features.errors import EventError, SourceError
from ..connection import without_password
from ..embedded import connect
from ..partitions import BLOB_BYTES
from ..settings import Settings
from ..sources.chunk import count_records
from ..sources.valkey_stream import publish, publish_events
from . import place

_READ_BYTES = 1 << 20
_BLOBS = 256


def publish_file(
    settings: Settings, path: Path, stream: str, partitions: int | None, console: Console
) -> None:
    """Append the lines of an NDJSON file (``-``: standard input) to a stream, or to several.

    They are checked where they are read: a bad line becomes a dead letter of the run.

    Raises
    ------
    SourceError
        If the file cannot be read.
    EventError
        If it holds no event.
    """
    last = place.remembered(settings.data_dir)
    if last is not None:
        settings = place.same_store(settings, last)
    events = entries = 0
    with _opened(path) as file, contextlib.closing(connect(settings)) as client:
        waiting: list[bytes] = []
        for blob in _blobs(file, BLOB_BYTES if partitions is None else _READ_BYTES):
            events += count_records(blob)
            entries += 1
            if partitions is not None:
                publish_events(client, stream, blob, partitions, settings.shards)
                continue
            waiting.append(blob)
            if len(waiting) == _BLOBS:
                publish(client, stream, waiting)
                waiting = []
        if not events:
            raise EventError(f"{path}: no event in it")
        if waiting:
            publish(client, stream, waiting)
    where = without_password(settings.redis_url) if settings.redis_url else "the embedded server"
    console.print(f"{events:,} events in {entries:,} entries of stream {stream}, {where}")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None
    with file:
        try:
            yield file
        except IsADirectoryError as error:
            raise SourceError(f"{path}: {error.strerror}") from None


def _blobs(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Whole lines, so many bytes at a time; blank blobs are left out."""
    while lines := file.readlines(size):
        blob = b"".join(lines)
        if count_records(blob):
            yield blob
