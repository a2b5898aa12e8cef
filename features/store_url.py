"""The URL of a store: what of it may be shown, and which cannot be what they were meant to be."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode

from .errors import SettingsError

_PLAIN = re.compile(r"[\w.~%+-]*")
_BEFORE_HOST = re.compile(r"'.*@", re.DOTALL)


def without_password(url: str) -> str:
    """`url` fit for a message or a log, also where it is none.

    >>> without_password("rediss://worker:s3cret@cache:6380/0?password=s3cret&db=1")
    'rediss://worker:***@cache:6380/0?password=***&db=1'
    >>> without_password("redis://:s3/cr#et@cache:6379/0")
    'redis://:***@cache:6379/0'
    >>> without_password("unix:///srv/server.sock")
    'unix:///srv/server.sock'
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "", url
    who, at, host = rest.rpartition("@")
    if at and scheme == "unix" and rest.startswith("/"):
        who, at, host = "", "", rest  # the path of a socket
    path, _, query = host.partition("?")
    if at:
        user, colon, _ = who.partition(":")
        if "password=" in who:
            return f"{scheme}{mark}***"  # where that one ends nobody can tell
        if not mark or not _PLAIN.fullmatch(user):
            user, colon = "***", ""
        path = f"{user}:***@{path}" if colon else f"{user}@{path}"
    pairs = [(k, "***" if "password" in k else v) for k, v in parse_qsl(query)]
    return f"{scheme}{mark}{path}" + (f"?{urlencode(pairs, safe='*/:')}" if pairs else "")


def check_url(url: str) -> None:
    """Check that user and password end where they were meant to.

    Raises
    ------
    SettingsError
        A character of theirs ends them before the ``@``: what is left of them would be taken for
        host, port or path, and messages would name it.

    Examples
    --------
    >>> check_url("redis://:s3/cret@cache:6379/0")
    Traceback (most recent call last):
        ...
    nextbest.features.errors.SettingsError: redis://:***@cache:6379/0: user and password cannot \
have / ? # [ ] as they are: write %2F %3F %23 %5B %5D, or use letters and digits only
    """
    scheme, _, rest = url.partition("://")
    place = re.split("[/?#]", rest, maxsplit=1)[0]
    who, at, _ = place.rpartition("@")
    before, _, query = rest[len(place) :].partition("?")
    ends_early = scheme != "unix" and "@" in before
    ends_early |= "@" in query and not at and scheme != "unix" and "password=" not in query
    if ends_early or "[" in who or "]" in who:
        raise SettingsError(
            f"{without_password(url)}: user and password cannot have / ? # [ ] as they are: "
            "write %2F %3F %23 %5B %5D, or use letters and digits only"
        )


def unusable(url: str, error: Exception) -> SettingsError:
    """Return what a client says of a URL, without a user or password that it repeats."""
    said = _BEFORE_HOST.sub("'***@", str(error))
    return SettingsError(f"{without_password(url)}: {said}")
