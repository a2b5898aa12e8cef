"""The file of a strategy: what it says, and when it may be read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ...features.errors import SettingsError

MOST_BYTES = 4 << 20
"""Of a file; a strategy has far fewer."""


class Seen(NamedTuple):
    """A file as it was read: its time, nanoseconds, its size and what it says."""

    changed_ns: int
    size: int
    text: str


def status(path: Path) -> tuple[int, int]:
    """Return the time and the size of a file.

    Raises
    ------
    SettingsError
        If there is none.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    return found.st_mtime_ns, found.st_size


def read(path: Path) -> Seen:
    """Read a file.

    Raises
    ------
    SettingsError
        If it cannot be read, is too large or no text.
    """
    found = status(path)
    if found[1] > MOST_BYTES:
        raise SettingsError(f"{path}: more than {MOST_BYTES} bytes")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8 (byte {error.start})") from None
    return Seen(*found, text)
