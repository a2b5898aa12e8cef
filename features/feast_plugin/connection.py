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
from pydantic import ValidationError
from pydantic_core import PydanticCustomError
from redis.backoff import NoBackoff
from redis.retry import Retry

from .. import store_url
from .errors import IdError, StoreAwayError

_SCHEMES = ("redis://", "rediss://", "unix://")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
# Up to the last @: whoever forgot to quote a password may have one, or a colon or a slash, in it.
_OF_USER = re.compile(r"^((?:[\w+.-]+://)?+[^:]*):.*@", re.DOTALL)
_NAMED_TO_FEAST = re.compile(r"(password[^=,&]*=)[^,]*", re.IGNORECASE)


def is_url(connection_string: str) -> bool:
    """Is it a URL, not Feast's ``host:port,key=value``?"""
    return "://" in connection_string


def check(connection_string: str) -> str:
    """Return a connection string that can mean something.

    Raises
    ------
    ValueError
        For an environment variable that is not set, a URL of another kind, or one with a port that
        is no number.

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
    if not is_url(connection_string):
        return connection_string
    shown = repr(without_password(connection_string))
    if not connection_string.startswith(_SCHEMES):
        raise ValueError(f"{shown} does not begin with {', '.join(_SCHEMES)}")
    try:
        _ = urlsplit(connection_string).port
    except ValueError:
        # The client would show as a port what may be half of a password.
        raise ValueError(
            f"{shown} is no URL: in a password, write %2F for /, %3F for ? and %23 for #"
        ) from None
    return connection_string


def check_url(url: str) -> str:
    """Return a URL that can mean something; see `check`.

    >>> check_url("cache:6379,password=secret")
    Traceback (most recent call last):
        ...
    ValueError: 'cache:6379,password=***' does not begin with redis://, rediss://, unix://
    """
    if not is_url(check(url)):
        raise ValueError(f"{without_password(url)!r} does not begin with {', '.join(_SCHEMES)}")
    return url


def has_password(url: str) -> bool:
    """Would writing the URL down give a password away?

    >>> has_password("redis://:secret@cache:6379/0"), has_password("redis://cache:6379/0")
    (True, False)
    """
    named = any("password" in key.lower() for key in parse_qs(urlsplit(url).query))
    return named or without_password(url) != url


def without_password(connection_string: str) -> str:
    """Return a connection string as a message may show it.

    >>> without_password("redis://me:my:secret@cache:6379/0")
    'redis://me:***@cache:6379/0'
    >>> without_password("cache:6379,db=0,password=secret")
    'cache:6379,db=0,password=***'
    """
    if is_url(connection_string):
        return store_url.without_password(connection_string)
    shown = _NAMED_TO_FEAST.sub(r"\1***", connection_string)
    return _OF_USER.sub(r"\1:***@", shown)


def refusal(why: str, connection_string: str) -> ValidationError:
    """Return an error of a store's options; pydantic's own shows what was given."""
    kind = PydanticCustomError("connection_string", "{why}", {"why": why})
    shown = without_password(connection_string)
    return ValidationError.from_exception_data(
        "connection_string", [{"type": kind, "input": shown}]
    )


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
    IdError
        If a command is no text: ids are all that a user gives to one.
    """
    try:
        yield
    except redis.RedisError as error:
        shown = without_password(connection_string)
        raise StoreAwayError(
            f"{shown}: lookup failed: {error}. Is the server running, and is this its address?"
        ) from error
    except UnicodeEncodeError as error:
        raise IdError(f"an id is no text: {error}") from None
