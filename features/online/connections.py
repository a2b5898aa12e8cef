"""Connections to the store: redis-py's own, each used for one command at a time.

redis-py makes, secures and authenticates a connection; its client's way of sending a command costs
more than the command, so commands go straight to the connection. A connection on which anything
went wrong is closed before it is used again: a reply never answers a later command.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..errors import SettingsError, StoreError

Command = Sequence[str | bytes]
MAX_CONNECTIONS = 64
"""Of a client that does not block; more lookups at once wait for one of them."""
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
    """As `Connections`, for one event loop; at most `MAX_CONNECTIONS` at once."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._seconds = _settings(timeout_seconds)["socket_timeout"]
        retry = AsyncRetry(NoBackoff(), 0)
        # redis-py would make a task for each timeout; one around the command is enough.
        self._pool = _from_url(
            redis.asyncio.ConnectionPool.from_url,
            url,
            retry=retry,
            socket_timeout=None,
            socket_connect_timeout=None,
        )
        self._idle: list[Any] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        self._closed = False

    async def execute(self, command: Command) -> Any:
        """Send a command and return its reply; see `Connections.execute`."""
        if self._closed:
            raise SettingsError("the client is closed")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if loop is not self._loop:
            raise SettingsError("the client belongs to another event loop: make one in each")
        async with self._places:
            connection = self._idle.pop() if self._idle else self._pool.make_connection()
            try:
                reply = await self._ask(connection, connection.pack_command(*command))
            except redis.ResponseError as error:
                await self._put_back(connection)
                raise StoreError(f"feature lookup failed: {error}") from error
            except redis.RedisError as error:
                raise StoreError(f"feature lookup failed: {error}") from error
            except UnicodeEncodeError as error:
                await self._put_back(connection)
                raise SettingsError(f"an id is no text: {error}") from None
            await self._put_back(connection)
            return reply

    async def close(self) -> None:
        """Close the connections; those in use, as soon as they are not."""
        self._closed = True
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    async def _ask(self, connection: Any, packed: Any) -> Any:
        for attempt in range(_TRIES):
            try:
                async with asyncio.timeout(self._seconds):
                    if not connection.is_connected:
                        await connection.connect()
                    await connection.send_packed_command(packed)
                    return await connection.read_response()
            except TimeoutError as error:
                await connection.disconnect(nowait=True)
                if attempt == _TRIES - 1:
                    raise redis.TimeoutError(f"no reply within {self._seconds} s") from error
            except (redis.ConnectionError, redis.TimeoutError):
                await connection.disconnect(nowait=True)
                if attempt == _TRIES - 1:
                    raise
            except redis.ResponseError:
                raise
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
        return None

    async def _put_back(self, connection: Any) -> None:
        if self._closed:
            await connection.disconnect(nowait=True)
        else:
            self._idle.append(connection)


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
    try:
        pool = make(url, **settings)
    except (ValueError, TypeError) as error:
        # The URL itself may hold a password.
        raise SettingsError(f"not the URL of an online store: {error}") from None
    if pool.get_encoder().decode_responses:
        raise SettingsError("rows are bytes: make the client without decode_responses")
    return pool
