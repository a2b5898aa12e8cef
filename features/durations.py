"""Durations as people write them, as integer microseconds."""

from __future__ import annotations

import re
from datetime import timedelta

MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
MICROSECONDS |= {"d": 24 * MICROSECONDS["h"], "w": 7 * 24 * MICROSECONDS["h"]}

MAX_DURATION = 2**56
"""Microseconds, 2,283 years: 64 half-lives of that, or a time less that, are still an int64."""

_PATTERN = re.compile(r"(\d+)\s*(us|ms|s|m|h|d|w)")

_LONGEST = f"{MAX_DURATION // MICROSECONDS['d']}d"

Duration = str | timedelta
"""A duration: ``"30m"``, ``"1h"``, ``"7d"`` (units us, ms, s, m, h, d, w) or a `timedelta`."""


def microseconds(duration: Duration) -> int:
    """Return a positive duration in integer microseconds.

    Raises
    ------
    ValueError
        If the text is not a whole number and a unit, or the duration is not positive or is more
        than `MAX_DURATION`.

    Examples
    --------
    >>> microseconds("30m")
    1800000000
    >>> microseconds("fortnight")
    Traceback (most recent call last):
        ...
    ValueError: 'fortnight' is not a duration such as '30m', '1h' or '7d'
    """
    if isinstance(duration, timedelta):
        us = duration // timedelta(microseconds=1)
    else:
        match = _PATTERN.fullmatch(duration.strip()) if isinstance(duration, str) else None
        if match is None:
            raise ValueError(f"{duration!r} is not a duration such as '30m', '1h' or '7d'")
        us = int(match[1]) * MICROSECONDS[match[2]]
    if us <= 0:
        raise ValueError(f"{duration!r} is not a positive duration")
    if us > MAX_DURATION:
        raise ValueError(f"{duration!r} is longer than {_LONGEST}")
    return us


def check_microseconds(us: object) -> int:
    """Return what is given as microseconds, if it is a duration.

    Raises
    ------
    ValueError
        If it is no integer, is not positive, or is more than `MAX_DURATION`.

    Examples
    --------
    >>> check_microseconds(60_000_000)
    60000000
    """
    if not isinstance(us, int) or isinstance(us, bool) or us <= 0:
        raise ValueError(f"{us!r} is not a positive duration")
    if us > MAX_DURATION:
        raise ValueError(f"{us} microseconds are longer than {_LONGEST}")
    return us


def describe(us: int) -> str:
    """Write microseconds in the largest unit that divides them.

    >>> describe(1_800_000_000)
    '30m'
    """
    for unit in ("w", "d", "h", "m", "s", "ms"):
        if us % MICROSECONDS[unit] == 0:
            return f"{us // MICROSECONDS[unit]}{unit}"
    return f"{us}us"
