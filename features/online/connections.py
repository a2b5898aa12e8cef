"""Connections to the store: one for each command at a time, or in an event loop for all of them.

redis-py makes, secures and authenticates a connection; its client's way of sending a command costs
more than the command, so commands go straight to the connection. A connection on which anything
went wrong is closed before it is used again: a reply never answers a later command.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import hiredis
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..errors import SettingsError, StoreError
from ..store_url import check_url, unusable
from .shared_connection import SharedConnection

Command = Sequence[str | bytes]
MANY_WORDS = 256
"""Longer commands of a client that does not block have a connection of their own."""
_TRIES = 2


class Connections:
    """Sends commands over connections that it keeps, as many as there are threads at once.

    Parameters
    ----------
    url
        Of the store.
    timeout_seconds
        For connecting, and for each reply. What failed is tried once more, at once.

    Raises
    ------
    SettingsError
        When it is no URL of a store.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        settings = _settings(timeout_seconds)
        self._pool = _from_url(redis.ConnectionPool.from_url, url, retry=_once(), **settings)
        self._idle: list[Any] = []
        self._pid = os.getpid()
        self._closed = False

    def execute(self, command: Command) -> Any:
        """Send a command and return its reply.

        Raises
        ------
        StoreError
            When the store is away or refuses.
        SettingsError
            When the command is no text, or the client is closed.
        """
        if self._closed:
            raise SettingsError("the client is closed")
        if self._pid != os.getpid():
            # A forked process must not speak on its parent's connections.
            self._idle, self._pid = [], os.getpid()
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._pool.make_connection()
        try:
            reply = self._ask(connection, connection.pack_command(*command))
        except redis.ResponseError as error:
            self._put_back(connection)
            raise StoreError(f"feature lookup failed: {error}") from error
        except redis.RedisError as error:
            raise StoreError(f"feature lookup failed: {error}") from error
        except UnicodeEncodeError as error:
            self._put_back(connection)
            raise SettingsError(f"an id is no text: {error}") from None
        self._put_back(connection)
        return reply

    def close(self) -> None:
        """Close the connections; those in use, as soon as they are not."""
        self._closed = True
        while self._idle:
            self._idle.pop().disconnect()

    def _ask(self, connection: Any, packed: Any) -> Any:
        for attempt in range(_TRIES):
            try:
                connection.send_packed_command(packed)
                return connection.read_response()
            except (redis.ConnectionError, redis.TimeoutError):
                connection.disconnect()
                if attempt == _TRIES - 1:
                    raise
            except redis.ResponseError:
                raise
            except BaseException:
                connection.disconnect()
                raise
        return None

    def _put_back(self, connection: Any) -> None:
        if self._closed:
            connection.disconnect()
        else:
            self._idle.append(connection)


class AsyncConnections:
    """As `Connections`, for one event loop, over two connections however many commands there are.

    One is for commands of many keys: a lookup of one row does not wait until ten thousand are here.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        seconds = _settings(timeout_seconds)["socket_timeout"]
        # redis-py would make a task for each timeout; the connection has one of its own.
        pool = _from_url(
            redis.asyncio.ConnectionPool.from_url,
            url,
            retry=AsyncRetry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=None,
        )
        self._short = SharedConnection(pool, seconds)
        self._long = SharedConnection(pool, seconds)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def execute(self, command: Command) -> Any:
        """Send a command and return its reply; see `Connections.execute`."""
        if self._closed:
            raise SettingsError("the client is closed")
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None:
                raise SettingsError("the client belongs to another event loop: make one in each")
            self._loop = loop
        try:
            words: Any = tuple(command)  # typed there as of one word
            packed = hiredis.pack_command(words)
        except UnicodeEncodeError as error:
            raise SettingsError(f"an id is no text: {error}") from None
        connection = self._short if len(command) <= MANY_WORDS else self._long
        try:
            try:
                return await connection.ask(packed)
            except (redis.ConnectionError, redis.TimeoutError, redis.InvalidResponse):
                if self._closed:
                    raise
                return await connection.ask(packed)
        except redis.RedisError as error:
            raise StoreError(f"feature lookup failed: {error}") from error

    async def close(self) -> None:
        """Close the connections; those in use, as soon as they are not."""
        self._closed = True
        if self._loop is asyncio.get_running_loop():
            await self._short.close()
            await self._long.close()


def given(client: redis.Redis) -> Callable[[Command], Any]:
    """Return what sends commands through an app's own client.

    Raises
    ------
    SettingsError
        When it decodes what it reads.
    """
    _check_bytes(client)
    untyped: Any = client

    def execute(command: Command) -> Any:
        try:
            return untyped.execute_command(*command)
        except redis.RedisError as error:
            raise StoreError(f"feature lookup failed: {error}") from error
        except UnicodeEncodeError as error:
            raise SettingsError(f"an id is no text: {error}") from None

    return execute


def given_async(client: redis.asyncio.Redis) -> Callable[[Command], Awaitable[Any]]:
    """As `given`, of a client that does not block."""
    _check_bytes(client)
    untyped: Any = client

    async def execute(command: Command) -> Any:
        try:
            return await untyped.execute_command(*command)
        except redis.RedisError as error:
            raise StoreError(f"feature lookup failed: {error}") from error
        except UnicodeEncodeError as error:
            raise SettingsError(f"an id is no text: {error}") from None

    return execute


def _check_bytes(client: Any) -> None:
    if client.get_encoder().decode_responses:
        raise SettingsError("rows are bytes: make the client without decode_responses")


def _once() -> Retry:
    """A connection is not tried again by itself; the command is."""
    return Retry(NoBackoff(), 0)


def _settings(seconds: float) -> dict[str, Any]:
    if not isinstance(seconds, int | float) or not 0 < seconds <= 3600:
        raise SettingsError(f"timeout_seconds={seconds!r} is not more than 0, at most 3600")
    return {"socket_timeout": float(seconds), "socket_connect_timeout": float(seconds)}


def _from_url(make: Callable[..., Any], url: str, **settings: Any) -> Any:
    check_url(url)
    try:
        pool = make(url, **settings)
    except (ValueError, TypeError) as error:
        raise unusable(url, error) from None
    if pool.get_encoder().decode_responses:
        raise SettingsError("rows are bytes: make the client without decode_responses")
    return pool
