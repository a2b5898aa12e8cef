"""One connection to the online store on which replies may lag behind commands."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

import redis

from ...features.errors import StoreError
from ...features.store_url import without_password
from ..connection import explained, passes, pool
from ..resp import encode_command
from ..telemetry import tracing
from .flush import RowFlush
from .outage import Outage, Patience

_SLICE_BYTES = 16 << 10  # fits into any socket that says it has room
KEPT_BYTES = 32 << 20
"""Bytes of commands that may be unanswered, unless one flush alone is larger."""

_PING = encode_command(b"PING")


class _Connection(Protocol):
    """What is used of redis-py's connections; the socket only to wait for it."""

    _sock: socket.socket

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def send_packed_command(self, command: list[Any], check_health: bool) -> None: ...
    def can_read(self, timeout: float) -> bool: ...
    def read_response(self) -> object: ...


@dataclass(slots=True, eq=False)
class Sent:
    """A flush on its way: how many of its replies are owed, and how far it has got."""

    flush: RowFlush
    owed: int = 0
    answered: bool = False  # the rows were; only then the closing mark is sent
    settled: bool = False  # all of it was
    told: bool = False

    @property
    def payload(self) -> memoryview:
        """The bytes of its rows."""
        return memoryview(cast(bytes, self.flush.payload)).cast("B")


