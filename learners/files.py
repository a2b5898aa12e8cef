"""A snapshot in a file: all of it or nothing, also when the machine stops half-way."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from .checkpoint import Data
from .errors import LearnerError

LARGEST_FILE = 4 << 30
"""Bytes that `load` takes from a file, unless it is told otherwise."""


def save(path: str | Path, data: Data) -> None:
    """Write a file so that a reader sees the old bytes or the new ones, never a part.

    The bytes are on disk when this returns. What was written and has no name yet when the machine
    stops is left beside the file, with `.tmp` at the end of its name.

    Raises
    ------
    LearnerError
        If the directory does not exist or the file cannot be written; a file that was there is
        as it was.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as directory:
    ...     save(f"{directory}/model.nbcp", b"weights")
    ...     load(f"{directory}/model.nbcp")
    b'weights'
    """
    target = Path(path)
    if not target.name:
        raise LearnerError(f"{str(path)!r} does not name a file")
    # Of a name that no other writer has, and in one directory: renaming across disks is copying.
    draft = target.with_name(f"{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        try:
            with draft.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        _sync_names(target.parent)
    except OSError as error:
        raise LearnerError(f"{target}: cannot be written: {error.strerror}") from error


def load(path: str | Path, limit: int = LARGEST_FILE) -> bytes:
    """Return the bytes of a file.

    Parameters
    ----------
    path
        A regular file.
    limit
        The most bytes it may have.

    Raises
    ------
    LearnerError
        If it cannot be read, is no regular file, or is larger.
    """
    source = Path(path)
    try:
        with open(source, "rb", opener=_open) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise LearnerError(f"{source}: is no regular file")
            if status.st_size > limit:
                raise LearnerError(f"{source}: has {status.st_size} bytes, more than {limit}")
            return file.read(min(limit, status.st_size))
    except OSError as error:
        raise LearnerError(f"{source}: cannot be read: {error.strerror}") from error


def _open(path: str, flags: int) -> int:
    """Open a file; a pipe too without waiting for whoever writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _sync_names(directory: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return  # where directories cannot be opened, they need no such care
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
