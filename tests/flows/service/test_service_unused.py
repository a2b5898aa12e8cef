"""Connections that nothing is asked through are closed, whatever else comes through them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from nextbest.flows.service import protocol
from tests.flows.service.loop_cases import deciding
from tests.flows.service.world import put_rows

LONG = 30.0
"""Seconds; the limits that are meant to end a connection are much shorter."""
GET = b"GET /read HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers what it read, or without reading."""
    body = b""
    if scope["path"] == "/read":
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            body += message.get("body", b"")
    if scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def listening(monkeypatch: pytest.MonkeyPatch, idle: int, rest: float) -> Iterator[int]:
    """The port of a server that lets connections be idle, and bodies be late, for so long."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", LONG)
    monkeypatch.setattr(protocol, "REST_SECONDS", rest)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        untyped: Any = protocol.LimitedProtocol
        server = uvicorn.Server(
            uvicorn.Config(
                app, http=untyped, ws="none", lifespan="off", log_config=None,
                log_level="error", timeout_keep_alive=idle,
            )
        )  # fmt: skip
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
        thread.start()
        try:
            yield taken.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=LONG / 2) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def post(path: str, length: int, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n"
    return head.encode() + body


def answered(sock: socket.socket, body: bytes = b"") -> None:
    """Read one answer."""
    said = b""
    while not said.endswith(b"\r\n\r\n" + body):
        part = sock.recv(4096)
        assert part, said
        said += part
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.count(b"HTTP/1.1 ") == 1


def closes(sock: socket.socket, trickle: bytes = b"") -> None:
    """Wait until a connection is closed, though something comes through it again and again."""
    end = time.monotonic() + LONG / 2
    sock.settimeout(0.1)
    while time.monotonic() < end:
        try:
            if trickle:
                sock.sendall(trickle)
            if not sock.recv(1):
                return
        except TimeoutError:
            continue
        except ConnectionError:
            return
    raise AssertionError("it is still open")


@pytest.mark.parametrize("trickle", [b"", b"\r\n"], ids=["nothing", "lines"])
def test_blank_lines_keep_no_connection_open(
    monkeypatch: pytest.MonkeyPatch, trickle: bytes
) -> None:
    with listening(monkeypatch, idle=1, rest=LONG) as port, connected(port) as sock:
        begun = time.monotonic()
        sock.sendall(GET)
        answered(sock)
        sock.sendall(trickle)
        closes(sock)
        assert time.monotonic() - begun > 0.9
    with listening(monkeypatch, idle=1, rest=LONG) as port, connected(port) as sock:
        sock.sendall(GET)
        answered(sock)
        closes(sock, trickle)


@pytest.mark.parametrize("trickle", [b"", b"x"], ids=["stalls", "trickles"])
def test_a_body_that_nobody_reads_has_to_end_soon(
    monkeypatch: pytest.MonkeyPatch, trickle: bytes
) -> None:
    with listening(monkeypatch, idle=60, rest=0.5) as port, connected(port) as sock:
        begun = time.monotonic()
        sock.sendall(post("/unread", 1000, b"x"))
        answered(sock)
        closes(sock, trickle)
        assert time.monotonic() - begun > 0.4


def test_a_connection_is_as_good_as_new_when_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(monkeypatch, idle=60, rest=1.0) as port, connected(port) as sock:
        for _ in range(2):
            sock.sendall(post("/unread", 5, b"x"))
            answered(sock)
            sock.sendall(b"xx")
            time.sleep(0.05)
            sock.sendall(b"xx")
            time.sleep(1.5)  # its time would be over
            sock.sendall(GET)
            answered(sock)
    with listening(monkeypatch, idle=1, rest=LONG) as port, connected(port) as sock:
        sock.sendall(post("/unread", 5, b"xx"))
        answered(sock)
        sock.sendall(b"xxx")
        closes(sock)


def test_what_is_asked_next_may_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than nothing may be asked."""
    with listening(monkeypatch, idle=1, rest=LONG) as port, connected(port) as sock:
        sock.sendall(GET)
        answered(sock)
        sock.sendall(post("/read", 2, b"a"))
        time.sleep(1.5)
        sock.sendall(b"b")
        answered(sock, b"ab")
        sock.sendall(GET.replace(b"read", b"slow") + GET[:9])  # it begins while another is answered
        answered(sock)
        time.sleep(1.5)
        sock.sendall(GET[9:])
        answered(sock)


def test_so_it_is_with_all_that_the_service_refuses(
    embedded_store: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    put_rows(embedded_store)
    asked = {
        b"401": (b"POST /v1/decide", b"x-api-key: wrong"),
        b"404": (b"POST /v1/nothing", b"x-api-key: right"),
        b"405": (b"PUT /v1/decide", b"x-api-key: right"),
        b"415": (b"POST /v1/decide", b"x-api-key: right"),
    }
    more = {"NEXTBEST_API_KEYS": "right"}
    with (
        deciding(embedded_store, tmp_path_factory.mktemp("unused"), **more) as service,
        contextlib.ExitStack() as stack,
    ):
        socks = []
        for status, (line, key) in asked.items():
            sock = stack.enter_context(connected(service.port))
            head = [line + b" HTTP/1.1", b"host: localhost", key, b"content-length: 1000"]
            sock.sendall(b"\r\n".join([*head, b"", b"x"]))
            assert sock.recv(4096).startswith(b"HTTP/1.1 " + status)
            sock.sendall(b"x")
            socks.append(sock)
        for sock in socks:
            closes(sock)
