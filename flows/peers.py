"""Noticing that another process of a cluster is gone, or is a new one in its place.

The engine notices only when it next sends to it. Each process holds a lock in the data directory,
which all share, and writes a token of its own into it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from .cluster import Member

_ENDED = "ended"
_SECONDS = 0.5
_LENGTH = 32
"""Of what is written, in bytes: no token is shorter, so that one write replaces another whole."""


def lock_of(directory: Path, index: int) -> Path:
    """Return the file that a worker locks."""
    return directory / f"worker-{index}.lock"


def sign(descriptor: int) -> None:
    """Write a new token into a lock that is held."""
    _write(descriptor, uuid.uuid4().hex)


def sign_off(descriptor: int) -> None:
    """Write that this worker ended as it should."""
    _write(descriptor, _ENDED)


@contextlib.contextmanager
def watching(directory: Path, member: Member, gone: Callable[[str], None]) -> Iterator[None]:
    """Call ``gone`` with the reason, in a thread, when a peer is not what it was.

    Parameters
    ----------
    directory
        The data directory.
    member
        This process. Watching begins when its cluster has formed.
    gone
        Called once.
    """
    done = threading.Event()

    def watch() -> None:
        while not member.formed.wait(_SECONDS):
            if done.is_set():
                return
        peers = [lock_of(directory, i) for i in range(len(member.addresses)) if i != member.index]
        known = {path: _token(path) for path in peers}
        while not done.wait(_SECONDS):
            for path, token in known.items():
                now = _token(path)
                if now != _ENDED and (now != token or not _is_held(path)):
                    gone(f"{path.stem} is gone")
                    return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _write(descriptor: int, token: str) -> None:
    # Never emptied before: who looks in between would take an empty file for another process.
    os.pwrite(descriptor, token.ljust(_LENGTH).encode(), 0)


def _token(path: Path) -> str:
    try:
        return path.read_text().rstrip()
    except OSError:
        return ""


def _is_held(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    # It may have ended as it should since its token was read.
    return _token(path) == _ENDED
