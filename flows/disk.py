"""What a full or failing disk, or the name of a file, means to a person."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..features.durable import named_errors
from ..features.errors import StateError

_SAFE = "Nothing is lost: the next run goes on from the last snapshot"
_SQLITE = re.compile(r"SqliteFailure\(.*Some\(\"([^\"]*)\"\)")


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an operating system's error into a StateError that names the file and the reason.

    >>> import errno
    >>> with disk_errors(Path("archive/epoch-1.parquet")):
    ...     raise OSError(errno.ENOSPC, "Error writing bytes to file")
    Traceback (most recent call last):
        ...
    nextbest.features.errors.StateError: archive/epoch-1.parquet: cannot be written: \
No space left on device. Nothing is lost: the next run goes on from the last snapshot
    """
    with named_errors(path, _SAFE):
        yield


@contextlib.contextmanager
def recovery_errors(directory: Path) -> Iterator[None]:
    """Turn the engine's panic about its recovery store into a StateError.

    The engine, written in Rust, panics where SQLite fails, with an exception that is no
    `Exception`, or a RuntimeError.

    >>> with recovery_errors(Path("recovery")):
    ...     raise RuntimeError('SqliteFailure(Error { }, Some("database or disk is full"))')
    Traceback (most recent call last):
        ...
    nextbest.features.errors.StateError: recovery: cannot be used: database or disk is full. \
Nothing is lost: the next run goes on from the last snapshot
    """
    try:
        yield
    except BaseException as error:
        found = _SQLITE.search(str(error))
        if found is None or type(error).__name__ not in ("RuntimeError", "PanicException"):
            raise
        raise StateError(f"{directory}: cannot be used: {found[1]}. {_SAFE}") from error


def shown(path: Path) -> str:
    """Return a path as text that can be written, whatever bytes are in its name.

    >>> shown(Path(os.fsdecode(b"caf\\xe9.csv"))) == "caf" + chr(92) + "xe9.csv"
    True
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")
