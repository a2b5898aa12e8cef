"""Every change to files of durable state, in one place: what is done in which order is what
makes a crash harmless, and here a test can stop each step.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from .errors import StateError

_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has only the stronger one


@contextlib.contextmanager
def named_errors(path: Path, comfort: str = "") -> Iterator[None]:
    """Raise what the system says of a file as a `StateError` that names it.

    What is comforting about it, if anything, is said last.

    >>> with named_errors(Path("runs/7")):
    ...     raise OSError("the disk is gone")
    Traceback (most recent call last):
        ...
    nextbest.features.errors.StateError: runs/7: cannot be written: the disk is gone
    """
    try:
        yield
    except OSError as error:
        # A library's own text does not say what its number does.
        reason = os.strerror(error.errno) if error.errno else str(error)
        told = f"{reason}. {comfort}" if comfort else reason
        raise StateError(f"{path}: cannot be written: {told}") from error


def create(path: Path) -> FileIO:
    """Create a file, or empty it."""
    return path.open("w+b", buffering=0)


def write(file: FileIO, data: bytes | memoryview) -> None:
    """Write all of the data where the file stands."""
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[file.write(rest) :]


def sync(file: FileIO) -> None:
    """Wait until a file's bytes are on disk."""
    _fdatasync(file.fileno())


def sync_map(mapped: mmap.mmap) -> None:
    """Wait until what was written to a map of a file is on disk."""
    mapped.flush()


def sync_path(path: Path) -> None:
    """Wait until a file's bytes, or the names in a directory, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def truncate(file: FileIO, size: int) -> None:
    """Cut a file off and stand at its end."""
    file.truncate(size)
    file.seek(size)


def allocate(file: FileIO, start: int, size: int) -> None:
    """Have the disk reserve bytes, all zero: writing to a map of them cannot fail for want of room.

    The file ends behind them.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), start, size)
        return
    file.seek(start)
    for at in range(0, size, 1 << 20):
        write(file, bytes(min(1 << 20, size - at)))


def rename(source: Path, target: Path) -> None:
    """Give a file its name."""
    source.rename(target)


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    path.unlink(missing_ok=True)
