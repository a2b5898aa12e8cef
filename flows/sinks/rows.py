"""Writing rows to the online store: commands that are encoded already, sent as they are."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import redis
from bytewax.outputs import StatefulSinkPartition
from numpy.typing import NDArray

from ...features.errors import StoreError
from ..connection import pool, store_errors, without_password
from .base import KeyedSink

_SLICE_BYTES = 16 << 10  # fits into any socket that says it has room


@dataclass(frozen=True, slots=True)
class RowFlush:
    """Rows of one shard, encoded.

    Attributes
    ----------
    payload
        Whole RESP commands, one after the other. Bytes or a contiguous uint8 array if the
        item may travel between processes; a memoryview only within one.
    replies
        How many commands, and so replies, that is.
    rows
        How many rows they write.
    received
        When the oldest event in them was received, ``time.perf_counter`` seconds, or None.
    """

    payload: bytes | memoryview | NDArray[np.uint8]
    replies: int
    rows: int
    received: float | None = None


class RowSink(KeyedSink[RowFlush, int]):
    """Sends rows to the store; when an epoch ends, every command has been answered.

    The rows hold absolute, versioned values, so writing one twice after a crash is harmless.
    All partitions of a worker share one connection. Replies are read while later commands
    are on their way, and all of them in `snapshot()`.

    Parameters
    ----------
    url
        The store, as `redis.Redis.from_url` takes it: user, password, TLS and unix sockets
        are the client library's business.
    parts
        Shards, as their number or their names.
    outstanding
        Replies that may be unread, at most, after a flush.
    timeout
        Seconds to wait for the store, for a reply or for room to send.
    on_stored
        Called with the rows of a flush, and the seconds from receiving its oldest event until
        the store had answered it.

    Raises
    ------
    StoreError
        The store is away or refused a command; with its own words.

    Examples
    --------
    >>> command = b"*3\\r\\n$3\\r\\nSET\\r\\n$1\\r\\nk\\r\\n$1\\r\\nv\\r\\n"
    >>> flush = RowFlush(command, replies=1, rows=1)
    >>> sink = RowSink("redis://localhost:6379", parts=16)
    >>> part = sink.build_part("rows", "0", None)  # doctest: +SKIP
    >>> part.write_batch([flush]); part.snapshot()  # doctest: +SKIP
    1
    """

    def __init__(
        self,
        url: str,
        parts: int | Sequence[str] = 16,
        *,
        outstanding: int = 2_000,
        timeout: float = 30.0,
        on_stored: Callable[[int, float], None] | None = None,
    ) -> None:
        super().__init__(parts)
        self._on_stored = on_stored
        self._url = url
        self._outstanding = outstanding
        self._timeout = timeout
        # A worker is a thread, and a connection must stay with one.
        self._wires: dict[int, _Wire] = {}

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _RowPartition:
        """A partition on this worker's connection; `resume_state` counts rows."""
        thread = threading.get_ident()
        wire = self._wires.get(thread)
        if wire is None or wire.closed:
            wire = _Wire(self._url, self._outstanding, self._timeout, self._on_stored)
            self._wires[thread] = wire
        wire.users += 1
        return _RowPartition(wire, resume_state or 0)


class _RowPartition(StatefulSinkPartition[RowFlush, int]):
    def __init__(self, wire: _Wire, rows: int) -> None:
        self._wire = wire
        self.rows = rows

    def write_batch(self, items: list[RowFlush]) -> None:
        for flush in items:
            self._wire.send(flush)
            self.rows += flush.rows

    def snapshot(self) -> int:
        self._wire.drain()
        return self.rows

    def close(self) -> None:
        self._wire.leave()


class _Connection(Protocol):
    """What is used of redis-py's connections; the socket only to wait for it."""

    _sock: socket.socket

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def send_packed_command(self, command: list[Any], check_health: bool) -> None: ...
    def can_read(self, timeout: float) -> bool: ...
    def read_response(self) -> object: ...


class _Wire:
    """One connection on which replies may lag behind commands."""

    def __init__(
        self,
        url: str,
        outstanding: int,
        timeout: float,
        on_stored: Callable[[int, float], None] | None,
    ) -> None:
        self._url = url
        self._on_stored = on_stored
        self._awaited: deque[tuple[int, int, float]] = deque()  # last reply, rows, received
        self._outstanding = outstanding
        self._timeout = timeout
        self._owed = 0
        self._answered = 0
        self.users = 0
        self.closed = False
        self._connection = cast(
            _Connection,
            pool(url, seconds=timeout).make_connection(),
        )
        self._poll = select.poll()
        with self._closing_on_error():
            self._connect()

    def send(self, flush: RowFlush) -> None:
        """Send a flush, reading what has been answered meanwhile.

        Sent in slices, each when there is room for it, and replies are taken as they come:
        a peer that reads no further before its replies are taken never waits for us while
        we wait for it.
        """
        payload = memoryview(cast(bytes, flush.payload)).cast("B")
        with self._closing_on_error():
            if not self._owed and self._state(0) & ~select.POLLOUT:
                # Nothing is owed, so this is the end: a store may hang up on idle clients.
                self._connect()
            self._owed += flush.replies
            if self._on_stored is not None and flush.received is not None and flush.replies:
                self._awaited.append((self._answered + self._owed, flush.rows, flush.received))
            for start in range(0, len(payload), _SLICE_BYTES):
                self._wait_for_room()
                piece = payload[start : start + _SLICE_BYTES]
                self._connection.send_packed_command([piece], check_health=False)
            while self._owed > self._outstanding:
                self._read()

    def drain(self) -> None:
        """Wait for every reply that is owed."""
        with self._closing_on_error():
            while self._owed:
                self._read()

    def leave(self) -> None:
        """One user fewer; the last one closes the connection, when all is answered."""
        self.users -= 1
        if self.users == 0 and not self.closed:
            self.drain()
            self.closed = True
            self._connection.disconnect()

    def _connect(self) -> None:
        self._connection.disconnect()
        self._connection.connect()
        self._poll = select.poll()
        self._poll.register(self._connection._sock, select.POLLIN | select.POLLOUT)

    def _state(self, seconds: float) -> int:
        """What the socket is ready for, 0 if nothing within `seconds`."""
        return next((state for _, state in self._poll.poll(seconds * 1000)), 0)

    def _wait_for_room(self) -> None:
        end = time.monotonic() + self._timeout
        while True:
            state = self._state(max(0.0, end - time.monotonic()))
            if state & select.POLLIN:
                while self._owed and self._connection.can_read(0):
                    self._read()
                if not self._owed and not state & select.POLLOUT:
                    return  # unasked-for bytes, or the end: sending tells
            if state & ~select.POLLIN:
                return
            if not state:
                raise redis.TimeoutError("no room to send")

    def _read(self) -> None:
        self._connection.read_response()
        self._owed -= 1
        self._answered += 1
        while self._awaited and self._awaited[0][0] <= self._answered:
            _, rows, received = self._awaited.popleft()
            if self._on_stored is not None:
                self._on_stored(rows, time.perf_counter() - received)

    @contextlib.contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        if self.closed:
            raise StoreError(f"{without_password(self._url)}: closed after an earlier failure")
        try:
            with store_errors(self._url):
                yield
        except BaseException:
            # Commands and replies can no longer be matched on this connection.
            self.closed = True
            self._connection.disconnect()
            raise
