"""Where an embedded server lives: its files, its socket, and the locks that tell who is there."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..features.errors import StoreError
from .settings import Settings

_SOCKET_PATH_BYTES = 100  # Linux allows 107, macOS 103


class Record(msgspec.Struct):
    """What `server.json` keeps for other processes."""

    socket: str
    pid: int


class Place(NamedTuple):
    """Where one embedded server lives."""

    directory: Path
    start_lock: Path
    life_lock: Path
    record: Path
    log: Path

    @classmethod
    def of(cls, data_dir: str | Path) -> Place:
        """The place of a data directory."""
        d = Settings(data_dir=Path(os.path.abspath(data_dir))).valkey_dir
        return cls(d, d / "start.lock", d / "life.lock", d / "server.json", d / "server.log")

    def recorded(self) -> Record | None:
        """What the last start wrote down; None if that is not there or not readable."""
        try:
            return msgspec.json.decode(self.record.read_bytes(), type=Record)
        except (OSError, msgspec.DecodeError):
            return None


def socket_path(place: Place) -> str:
    """Beside the data if the path fits into a socket address, else in a private directory."""
    record = place.recorded()
    near = os.fspath(place.directory / "server.sock")
    if len(os.fsencode(near)) <= _SOCKET_PATH_BYTES:
        return near
    name = hashlib.sha256(os.fsencode(os.path.realpath(place.directory))).hexdigest()[:16]
    roots = [os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"]
    choices = [f"{root}/nextbest-{os.getuid()}/{name}.sock" for root in roots if root]
    if record is not None and os.path.basename(record.socket) == f"{name}.sock":
        choices.insert(0, record.socket)  # Feast's configuration may name it
    for path in choices:
        if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES and _private(os.path.dirname(path)):
            return path
    raise StoreError(f"no private directory for the server's socket; tried {', '.join(choices)}")


def _private(directory: str) -> bool:
    """Whether only we can enter `directory`; it is made if need be."""
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    except OSError:
        return False
    found = os.lstat(directory)
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return ours and not found.st_mode & 0o077


@contextlib.contextmanager
def starting(place: Place, *, wait: bool = True) -> Iterator[bool]:
    """One starter or stopper at a time, over all processes; whether it is us."""
    fd = _open(place.start_lock)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def take(path: Path) -> int | None:
    """A locked descriptor, or None while another process holds the lock."""
    fd = _open(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: cannot be made: {error.strerror}") from error


def last_lines(place: Place, count: int = 8) -> str:
    """The end of the server's log, for a message."""
    try:
        with place.log.open("rb") as log:
            log.seek(max(0, place.log.stat().st_size - 4096))
            lines = log.read().decode(errors="replace").splitlines()[-count:]
    except OSError as error:
        return f"no log ({error.strerror})"
    return f"{place.log} ends:\n" + "\n".join(lines)
