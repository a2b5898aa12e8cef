"""Connections: used again while they are good, and never with a reply of an earlier command."""

from __future__ import annotations

import multiprocessing
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from nextbest.features import SettingsError, StoreError
from nextbest.features.online import FeatureClient
from nextbest.features.online.connections import Connections
from tests.features.online_cases import EVENTS, NOW, catalog, write_rows


@pytest.fixture
def connections(store_url: str) -> Iterator[Connections]:
    made = Connections(store_url, 5.0)
    yield made
    made.close()


def opened(store: redis.Redis) -> int:
    """How many connections the server has ever taken."""
    return int(store.info("stats")["total_connections_received"])


def test_a_connection_is_used_again(store: redis.Redis, connections: Connections) -> None:
    before = opened(store)
    assert [connections.execute(["ECHO", str(i)]) for i in range(9)] == [
        str(i).encode() for i in range(9)
    ]
    assert opened(store) == before + 1


def test_threads_have_connections_of_their_own(
    store: redis.Redis, connections: Connections
) -> None:
    def echo(i: int) -> bool:
        return bool(connections.execute(["ECHO", str(i)]) == str(i).encode())

    before = opened(store)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(echo, range(2000)))
    assert 1 <= opened(store) - before <= 8


def test_a_connection_that_the_server_closed(store: redis.Redis, connections: Connections) -> None:
    for _ in range(3):
        assert connections.execute(["ECHO", "a"]) == b"a"
        store.client_kill_filter(_type="normal", skipme=True)


def test_a_refusal_costs_no_connection(store: redis.Redis, connections: Connections) -> None:
    before = opened(store)
    for _ in range(3):
        with pytest.raises(StoreError, match="feature lookup failed: unknown command 'NOSUCH'"):
            connections.execute(["NOSUCH"])
        with pytest.raises(SettingsError, match="an id is no text"):
            connections.execute(["ECHO", "\udfff"])
        assert connections.execute(["ECHO", "a"]) == b"a"
    assert opened(store) == before + 1


def test_a_reply_that_came_too_late_answers_nothing_later() -> None:
    """The server answers what it was asked first only when something else is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        late = threading.Event()

        def serve() -> None:
            for turn in range(3):
                peer, _ = server.accept()
                with peer:
                    peer.recv(1000)
                    if turn < 2:
                        late.wait(60)
                    peer.sendall(b"$3\r\nnew\r\n" if turn == 2 else b"$3\r\nold\r\n")

        connections = Connections(f"redis://127.0.0.1:{server.getsockname()[1]}?protocol=2", 0.2)
        connections._pool.connection_kwargs.update(driver_info=None)
        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(StoreError, match=r"feature lookup failed: .*[Tt]ime"):
            connections.execute(["ECHO", "old"])
        late.set()
        connections._pool.connection_kwargs.update(socket_timeout=60, socket_connect_timeout=60)
        assert connections.execute(["ECHO", "new"]) == b"new"
        thread.join()
        connections.close()


def test_what_is_interrupted_is_not_used_again(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connections.execute(["ECHO", "a"]) == b"a"
    (connection,) = connections._idle
    monkeypatch.setattr(connection, "read_response", lambda: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        connections.execute(["ECHO", "old"])
    assert connections._idle == []
    assert connections.execute(["ECHO", "new"]) == b"new"


def test_a_closed_client_says_so(store_url: str, store: redis.Redis) -> None:
    write_rows(store, catalog, EVENTS)
    with FeatureClient(store_url, catalog) as client:
        client.get(["ann"], features=["visits:n"])
    client.close()
    with pytest.raises(SettingsError, match="the client is closed"):
        client.get(["ann"], features=["visits:n"])


def _echo_in_child(connections: Connections, out: multiprocessing.SimpleQueue[bytes]) -> None:
    out.put(connections.execute(["ECHO", "child"]))


def test_a_forked_process_connects_anew(store: redis.Redis, connections: Connections) -> None:
    assert connections.execute(["ECHO", "parent"]) == b"parent"
    before = opened(store)
    context = multiprocessing.get_context("fork")
    out: multiprocessing.SimpleQueue[bytes] = context.SimpleQueue()
    child = context.Process(target=_echo_in_child, args=(connections, out))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert out.get() == b"child"
    assert opened(store) == before + 1
    assert connections.execute(["ECHO", "parent"]) == b"parent"
    assert opened(store) == before + 1


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "5", 4000], ids=str)
def test_a_timeout_that_is_none(store_url: str, seconds: float) -> None:
    with pytest.raises(SettingsError, match="timeout_seconds="):
        FeatureClient(store_url, catalog, timeout_seconds=seconds)


def test_a_url_that_asks_for_text(store_url: str) -> None:
    with pytest.raises(SettingsError, match="without decode_responses"):
        FeatureClient(f"{store_url}?decode_responses=True", catalog, clock=lambda: NOW)
