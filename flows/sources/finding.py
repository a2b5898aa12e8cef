"""Which event files a path names, and which partition a file belongs to."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ...features.errors import SourceError
from .opening import SUFFIXES, kind_of, unreadable

_GLOB = "*?["
_PARTITION = re.compile(r"partition=(\d+)")


def find(path: Path, *, none_yet: bool = False) -> list[Path]:
    """The event files that `path` names, absolute; of a directory or glob there may be `none_yet`.

    Raises
    ------
    SourceError
        There is no such path, no event file, or a file of another kind; or a directory cannot be
        read.
    """
    try:
        return _find(path, none_yet=none_yet)
    except OSError as error:
        raise unreadable(Path(error.filename or path), error) from error


def _find(path: Path, *, none_yet: bool) -> list[Path]:
    if path.is_dir():
        found = list(_below(path))
        if not found and not none_yet:
            raise SourceError(f"{path}: no event files ({', '.join(SUFFIXES)}) in this directory")
        return [file.absolute() for file in found]
    if not path.exists() and any(sign in os.fspath(path) for sign in _GLOB):
        matches = [Path(name) for name in glob.glob(os.fspath(path), recursive=True)]
        found = [file for file in matches if kind_of(file) is not None and file.is_file()]
        if not found and not none_yet:
            raise SourceError(f"{path}: no event file matches ({', '.join(SUFFIXES)})")
        return [file.absolute() for file in found]
    if not path.exists():
        raise SourceError(f"{path}: no such file or directory")
    if kind_of(path) is None:
        raise SourceError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
    return [path.absolute()]


def folded(file: Path) -> Path:
    """Return an absolute path without ``..``: one file has one name, however it is spelled.

    >>> folded(Path("/in/logs/../a.ndjson")).as_posix()
    '/in/a.ndjson'
    """
    if ".." not in file.parts:
        return file
    plain = Path(os.path.normpath(file))
    try:
        same = not file.exists() or file.samefile(plain)
    except OSError:
        same = False
    return plain if same else Path(os.path.realpath(file))  # `..` of a link is elsewhere


def _below(top: Path) -> Iterator[Path]:
    """Yield the event files below a directory, of each directory once."""
    seen: set[tuple[int, int]] = set()
    places = [os.fspath(top)]
    while places:
        # Links last: a file that lies here has the name of its place here.
        places.sort()
        links: list[str] = []
        for place in places:
            yield from _walk(place, seen, links)
        places = links


def _walk(top: str, seen: set[tuple[int, int]], links: list[str]) -> Iterator[Path]:
    for place, directories, files in os.walk(top, onerror=_fail_unless_gone):
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(place)
            here = found.st_dev, found.st_ino
            if here in seen:
                directories.clear()
                continue
            seen.add(here)
        directories[:] = [name for name in directories if not _is_hidden(name)]
        paths = (os.path.join(place, name) for name in directories)
        links += [path for path in paths if os.path.islink(path)]
        for name in files:
            file = Path(place, name)
            if not _is_hidden(name) and kind_of(file) is not None and file.is_file():
                yield file


def _fail_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def partition_of(file: Path, partitions: int) -> int:
    """The number in the directory ``partition=K`` that `file` lies in.

    >>> partition_of(Path("in/partition=3/a.ndjson"), 4)
    3

    Raises
    ------
    SourceError
        It lies in no such directory, or the number is not below `partitions`.
    """
    for part in reversed(file.parts[:-1]):
        match = _PARTITION.fullmatch(part)
        if match and int(match[1]) < partitions:
            return int(match[1])
    raise SourceError(
        f"{file}: belongs to no partition; of {partitions} partitions, each file must lie in a "
        f"directory partition=0 to partition={partitions - 1}"
    )
