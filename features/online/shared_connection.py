"""A connection that any number of coroutines share: replies are matched to commands in order.

redis-py makes, secures and authenticates it; then its transport is taken over, as the streams on
top of it cost more than a lookup. When anything goes wrong all who wait for a reply are told, and
the next command finds a new connection: a reply never answers another command.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import hiredis
import redis

_CLOSING_SECONDS = 1.0
_MORE = object()
"""What the parser returns while a reply is not whole."""


class SharedConnection:
    """A connection of one event loop, made when it is needed and again when it was lost.

    Parameters
    ----------
    pool
        A ``redis.asyncio.ConnectionPool``: its settings are used.
    seconds
        For connecting, and for each reply.
    """

    def __init__(self, pool: Any, seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds
        self._wire: _Wire | None = None
        self._opening: asyncio.Task[None] | None = None

    async def ask(self, packed: bytes) -> Any:
        """Send a command and return its reply.

        Raises
        ------
        redis.ResponseError
            When the store refuses.
        redis.RedisError
            When it is away.
        """
        wire = self._wire
        if wire is None or wire.lost:
            await self._connect()
            wire = self._wire
            if wire is None or wire.lost:
                raise redis.ConnectionError("the connection was closed at once")
        reply = await wire.ask(packed)
        if isinstance(reply, redis.ResponseError):
            raise reply
        return reply

    async def close(self) -> None:
        """Close it as soon as nobody waits for a reply; wait until it is, if nobody does."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.sleep(0)
        if self._wire is not None:
            self._wire.finish()
            if self._wire.lost:
                await self._wire.closed()

    async def _connect(self) -> None:
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())
            self._opening.add_done_callback(self._opened)
        opening = self._opening
        try:
            # Whoever gives up must not take the connection from the others.
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            if opening.cancelled():
                raise redis.ConnectionError("the client was closed") from None
            raise

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening = None
        if not task.cancelled():
            task.exception()  # nobody may be left whom it would be raised to

    async def _open(self) -> None:
        connection = self._pool.make_connection()
        try:
            async with asyncio.timeout(self._seconds):
                await connection.connect()
        except TimeoutError as error:
            await connection.disconnect(nowait=True)
            raise redis.TimeoutError(f"no connection within {self._seconds} s") from error
        except asyncio.CancelledError:
            await connection.disconnect(nowait=True)
            raise
        # The replies of the handshake have been read: all that comes now is ours.
        writer = connection._writer
        connection._reader = connection._writer = None
        self._wire = _Wire(writer, self._seconds)


class _Wire(asyncio.Protocol):
    """The bytes of one connection."""

    def __init__(self, writer: asyncio.StreamWriter, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._writer = writer  # it would close the transport if it were forgotten
        self._transport: Any = writer.transport
        self._seconds = seconds
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._unsent: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._finishing = False
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._replies = hiredis.Reader(
            protocolError=redis.InvalidResponse,
            replyError=redis.ResponseError,
            notEnoughData=_MORE,
        )
        self.lost = self._transport.is_closing()
        self._transport.set_protocol(self)

    def ask(self, packed: bytes) -> asyncio.Future[Any]:
        """Send a command; the future is its reply, which may be an error that the store told."""
        loop = self._loop
        reply: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((reply, loop.time() + self._seconds))
        if not self._unsent:
            # Commands of the same turn of the loop go out as one packet.
            loop.call_soon(self._send)
        self._unsent.append(packed)
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._check_time)
        return reply

    def finish(self) -> None:
        """Close when the last reply is there."""
        self._finishing = True
        if not self._waiting:
            self._lose(redis.ConnectionError("the client was closed"))

    async def closed(self) -> None:
        """Wait until what was lost is closed: TLS says goodbye and is answered, as a rule."""
        await asyncio.wait([self._gone], timeout=_CLOSING_SECONDS)
        if not self._gone.done():
            self._transport.abort()
            await asyncio.sleep(0)  # the socket closes in the loop's next turn

    def data_received(self, data: bytes) -> None:
        """Hand out the replies that are whole."""
        replies, waiting = self._replies, self._waiting
        try:
            replies.feed(data)
            while (reply := replies.gets()) is not _MORE:
                if isinstance(reply, hiredis.PushNotification):
                    continue
                future, _ = waiting.popleft()
                if not future.done():  # it may have been given up
                    future.set_result(reply)
        except (redis.InvalidResponse, IndexError) as error:
            self._lose(redis.InvalidResponse(f"not what the store may say: {error}"))
        if self._finishing and not waiting:
            self.finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait."""
        if not self._gone.done():
            self._gone.set_result(None)
        self._lose(redis.ConnectionError(f"the connection was closed: {exc or 'by the store'}"))

    def _send(self) -> None:
        if not self.lost:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _check_time(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        _, until = self._waiting[0]
        if until > self._loop.time():
            self._timer = self._loop.call_at(until, self._check_time)
        else:
            self._lose(redis.TimeoutError(f"no reply within {self._seconds} s"))

    def _lose(self, why: redis.RedisError) -> None:
        self.lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            self._transport.abort()
        else:
            self._transport.close()
        while self._waiting:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(why)
