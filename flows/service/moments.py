"""Times as a caller gives them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ...features.events import MAX_TIMESTAMP

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds_at(given: int | str | None) -> int | None:
    """Return a time in microseconds since 1970; None stays None.

    Parameters
    ----------
    given
        Microseconds, also as text, or ISO 8601 (without a zone it is UTC).

    Raises
    ------
    ValueError
        If it is neither, or not between 1970 and 2100.

    Examples
    --------
    >>> microseconds_at("2026-01-01T01:00:00+01:00"), microseconds_at(1767225600000000)
    (1767225600000000, 1767225600000000)
    """
    if given is None:
        return None
    if isinstance(given, str):
        us = _parsed(given[:64])
        if us is None and " " in given:  # an unescaped + in a query is a space
            us = _parsed("+".join(given[:64].rsplit(" ", 1)))
        if us is None:
            raise ValueError("expected microseconds since 1970 or a time as of ISO 8601")
    else:
        us = given
    if not 1 <= us <= MAX_TIMESTAMP:
        raise ValueError("expected a time between 1970 and 2100, in microseconds")
    return us


def _parsed(text: str) -> int | None:
    if text.isdecimal() and text.isascii():
        return int(text)
    try:
        when = datetime.fromisoformat(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return (when - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None
