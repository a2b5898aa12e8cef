"""HTTP/1.1 as uvicorn speaks it, with a limit to how long and how slow a request's head may be."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

HEAD_BYTES = 64 << 10
HEAD_SECONDS = 10.0


class LimitedProtocol(HttpToolsProtocol):
    """Closes connections whose request line and headers do not end."""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        self._head_bytes = 0
        self._in_head = False
        self._timer: asyncio.TimerHandle | None = None
        one: Any = _OneWrite(transport, self.loop)
        super().connection_made(one)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes in."""
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self.send_400_response(f"More than {HEAD_BYTES} bytes of headers.")
        elif self._timer is None:
            self._wait()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._in_head = False
        if self._timer is not None:
            self._wait_no_more()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._close)

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
    own = b"".join([b"%b: %b\r\n" % header for header in cycle.default_headers])
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    transport.write_whole(b"%b%b%b\r\n%b" % (STATUS_LINE[status], own, head, body))
    cycle.message_event.set()
    cycle.on_response()
    return True
