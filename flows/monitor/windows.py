"""Cutting time into windows whose length a person would choose."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

SECOND = 1_000_000
_MINUTE, _HOUR, _DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
LENGTHS = (
    SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND,
    _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE,
    _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR,
    _DAY, 2 * _DAY, 7 * _DAY, 28 * _DAY, 91 * _DAY, 364 * _DAY,
)  # fmt: skip
"""Microseconds."""
_NAMES = ((7 * _DAY, "week"), (_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute"),
          (SECOND, "second"))  # fmt: skip

I64 = npt.NDArray[np.int64]


class Windows(NamedTuple):
    """Windows of equal length, on whole multiples of it since 1970.

    Attributes
    ----------
    first
        When the first one begins, microseconds.
    length
        Microseconds.
    size
        How many there are.
    """

    first: int
    length: int
    size: int

    @classmethod
    def of(cls, at: I64, most: int = 40) -> Windows:
        """Return the shortest windows of which at most so many hold all times.

        Examples
        --------
        >>> day = 86_400_000_000
        >>> found = Windows.of(np.array([5 * day, 15 * day]), most=12)
        >>> found.name, found.size, found.first == 5 * day
        ('day', 11, True)
        """
        if not len(at):
            return cls(0, SECOND, 0)
        low, high = int(at.min()), int(at.max())
        for length in LENGTHS:
            count = high // length - low // length + 1
            if count <= most:
                break
        return cls(low // length * length, length, count)

    def places(self, at: I64) -> I64:
        """Return in which window each time lies, int64[n]."""
        found: I64 = (at - self.first) // self.length
        return found

    def begin(self, place: int) -> int:
        """Return when a window begins, microseconds."""
        return self.first + place * self.length

    @property
    def middles(self) -> I64:
        """The middles of the windows, int64[size], microseconds."""
        found: I64 = self.first + self.length // 2 + self.length * np.arange(self.size)
        return found

    @property
    def name(self) -> str:
        """How long a window is, in words."""
        for unit, word in _NAMES:
            if self.length >= unit and self.length % unit == 0:
                n = self.length // unit
                return word if n == 1 else f"{n} {word}s"
        return f"{self.length} µs"


def moments(at: npt.ArrayLike) -> Any:
    """Return microseconds as Arrow times, UTC."""
    return pa.array(np.asarray(at, np.int64)).cast(pa.timestamp("us", "UTC"))
