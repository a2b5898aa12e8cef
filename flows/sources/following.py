"""Noticing that files have come or grown, at little cost."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from .shared import patience

_SCAN_SECONDS = 0.5
_SCAN_SHARE = 100.0
_LONGEST_WAIT = 0.02
_RECENT = 16
_QUOTE_SECONDS = 5.0
_QUOTE_BYTES = 1 << 16


class Follower:
    """Looks at the files that changed last at each call, and for all files twice a second.

    Where there are so many that a search takes long, it is made less often: it takes a hundredth
    of the time at most.

    Parameters
    ----------
    find
        Finds all files.
    """

    def __init__(self, find: Callable[[], Iterable[Path]]) -> None:
        self._find = find
        self._seen: dict[Path, tuple[int, int, int]] = {}
        self._recent: deque[Path] = deque(maxlen=_RECENT)
        self._search_at = 0.0
        self._changed_at = time.monotonic()

    def changed(self) -> list[Path]:
        """Files that are new, or were written since they were returned last; in order."""
        now = time.monotonic()
        if now >= self._search_at:
            found = sorted(path for path in self._find() if self._has_changed(path))
            ended = time.monotonic()
            self._search_at = ended + max(_SCAN_SECONDS, _SCAN_SHARE * (ended - now))
        else:
            found = [path for path in sorted(self._recent) if self._has_changed(path)]
        for path in found:
            if path not in self._recent:
                self._recent.append(path)
        if found:
            self._changed_at = now
        return found

    def wait(self, share: float) -> bool:
        """Wait for a while before the next call; not at all if something has changed just now.

        Parameters
        ----------
        share
            Of the time; a part of 1 where others wait in turn.
        """
        seconds = patience(time.monotonic() - self._changed_at, _LONGEST_WAIT)
        time.sleep(seconds * share)
        return seconds > 0.0

    def _has_changed(self, path: Path) -> bool:
        try:
            found = path.stat()
        except FileNotFoundError:
            self._seen.pop(path, None)
            return False
        # Another file of the same size may have taken the name.
        now = found.st_size, found.st_mtime_ns, found.st_ino
        before = self._seen.get(path)
        self._seen[path] = now
        return now != before


class Unclosed:
    """How long records whose last quote has not come are waited for, in files that are followed.

    A quote that was never meant to be one must not hold up the rows behind it. What ends within a
    line is still being written: it may take its time, if it is short.
    """

    def __init__(self) -> None:
        self._since: dict[Path, tuple[int, float]] = {}
        self._due: dict[Path, float] = {}

    def waits(self, path: Path, offset: int, size: int, *, torn: bool) -> bool:
        """Whether the record at `offset`, of `size` bytes so far, may still get its quote.

        Parameters
        ----------
        torn
            The file ends within a line.
        """
        now = time.monotonic()
        at, since = self._since.get(path, (-1, now))
        if at != offset:
            since = now
        self._since[path] = offset, since
        if now - since < _QUOTE_SECONDS:
            self._due[path] = since + _QUOTE_SECONDS
            return True
        self._due.pop(path, None)
        return torn and size <= _QUOTE_BYTES

    def due(self) -> list[Path]:
        """Files that are to be looked at again although they have not changed."""
        now = time.monotonic()
        found = sorted(path for path, at in self._due.items() if now >= at)
        for path in found:
            del self._due[path]
        return found
