"""Connections to the online store, and what their failures mean to a person."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from ..features.errors import StoreError
from ..features.store_url import check_url, unusable, without_password

_PASSING = (exceptions.ClusterDownError, exceptions.MasterDownError, exceptions.TryAgainError)
_PASSING_WORDS = ("MISCONF", "NOREPLICAS", "BUSY")  # the client knows no class for these


def pool(url: str, *, seconds: float = 10.0) -> redis.ConnectionPool:
    """Connections to `url`, each waiting at most `seconds` for one answer.

    Raises
    ------
    SettingsError
        The URL is no Redis URL.
    """
    check_url(url)
    try:
        return redis.ConnectionPool.from_url(
            url,
            socket_timeout=seconds,
            socket_connect_timeout=min(seconds, 5.0),
            retry=Retry(NoBackoff(), 1),
        )
    except (ValueError, TypeError) as error:
        raise unusable(url, error) from None


def ask(client: redis.Redis | Pipeline, *command: str | bytes | int) -> Any:
    """One command and its answer; the client's own method carries no types."""
    return client.execute_command(*command)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def store_errors(url: str) -> Iterator[None]:
    """Turn what a Redis client raises into a StoreError that says what to do."""
    try:
        yield
    except redis.RedisError as error:
        raise explained(url, error) from error


def explained(url: str, error: redis.RedisError) -> StoreError:
    """What a Redis client's error means, and what to do about it.

    >>> explained("redis://me:s3cret@cache:6379", redis.BusyLoadingError())
    StoreError('redis://me:***@cache:6379: still loading its data; try again soon')
    """
    shown = without_password(url)
    if isinstance(error, redis.AuthenticationError):
        return StoreError(f"{shown}: refused: {error}. Check the user and the password")
    if isinstance(error, redis.BusyLoadingError):
        return StoreError(f"{shown}: still loading its data; try again soon")
    if isinstance(error, redis.InvalidResponse):
        return StoreError(f"{shown}: does not speak the Redis protocol: {error}")
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return StoreError(
            f"{shown}: no answer: {error}. Start that server, or set NEXTBEST_REDIS_URL to one "
            "that runs (unset, an embedded server is started)"
        )
    return StoreError(f"{shown}: refused: {type(error).__name__}: {error}")


def passes(error: redis.RedisError) -> bool:
    """Whether waiting may cure what a store answered, or that it did not answer.

    It does where the store is away, loading, failing over, or out of disk. A wrong password, a
    wrong protocol and a full memory (`maxmemory`) need a person.

    >>> passes(redis.ConnectionError()), passes(redis.ResponseError("MISCONF Errors writing"))
    (True, True)
    >>> passes(redis.AuthenticationError()), passes(redis.OutOfMemoryError())
    (False, False)
    """
    if isinstance(error, redis.AuthenticationError | exceptions.AuthorizationError):
        return False
    if isinstance(error, redis.ConnectionError | redis.TimeoutError | redis.ReadOnlyError):
        return True
    return isinstance(error, _PASSING) or str(error).startswith(_PASSING_WORDS)
