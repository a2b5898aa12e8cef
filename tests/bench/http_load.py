"""An HTTP load generator in a process of its own: one request, again and again.

``python http_load.py PORT RATE SECONDS CONNECTIONS < REQUEST`` prints one JSON object. With a rate
the loop is open: a request is due at its time whether or not earlier ones were answered, and its
latency counts from then; how late it was asked is told too. With rate 0 each connection asks again
as soon as it is answered. With a fifth number N each ``########`` in the request is one of N
numbers, from 00000000 on, in turn.
"""

from __future__ import annotations

import asyncio
import json
import re
import selectors
import sys
import time
from collections import deque
from typing import Any

import uvloop

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_NUMBER = b"########"


class _Connection(asyncio.Protocol):
    """Asks one thing at a time."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._buffer = b""
        self._left = 0
        self._good = False
        self._due = 0.0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, due: float) -> None:
        self._due = due
        self._transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        if self._left:
            self._left -= len(data)
        else:
            self._buffer += data
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            found = _LENGTH.search(self._buffer, 0, head)
            assert found is not None
            self._good = self._buffer.startswith(b"HTTP/1.1 200")
            self._left = head + 4 + int(found[1]) - len(self._buffer)
            self._buffer = b""
        if self._left:
            return
        good = self._good
        self._load.answered(self, self._due, good)


class _Load:
    """Many connections, and the latencies of what they asked."""

    def __init__(self, request: bytes, rate: float, seconds: float, numbers: int = 0) -> None:
        self._request = request
        self._parts = request.split(_NUMBER)
        self._numbers = numbers
        self._asked = 0
        self.rate = rate
        self.seconds = seconds
        self.latencies: list[float] = []
        self.late = [0.0]
        self.failed = 0
        self._idle: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._end = 0.0

    def next_request(self) -> bytes:
        self._asked += 1
        if not self._numbers:
            return self._request
        parts = self._parts
        begin = self._asked * (len(parts) - 1)
        words = [parts[0]]
        for number, part in enumerate(parts[1:], begin):
            words += (b"%08d" % (number % self._numbers), part)
        return b"".join(words)

    def answered(self, connection: _Connection, due: float, good: bool) -> None:
        now = time.perf_counter()
        self.latencies.append(now - due)
        self.failed += not good
        if not self.rate:
            if now < self._end:
                connection.ask(now)
        elif self._due:
            connection.ask(self._due.popleft())
        else:
            self._idle.append(connection)

    async def run(self, port: int, connections: int) -> dict[str, float]:
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, made = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", port)
            self._idle.append(made)
        began = time.perf_counter()
        self._end = began + self.seconds
        if self.rate:
            await self._open(began)
        else:
            for connection in self._idle:
                connection.ask(began)
            await asyncio.sleep(self.seconds)
        took = time.perf_counter() - began
        ordered = sorted(self.latencies)
        return {
            "rps": len(ordered) / took,
            "p50_ms": 1e3 * ordered[len(ordered) // 2],
            "p99_ms": 1e3 * ordered[len(ordered) * 99 // 100],
            "late_p99_ms": 1e3 * sorted(self.late)[len(self.late) * 99 // 100],
            "failed": self.failed,
            "asked": self._asked,
        }

    async def _open(self, began: float) -> None:
        sent, count = 0, int(self.seconds * self.rate)
        while sent < count:
            now = time.perf_counter()
            while sent < count and began + sent / self.rate <= now:
                due = began + sent / self.rate
                self.late.append(now - due)
                if self._idle:
                    self._idle.popleft().ask(due)
                else:
                    self._due.append(due)
                sent += 1
            await asyncio.sleep(max(0.0, began + sent / self.rate - time.perf_counter()))
        while len(self.latencies) < count and time.perf_counter() < self._end + 10:
            await asyncio.sleep(0.01)


def _precise() -> asyncio.AbstractEventLoop:
    """Return a loop whose timers are exact: those of others count in milliseconds."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:]]
    made = _Load(sys.stdin.buffer.read(), given[1], given[2], int(given[4]) if given[4:] else 0)
    loop_of = _precise if made.rate else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_of) as runner:
        print(json.dumps(runner.run(made.run(int(given[0]), int(given[3])))))
