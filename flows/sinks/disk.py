"""What a full or failing disk means to a person."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ...features.errors import StateError


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
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StateError(
            f"{path}: cannot be written: {reason}. Nothing is lost: the next run goes on from "
            "the last snapshot"
        ) from error
