"""Redis clients for the URLs that nextbest uses, beside Feast's own connection strings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff
from redis.retry import Retry

from .errors import StoreAwayError

_SCHEMES = ("redis://", "rediss://", "unix://")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def is_url(connection_string: str) -> bool:
    """Is it a URL, not Feast's ``host:port,key=value``?"""
    return "://" in connection_string


def check(connection_string: str) -> str:
    """Return a connection string that can mean something.

    Raises
    ------
    ValueError
        For an environment variable that is not set, or a URL of another kind.

    Examples
    --------
    >>> check("unix:///run/nextbest/server.sock")
    'unix:///run/nextbest/server.sock'
    >>> check("${NO_SUCH_URL}")
    Traceback (most recent call last):
        ...
    ValueError: the environment variable NO_SUCH_URL is not set
    """
    if match := _VARIABLE.fullmatch(connection_string):
        raise ValueError(f"the environment variable {match[1]} is not set")
    if is_url(connection_string) and not connection_string.startswith(_SCHEMES):
        raise ValueError(
            f"{without_password(connection_string)!r} does not begin with {', '.join(_SCHEMES)}"
        )
    return connection_string


def has_password(url: str) -> bool:
    """Would writing the URL down give a password away?

    >>> has_password("redis://:secret@cache:6379/0"), has_password("redis://cache:6379/0")
    (True, False)
    """
    parts = urlsplit(url)
    return bool(parts.password) or any("password" in key for key in parse_qs(parts.query))


def without_password(connection_string: str) -> str:
    """Return a connection string as a message may show it.

    >>> without_password("redis://me:secret@cache:6379/0")
    'redis://me:***@cache:6379/0'
    >>> without_password("cache:6379,db=0,password=secret")
    'cache:6379,db=0,password=***'
    """
    shown = re.sub(r"(?<=:)[^:/@]*(?=@)", "***", connection_string)
    return re.sub(r"(password=)[^,&]*", r"\1***", shown)


def client(url: str, seconds: float) -> Any:
    """Make a client that waits at most ``seconds`` for an answer; the URL may say otherwise."""
    return redis.Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 1),  # a lookup that is answered late is of no use
    )


def async_client(url: str, seconds: float) -> Any:
    """As `client`, for ``await``."""
    return redis.asyncio.Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=redis.asyncio.retry.Retry(NoBackoff(), 1),
    )


@contextmanager
def store_errors(connection_string: str) -> Iterator[None]:
    """Say which store failed a lookup, and no password.

    Raises
    ------
    StoreAwayError
        Instead of an error of the store's client.
    """
    try:
        yield
    except redis.RedisError as error:
        shown = without_password(connection_string)
        raise StoreAwayError(
            f"{shown}: lookup failed: {error}. Is the server running, and is this its address?"
        ) from error