class Wire:
    """Sends flushes in order and keeps each until it was answered.

    Where the store goes away, the wire waits for it as long as `patience` says, and sends again
    what was not answered; see `nextbest.flows.publication` for the order of marks and rows.

    Parameters
    ----------
    url
        The store.
    outstanding
        Replies that may be unread, at most, after a flush.
    timeout
        Seconds to wait for an answer or for room to send.
    patience
        How outages are met.
    on_stored
        See `RowSink`.

    Raises
    ------
    StoreError
        The store is away at the start, refuses a command, or stays away for too long.
    """

    def __init__(
        self,
        url: str,
        outstanding: int,
        timeout: float,
        patience: Patience,
        on_stored: Callable[[int, float], None] | None,
    ) -> None:
        self._url = url
        self._outstanding = outstanding
        self._timeout = timeout
        self._patience = patience
        self._on_stored = on_stored
        self._kept: deque[Sent] = deque()  # not settled, in order
        self._kept_bytes = 0
        self._expected: deque[Sent] = deque()  # whose replies come next, in order
        self._due: list[Sent] = []  # whose closings are to be sent
        self._owed = 0
        self.users = 0
        self.closed = False
        self._connection = cast(_Connection, pool(url, seconds=timeout).make_connection())
        self._poll = select.poll()
        with self._closing_on_error():
            try:
                self._connect()
            except redis.BusyLoadingError as error:
                # A store that is loading will be there; one that is away may never have been.
                self._recover(error)

    def send(self, flush: RowFlush, after: Sent | None = None) -> Sent:
        """Send a flush when `after` is settled, reading what has been answered meanwhile.

        Sent in slices, each when there is room for it, and replies are taken as they come:
        a peer that reads no further before its replies are taken never waits for us while
        we wait for it.
        """
        sent = Sent(flush)
        with self._closing_on_error(), self._surviving():
            if not self._owed and self._state(0) & ~select.POLLOUT:
                # Nothing is owed, so this is the end: a store may hang up on idle clients.
                self._reconnect()
            if after is not None:
                self._settle(lambda: after.settled)
            self._settle(
                lambda: not self._kept or self._kept_bytes + len(sent.payload) <= KEPT_BYTES
            )
        with self._closing_on_error(), self._surviving():
            self._kept.append(sent)
            self._kept_bytes += len(sent.payload)
            self._transmit(sent)
            while self._owed > self._outstanding:
                self._read()
        return sent

    def drain(self) -> None:
        """Wait until every flush is settled."""
        with self._closing_on_error(), self._surviving():
            self._settle(lambda: not self._kept)

    def leave(self) -> None:
        """One user fewer; the last one closes the connection.

        Every epoch ends in a drain before: what is unanswered here belongs to a run that failed,
        and the engine does not bear an error of a sink that it closes.
        """
        self.users -= 1
        if self.users == 0 and not self.closed:
            self.closed = True
            self._connection.disconnect()

    def _transmit(self, sent: Sent) -> None:
        flush = sent.flush
        head = self._closings()
        sent.answered, sent.owed = False, 0
        self._owe(sent, flush.replies + (flush.marks is not None))
        if flush.marks is not None:
            head.append(flush.marks.opening)
        if len(sent.payload) <= _SLICE_BYTES:
            # Each message wakes the server: closings, opening and a few rows are one.
            self._put(memoryview(b"".join([*head, sent.payload])))
        else:
            self._put(memoryview(b"".join(head)))
            self._put(sent.payload)
        if not sent.owed:
            self._answered(sent)

    def _owe(self, sent: Sent, replies: int) -> None:
        if replies:
            sent.owed += replies
            self._owed += replies
            self._expected.append(sent)

    def _put(self, data: memoryview) -> None:
        for start in range(0, len(data), _SLICE_BYTES):
            self._wait_for_room()
            piece = data[start : start + _SLICE_BYTES]
            self._connection.send_packed_command([piece], check_health=False)

    def _read(self) -> None:
        """Take one reply."""
        self._connection.read_response()
        sent = self._expected[0]
        self._owed -= 1
        sent.owed -= 1
        if not sent.owed:
            self._expected.popleft()
            self._answered(sent)

    def _answered(self, sent: Sent) -> None:
        """What was owed for `sent` is here: for its rows, or then for its closing mark."""
        flush = sent.flush
        sent.settled = sent.answered or flush.marks is None
        sent.answered = True
        if not sent.settled:
            self._due.append(sent)
        if not sent.told and flush.received is not None and flush.replies:
            sent.told = True
            if flush.traced:
                tracing.stored(flush.traced)
            if self._on_stored is not None:
                self._on_stored(flush.rows, time.perf_counter() - flush.received)
        while self._kept and self._kept[0].settled:
            self._kept_bytes -= len(self._kept.popleft().payload)

    def _settle(self, enough: Callable[[], bool]) -> None:
        """Read replies and send closings until it is `enough`."""
        while not enough():
            self._close_answered()
            if not self._owed:
                break
            self._read()

    def _close_answered(self) -> None:
        self._put(memoryview(b"".join(self._closings())))

    def _closings(self) -> list[bytes]:
        """Take the closing marks that are due, to be sent next."""
        due, self._due = self._due, []
        closings = []
        for sent in due:
            if sent.flush.marks is not None:
                self._owe(sent, 1)
                closings.append(sent.flush.marks.closing)
        return closings

    def _connect(self) -> None:
        self._connection.disconnect()
        self._expected.clear()
        self._due.clear()
        self._owed = 0
        self._connection.connect()
        self._poll = select.poll()
        self._poll.register(self._connection._sock, select.POLLIN | select.POLLOUT)
        # A server that loads its data accepts connections and refuses commands.
        self._connection.send_packed_command([_PING], check_health=False)
        self._connection.read_response()

    def _reconnect(self) -> None:
        """Connect, and send again what was not settled."""
        self._connect()
        while self._kept:
            first = self._kept[0]
            self._transmit(first)
            self._settle(lambda first=first: first.settled)  # type: ignore[misc]  # bound now

    def _recover(self, error: redis.RedisError) -> None:
        """Wait until the store is back and has what was not settled."""
        self._connection.disconnect()
        outage = Outage(self._patience, self._url, error)
        while True:
            outage.wait()
            try:
                self._reconnect()
            except redis.RedisError as again:
                if not passes(again):
                    raise
                self._connection.disconnect()
                outage.goes_on(again)
            else:
                outage.ends()
                return

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

    @contextlib.contextmanager
    def _surviving(self) -> Iterator[None]:
        """Meet an outage in the block by waiting and sending again all that is kept."""
        try:
            yield
        except redis.RedisError as error:
            if not passes(error):
                raise
            self._recover(error)

    @contextlib.contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        if self.closed:
            raise StoreError(f"{without_password(self._url)}: closed after an earlier failure")
        try:
            yield
        except BaseException as error:
            # Commands and replies can no longer be matched on this connection.
            self.closed = True
            self._connection.disconnect()
            if isinstance(error, redis.RedisError):
                raise explained(self._url, error) from error
            raise
