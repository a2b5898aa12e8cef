"""HTTP/1.1 as uvicorn speaks it, with limits to how long and how slow requests may be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Any, NamedTuple

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

HEAD_BYTES = 64 << 10
HEAD_SECONDS = 10.0
REST_SECONDS = 5.0
"""How long a body may go on to come after its request was answered, and the answer be read."""

_MOST_HEADS, _LONGEST_HEAD = 8, 4096
"""Heads that a connection remembers, and bytes of each."""

Begin = Callable[..., bool]
"""What an application may have beside ``__call__``, to answer without a task: of a request's scope
and its whole body, what to send with, and what runs a coroutine. False: it is for ``__call__``."""


class _Head(NamedTuple):
    """What the parser made of a request's head, and how long the body is."""

    scope: Any
    length: int


class LimitedProtocol(HttpToolsProtocol):
    """Closes connections whose requests do not end, or that nothing is asked through.

    An application sees to the bodies that it reads; here it is heads, and bodies that nobody reads.
    It upgrades to nothing.

    Clients send the same head again and again. What was made of one is remembered, byte by byte:
    to parse it anew would cost as much as a lookup.
    """

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        self._heads: dict[bytes, _Head] = {}
        self._packet: bytes | None = None
        self._between = True
        self._idle_since: float | None = None
        self._head_bytes = 0
        self._in_head = False
        self._fresh = False
        self._held: RequestResponseCycle | None = None
        self._begin: Begin | None = getattr(self.app, "begin", None)
        self._timer: asyncio.TimerHandle | None = None
        one: Any = _OneWrite(transport, self.loop)
        super().connection_made(one)
        self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes in."""
        if self._between:
            if self._heads and self.cycle.response_complete:
                cut = data.find(b"\r\n\r\n") + 4
                head = self._heads.get(data[:cut])
                if head is not None and len(data) == cut + head.length:
                    self._again(head, data[cut:])
                    return
            self._packet = data
        self._feed(data)
        self._packet = None
        held = self._held
        if held is not None:  # a task waits for the rest of its body
            self._held = None
            super()._start_asgi_task(held, self.app)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self.send_400_response(f"More than {HEAD_BYTES} bytes of headers.")
        elif self._timer is None:
            self._wait(HEAD_SECONDS)

    def _feed(self, data: bytes) -> None:
        """Parse bytes. A request to upgrade is parsed as one that does not ask for it."""
        rest: bytes | memoryview | None = data
        try:
            while rest is not None:
                rest = self._parse(rest)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _parse(self, data: bytes | memoryview) -> memoryview | None:
        """Parse bytes; return those behind a head that asked for an upgrade.

        The parser takes them for another protocol's, though RFC 9110 (7.8) lets a server ignore
        such a wish: they are the request's body. There is no telling the parser, so another one is
        given the head without it.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as asked:
            method = self.parser.get_method()
            if method == b"CONNECT":  # what follows is for somebody else
                self.send_400_response("There is nothing to connect to.")
                return None
            lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
            lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))
            begin: int = asked.args[0]
            return memoryview(data)[begin:]
        return None

    def on_message_begin(self) -> None:
        """A request begins."""
        # Only now: blank lines are no use of a connection, nor is a body that nobody reads.
        self._in_head, self._between, self._idle_since = True, False, None
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        if self.parser.should_upgrade():
            return  # it comes again, without
        self._in_head = False
        if self._timer is not None:
            self._wait_no_more()
        self._fresh = True
        super().on_headers_complete()
        self._fresh = False

    def on_message_complete(self) -> None:
        """A request is whole: the application may begin to answer at once."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._between = True
        if self._timer is not None:  # it was answered before
            self._wait_no_more()
            self._idle()
        packet, self._packet = self._packet, None
        held = self._held
        if held is not None:
            self._held = None
            assert self._begin is not None
            if not self._begin(held.scope, held.body, held.send, self._run):
                super()._start_asgi_task(held, self.app)
            elif packet is not None and len(self._heads) < _MOST_HEADS:
                self._remember(held.scope, packet, held.body)

    def on_response_complete(self) -> None:
        """An answer is whole."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            super()._start_asgi_task(*self.pipeline.pop())
        elif self._between:
            self._idle()
        elif self._timer is None:  # nobody reads what is left of its body
            self._wait(REST_SECONDS)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection if it is not used; see again later if it was used meanwhile."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left <= 0.0:
            self._close()
        else:
            self._watch(left)

    def _idle(self) -> None:
        # One timer for many pauses: most end soon.
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._watch(self.timeout_keep_alive)

    def _watch(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def _remember(self, scope: Any, packet: bytes, body: bytearray) -> None:
        """Remember the head of a request that was all of a packet, and needed no task."""
        cut = len(packet) - len(body)
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        if (
            cut <= _LONGEST_HEAD
            and packet.find(b"\r\n\r\n") + 4 == cut
            and lengths == [b"%d" % len(body)]
            and all(name != b"transfer-encoding" for name, _ in scope["headers"])
            and self.limit_concurrency is None
        ):
            kept = {**scope, "headers": scope["headers"].copy()}
            self._heads[packet[:cut]] = _Head(kept, len(body))

    def _again(self, head: _Head, body: bytes) -> None:
        """Take a request whose head was there before."""
        self._idle_since = None
        scope = head.scope.copy()
        scope["headers"], scope["state"] = scope["headers"].copy(), self.app_state.copy()
        cycle = self.cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=True,
            on_response=self.on_response_complete,
        )
        assert self._begin is not None
        if not self._begin(scope, body, cycle.send, self._run):
            cycle.body += body
            cycle.more_body = False
            cycle.message_event.set()
            super()._start_asgi_task(cycle, self.app)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Start it, unless it may turn out that the request needs no task."""
        # What was sent behind another request waited for its turn: it is not fresh.
        if (
            self._fresh
            and self._begin is not None
            and app is self.app
            and cycle.keep_alive
            and not cycle.waiting_for_100_continue
        ):
            self._held = cycle
        else:
            super()._start_asgi_task(cycle, app)

    def _run(self, answer: Coroutine[Any, Any, None]) -> None:
        """Do what is left of an answer in a task, which the server waits for at its end."""
        task = self.loop.create_task(answer)
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _wait(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._close)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()


class _OneWrite:
    """A transport that sends an answer's head and its body as one packet.

    To the server they are two writes, each of which would cost as much as the lookup between them.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Send what was held back and this; or hold it back until the loop's next turn."""
        if self._head:
            data, self._head = self._head + data, b""
            self._transport.write(data)
        elif data.startswith(b"HTTP/"):
            self._head = data
            # A head without a body is not waited for.
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def write_whole(self, data: bytes) -> None:
        """Send an answer's head and its body."""
        if self._head:
            data, self._head = self._head + data, b""
        self._transport.write(data)

    def close(self) -> None:
        """Close when all is sent."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            data, self._head = self._head, b""
            if not self._transport.is_closing():
                self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def send_whole(send: Any, status: int, head: bytes, body: bytes) -> bool:
    """Send an answer at once, if nothing is special about it; return whether it was.

    The server's own way is for answers in any number of parts, and costs more than most answers.

    Parameters
    ----------
    send
        What the application was given to send with.
    head
        The lines of the headers, among them the body's length.
    """
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle):
        return False
    transport: Any = cycle.transport
    if (
        cycle.response_started
        or cycle.disconnected
        or not cycle.keep_alive
        or cycle.flow.write_paused
        or cycle.scope["method"] == "HEAD"
        or not isinstance(transport, _OneWrite)
    ):
        return False
    own = _own_headers(tuple(cycle.default_headers))
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    transport.write_whole(b"%b%b%b\r\n%b" % (STATUS_LINE[status], own, head, body))
    cycle.message_event.set()
    cycle.on_response()
    return True


@lru_cache(maxsize=4)
def _own_headers(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Return the server's headers as lines: they are other ones once a second."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])
