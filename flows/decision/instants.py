"""Dates and times as a strategy says them, in microseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(text: str, zone: tzinfo) -> int:
    """Return an ISO 8601 time; without a zone of its own it is in the strategy's.

    Raises
    ------
    ValueError
        If it is none, or far off.

    Examples
    --------
    >>> instant("2026-01-01", UTC), instant("2026-01-01T00:00:00+01:00", UTC)
    (1767225600000000, 1767222000000000)
    """
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a date such as 2026-01-31, or a time such as 2026-01-31T08:00:00Z"
        ) from None
    if not 1970 < when.year < 2262:
        raise ValueError(f"{text!r} is not between 1971 and 2261")
    when = when if when.tzinfo else when.replace(tzinfo=zone)
    return (when - _EPOCH) // timedelta(microseconds=1)
