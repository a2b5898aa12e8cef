"""The files of an archive's partition in the log's order, and finding in them what is of a time.

An archive has a file for each partition and epoch, about one a second: millions in a month. They
are in the log's order, so their times hardly ever go back: a binary search over the files'
statistics finds where to look. Files never change; what their statistics say is remembered.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ..features.errors import SourceError

NEAR_US = 600_000_000
"""How far times may go back in the log for a binary search to find what it looks for."""
_YOUNG = 16
"""A worker that resumes writes its newest files anew: of so many nothing is remembered."""
_BEGIN, _END = "epoch-", ".parquet"
_NEVER, _EVER = np.iinfo(np.int64).max, np.iinfo(np.int64).min
_ENDLESS = float("inf")
_BREATH, _PAUSE = 8, 0.0005
"""Files after which a search in a limited time lets other threads in, and for how long, seconds."""


class OutOfTimeError(SourceError):
    """The search took too long; what it looked for may be there."""


class Files:
    """The files of a partition in the log's order, and the times that they hold."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._numbers: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._times: npt.NDArray[np.int64] = np.empty((0, 2), np.int64)  # low > high: not known
        self._open: tuple[int, Any] | None = None
        self.faults: list[str] = []
        """What was wrong with files that could not be read, since the last `look`."""

    def __len__(self) -> int:
        return len(self._numbers)

    def look(self) -> None:
        """Find the files that were added."""
        self.faults.clear()
        new = self._added() if len(self) else self._listed()
        if new:
            self._numbers = np.append(self._numbers, np.array(new, np.int64))
            unknown = np.tile(np.array([[1, 0]], np.int64), (len(new), 1))
            self._times = np.concatenate([self._times, unknown])

    def _listed(self) -> list[int]:
        found = []
        for name in os.listdir(self.directory):  # faster than what tells more of each
            number = name[len(_BEGIN) : -len(_END)]
            if name == f"{_BEGIN}{number}{_END}" and number.isdecimal():
                found.append(int(number))
        return sorted(found)

    def _added(self) -> list[int]:
        """Files have consecutive numbers."""
        new, number = [], int(self._numbers[-1]) + 1
        while self._path(number).exists():
            new.append(number)
            number += 1
        return new

    def path(self, i: int) -> Path:
        """Return the path of a file."""
        return self._path(int(self._numbers[i]))

    def _path(self, number: int) -> Path:
        return self.directory / f"{_BEGIN}{number:08d}{_END}"

    def times(self, i: int) -> tuple[int, int] | None:
        """Return the earliest and the latest time in a file; None: it is gone, or damaged."""
        low, high = self._times[i].tolist()
        if low <= high:
            return low, high
        found: tuple[int, int] | None = self.read(i, _times)
        if found is not None and i < len(self) - _YOUNG:
            self._times[i] = found
        return found

    def holds(self, i: int, begin: int, end: int) -> bool:
        """Return whether a file may have such times."""
        times = self.times(i)
        return times is not None and times[0] <= end and times[1] >= begin

    def read(self, i: int, read: Callable[[Any], Any]) -> Any:
        """Return what is read from a file; None: it is gone, or damaged, which `faults` tells."""
        path = self.path(i)
        try:
            return read(self._opened(i, path))
        except FileNotFoundError:
            return None
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            fault = f"{path}: cannot be read: {error}"
            if fault not in self.faults:
                self.faults.append(fault)
            return None

    def close(self) -> None:
        """Close the file that was read last."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _opened(self, i: int, path: Path) -> Any:
        """A file is mostly asked for its times, then for rows."""
        if self._open is None or self._open[0] != i:
            self.close()
            self._open = i, pq.ParquetFile(path, memory_map=True)
        return self._open[1]


class Searching:
    """The order in which files are asked for what is from ``begin`` to ``end``."""

    def __init__(self, files: Files, begin: int, end: int) -> None:
        self._files, self._begin, self._end = files, begin, end
        low, high = 0, len(files)
        while low < high:  # the first file that does not end before
            middle = (low + high) // 2
            known = next((i for i in range(middle, high) if files.times(i) is not None), None)
            if known is None or files.holds(known, begin, _NEVER):
                high = middle
            else:
                low = known + 1
        self._from = self._to = low

    def near(self) -> Iterator[int]:
        """Yield the files where it is to be expected."""
        files = self._files
        while self._to < len(files):
            times = files.times(self._to)
            if times is not None and times[0] > self._end + NEAR_US:
                break
            self._to += 1
            yield self._to - 1
        while self._from > 0:
            times = files.times(self._from - 1)
            if times is not None and times[1] < self._begin - NEAR_US:
                break
            self._from -= 1
            yield self._from

    def far(self) -> Iterator[int]:
        """Yield all others, the nearest first."""
        before, after = self._from - 1, self._to
        while before >= 0 or after < len(self._files):
            if after < len(self._files):
                yield after
                after += 1
            if before >= 0:
                yield before
                before -= 1

    def all(self, until: float) -> Iterator[int]:
        """Yield those near that have such a time; raises when it is late."""
        for i in in_time(self.near(), until):
            if self._files.holds(i, self._begin, self._end):
                yield i


def deadline(seconds: float | None) -> float:
    """Return the clock's time in so many seconds; None: never."""
    return _ENDLESS if seconds is None else time.monotonic() + seconds


def in_time(order: Iterator[int], until: float) -> Iterator[int]:
    """Yield files until it is late.

    Raises
    ------
    OutOfTimeError
        When it is.
    """
    for number, i in enumerate(order):
        if number % _BREATH == _BREATH - 1 and until < _ENDLESS:
            time.sleep(_PAUSE)
        if time.monotonic() > until:
            raise OutOfTimeError("the archive could not be searched to its end in time")
        yield i


def _times(file: Any) -> tuple[int, int]:
    column = file.schema_arrow.get_field_index("event_timestamp")
    metadata = file.metadata
    low, high = _NEVER, _EVER
    for group in range(metadata.num_row_groups):
        known = metadata.row_group(group).column(column).statistics
        if known is None or not known.has_min_max:
            return _EVER, _NEVER
        low, high = min(low, known.min_raw), max(high, known.max_raw)
    return low, high
