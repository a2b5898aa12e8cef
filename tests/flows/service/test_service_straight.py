"""A decision that needs no task is answered as any other, however its request comes."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.flows.service.loop_cases import deciding
from tests.flows.service.world import Service, put_rows


@pytest.fixture(scope="module")
def service(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    put_rows(embedded_store)
    with deciding(
        embedded_store, tmp_path_factory.mktemp("straight"), NEXTBEST_DECIDE_SECONDS="20"
    ) as service:
        yield service


@pytest.fixture
def sock(service: Service) -> Iterator[socket.socket]:
    port = int(service.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        yield sock


def request(customer: str, *lines: str, channel: str = "web", **more: Any) -> bytes:
    body = json.dumps({"customer": customer, "channel": channel, **more})
    head = ["POST /v1/decide HTTP/1.1", "host: localhost", "content-type: application/json"]
    return "\r\n".join([*head, *lines, f"content-length: {len(body)}", "", body]).encode()


def answers(sock: socket.socket, many: int) -> list[tuple[int, Any]]:
    """Read so many answers: their status and what they say."""
    found = []
    with sock.makefile("rb") as file:
        for _ in range(many):
            status = int(file.readline().split()[1])
            headers = http.client.parse_headers(file)
            found.append((status, json.loads(file.read(int(headers["content-length"])))))
    return found


@pytest.mark.parametrize(
    "cuts", [(), (30,), (-20,), (-1,), (30, -20, -3)], ids=["whole", "head", "body", "end", "parts"]
)
def test_packets_may_end_anywhere(sock: socket.socket, cuts: tuple[int, ...]) -> None:
    whole = request("ann", n=2)
    places = [0, *(cut % len(whole) for cut in cuts), len(whole)]
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for begin, end in itertools.pairwise(places):
        sock.sendall(whole[begin:end])
    ((status, found),) = answers(sock, 1)
    assert (status, found["fallback"], found["repeated"]) == (200, None, False)
    sock.sendall(request("ben"))  # the connection is as good as new
    assert answers(sock, 1)[0][1]["decision_id"][17:33] != found["decision_id"][17:33]


def test_a_head_that_was_there_before_is_good_for_any_body(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ann, ben = request("ann"), request("ben")
    assert ann.partition(b"\r\n\r\n")[0] == ben.partition(b"\r\n\r\n")[0]
    theirs = []
    for sent in (ann, ann, ben, request("carla"), ben):
        sock.sendall(sent)
        ((status, found),) = answers(sock, 1)
        assert (status, found["fallback"]) == (200, None)
        theirs.append(found["decision_id"][17:33])
    assert theirs[0] == theirs[1] != theirs[2] == theirs[4] != theirs[3]
    sock.sendall(ann + ben)  # behind one another
    assert [one["decision_id"][17:33] for _, one in answers(sock, 2)] == theirs[1:3]
    sock.sendall(ben[:-5])
    time.sleep(0.05)
    sock.sendall(ben[-5:])  # cut
    assert answers(sock, 1)[0][1]["decision_id"][17:33] == theirs[2]
    sock.sendall(ann.replace(b'"ann"', b"ann!!"))
    assert answers(sock, 1)[0][0] == 400
    sock.sendall(ann)
    assert answers(sock, 1)[0][1]["decision_id"][17:33] == theirs[0]


def test_requests_behind_one_another_are_answered_in_order(sock: socket.socket) -> None:
    health = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    bad = request("cat", channel="none")
    sock.sendall(request("dan") + health + bad + request("eve", explain=True))
    (_, dan), (status, healthy), (refused, why), (_, eve) = answers(sock, 4)
    assert dan["fallback"] is None
    assert "reasons" not in dan["offers"][0]
    assert (status, healthy["status"]) == (200, "up")
    assert (refused, why["errors"][0]["path"]) == (422, "$.channel")
    assert eve["offers"][0]["reasons"]


@pytest.mark.parametrize(
    ("sent", "status", "kind"),
    [
        (request("ann", channel="none"), 422, "invalid-request"),
        (request("ann", n=0), 422, "invalid-request"),
        (request("ann", context={"far": 2**60}), 422, "invalid-request"),
        (request("ann").replace(b'"ann"', b"ann!!"), 400, "malformed-request"),
        (request("ann").replace(b"/json", b"/xml"), 415, "unsupported-media-type"),
        (request("ann").replace(b"host: localhost", b"host: evil.example"), 421, "misdirected"),
        (request("ann").replace(b"POST", b"PUT"), 405, "method-not-allowed"),
    ],
    ids=["channel", "number", "context", "json", "type", "host", "method"],
)
def test_what_is_wrong_is_said(sock: socket.socket, sent: bytes, status: int, kind: str) -> None:
    sock.sendall(sent)
    ((got, problem),) = answers(sock, 1)
    assert (got, problem["type"]) == (status, f"/docs#{kind}")


def test_a_connection_that_is_to_close_is_closed_behind_the_answer(sock: socket.socket) -> None:
    sock.sendall(request("ann", "connection: close"))
    assert answers(sock, 1)[0][0] == 200
    assert sock.recv(1) == b""


def test_who_waits_for_the_go_ahead_gets_it(sock: socket.socket) -> None:
    head, blank, body = request("ann", "expect: 100-continue").partition(b"\r\n\r\n")
    sock.sendall(head + blank)
    assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
    sock.sendall(body)
    assert answers(sock, 1)[0][0] == 200


def test_a_decision_under_way_is_answered_at_the_end(
    service: Service, sock: socket.socket, embedded_store: str
) -> None:
    with redis.Redis.from_url(embedded_store) as store:
        store.client_pause(100_000, all=False)  # the service waits for what it would write
        sock.sendall(request("ann"))
        while not any("b" in one["flags"] for one in store.client_list()):
            time.sleep(0.01)
        service.process.terminate()
        time.sleep(0.1)
        store.client_unpause()
        ((status, found),) = answers(sock, 1)
    assert (status, found["fallback"]) == (200, None)
    assert sock.recv(1) == b""
    assert service.process.wait(200) == 0
