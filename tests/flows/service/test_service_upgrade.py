"""A request that asks for another protocol is answered as one that does not."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.flows.service.loop_cases import deciding
from tests.flows.service.world import Service, put_rows

H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB")
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def service(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    put_rows(embedded_store)
    with deciding(embedded_store, tmp_path_factory.mktemp("upgrade")) as service:
        yield service


@pytest.fixture
def sock(service: Service) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def request(customer: str, *lines: str, path: str = "/v1/decide", chunked: bool = False) -> bytes:
    body = json.dumps({"customer": customer, "channel": "web"})
    length = f"content-length: {len(body)}"
    if chunked:
        length, body = "transfer-encoding: chunked", f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"
    head = [f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json"]
    return "\r\n".join([*head, *lines, length, "", body]).encode()


def answers(sock: socket.socket, many: int) -> list[tuple[int, Any]]:
    found = []
    with sock.makefile("rb") as file:
        for _ in range(many):
            status = int(file.readline().split()[1])
            headers = http.client.parse_headers(file)
            found.append((status, json.loads(file.read(int(headers["content-length"])))))
    return found


def nothing_more(sock: socket.socket) -> None:
    """Fail if anything but the answer to one more request comes."""
    sock.sendall(HEALTH)
    assert answers(sock, 1) == [(200, {"status": "up"})]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    "lines",
    [
        H2C,
        tuple(line.lower() for line in H2C),
        ("UPGRADE:websocket", "connection:keep-alive,upgrade"),
        ("upgrade: a/1", "empty:", "upgrade: b/2", "connection: upgrade"),
    ],
    ids=["java", "small", "websocket", "twice"],
)
def test_its_body_is_read(sock: socket.socket, lines: tuple[str, ...], chunked: bool) -> None:
    whose = []
    for customer in ("ann", "ann", "ben"):
        sock.sendall(request(customer, *lines, chunked=chunked))
        ((status, found),) = answers(sock, 1)
        assert (status, found["fallback"]) == (200, None)
        whose.append(found["decision_id"][17:33])
    assert whose[0] == whose[1] != whose[2]
    nothing_more(sock)


def test_its_packets_may_end_anywhere(sock: socket.socket) -> None:
    whole = request("ann", *H2C)
    upgrade, blank = whole.index(b"Upgrade: h2c"), whole.index(b"\r\n\r\n")
    for cuts in ((upgrade + 3,), (upgrade + 9, -5), (blank + 2,), (blank + 4,), (blank + 4, -1)):
        places = [0, *(cut % len(whole) for cut in cuts), len(whole)]
        for begin, end in itertools.pairwise(places):
            sock.sendall(whole[begin:end])
            time.sleep(0.02)
        assert answers(sock, 1)[0][0] == 200
    nothing_more(sock)


def test_a_request_in_its_body_is_none(sock: socket.socket) -> None:
    head = request("ann", *H2C).partition(b"content-length")[0]
    head += b"content-length: %d\r\n\r\n" % len(HEALTH)
    sock.sendall(head + HEALTH)
    assert answers(sock, 1)[0][0] == 400  # it is no JSON
    sock.sendall(head)
    time.sleep(0.05)
    sock.sendall(HEALTH)
    assert answers(sock, 1)[0][0] == 400
    nothing_more(sock)


def test_requests_behind_it_are_answered_in_order(sock: socket.socket) -> None:
    asks = HEALTH.replace(b"\r\n\r\n", b"\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
    sock.sendall(request("ann", *H2C) + asks + request("ben", *H2C) + asks + request("ann"))
    (_, ann), up, (_, ben), again, (_, last) = answers(sock, 5)
    assert up == again == (200, {"status": "up"})
    assert ann["decision_id"][17:33] == last["decision_id"][17:33] != ben["decision_id"][17:33]
    nothing_more(sock)


def test_many_of_them_in_one_packet_are_no_burden(sock: socket.socket) -> None:
    asks = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: h\r\n\r\n"
    sock.sendall(asks * 1500)  # more than Python nests calls
    assert {status for status, _ in answers(sock, 1500)} == {200}


def test_what_follows_a_wish_to_connect_is_not_parsed(sock: socket.socket) -> None:
    wish = b"CONNECT /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n"
    sock.sendall(wish % len(HEALTH) + HEALTH)
    said = b""
    while part := sock.recv(4096):  # until the connection is closed
        said += part
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1
