"""A store that goes away: waited for, sent again what it had not answered, or given up clearly."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from nextbest.features.errors import StoreError
from nextbest.flows.embedded import ensure_server, revive_server
from nextbest.flows.publication import Publication
from nextbest.flows.sinks import RowFlush, RowSink, outage
from nextbest.flows.sinks.wire import KEPT_BYTES
from tests.flows.server_cases import kill, pid_of
from tests.flows.test_sinks import resp

Told = list[tuple[str, float | None]]


@pytest.fixture
def url(data_dir: Path) -> str:
    return ensure_server(data_dir)


def values(url: str, n: int) -> list[int]:
    with redis.Redis.from_url(url) as client:
        found: Any = client.mget([f"k{i}" for i in range(n)])
        return [int(value or -1) for value in found]


def flush_of(number: int, keys: int = 200) -> RowFlush:
    payload = b"".join(resp(b"SET", b"k%d" % i, b"%d" % number) for i in range(keys))
    return RowFlush(payload, keys, keys, time.perf_counter())


def test_rows_of_an_outage_are_sent_again(url: str, data_dir: Path) -> None:
    told: Told = []
    stored: list[int] = []
    sink = RowSink(
        url,
        reconnect=lambda: revive_server(data_dir),
        on_outage=lambda reason, seconds: told.append((reason, seconds)),
        on_stored=lambda rows, seconds: stored.append(rows),
    )
    part = sink.build_part("rows", "0", None)
    for number in range(30):
        if number % 10 == 5:
            kill(url)
        part.write_batch([flush_of(number)])
    assert part.snapshot() == 30 * 200
    assert values(url, 200) == [29] * 200
    assert len(told) == 6
    assert told[0][1] is None
    assert re.match(r"unix://.*: no answer: ", told[0][0])
    assert 0 < (told[1][1] or 0) < 60
    assert sum(stored) == 30 * 200  # each row is counted once
    part.close()


def test_an_outage_of_seconds_without_a_restart_of_ours(url: str, data_dir: Path) -> None:
    told: Told = []
    sink = RowSink(url, on_outage=lambda *what: told.append(what))
    part = sink.build_part("rows", "0", None)
    part.write_batch([flush_of(1)])
    part.snapshot()
    kill(url)
    back = threading.Timer(1.5, lambda: ensure_server(data_dir))
    back.start()
    part.write_batch([flush_of(2)])
    assert part.snapshot() == 400
    back.join()
    assert values(url, 200) == [2] * 200
    assert 1.0 < (told[-1][1] or 0) < 60
    part.close()


def test_it_is_given_up_in_time(url: str) -> None:
    part = RowSink(url, outage_seconds=0.8).build_part("rows", "0", None)
    kill(url)
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"no answer: .* \(waited \d+ s for it\)$"):
        part.write_batch([flush_of(1)])
    assert 0.7 < time.monotonic() - began < 60
    with pytest.raises(StoreError, match="after an earlier failure"):
        part.write_batch([flush_of(1)])


def test_a_stop_ends_the_wait(url: str) -> None:
    stop = threading.Event()
    part = RowSink(url, stop=stop).build_part("rows", "0", None)
    kill(url)
    threading.Timer(0.5, stop.set).start()
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"Nothing is lost: the next run goes on from the last"):
        part.write_batch([flush_of(1)])
    assert 0.4 < time.monotonic() - began < 60


def test_a_stop_is_followed_by_a_last_try(
    url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "pauses", lambda: itertools.repeat(1000.0))
    stop = threading.Event()
    part = RowSink(url, stop=stop).build_part("rows", "0", None)
    kill(url)

    def come_back() -> None:
        ensure_server(data_dir)
        stop.set()

    back = threading.Timer(0.2, come_back)
    back.start()
    part.write_batch([flush_of(3)])
    assert part.snapshot() == 200
    back.join()
    assert values(url, 200) == [3] * 200
    part.close()


def test_a_server_that_hangs_is_waited_for(url: str) -> None:
    part = RowSink(url, timeout=0.3).build_part("rows", "0", None)
    pid = pid_of(url)
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(1.0, lambda: os.kill(pid, signal.SIGCONT)).start()
    part.write_batch([flush_of(7)])
    part.snapshot()
    assert values(url, 200) == [7] * 200
    part.close()


def test_a_failover_is_waited_for(url: str) -> None:
    part = RowSink(url).build_part("rows", "0", None)
    with redis.Redis.from_url(url) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")  # read-only from now on
        threading.Timer(
            0.5, lambda: redis.Redis.from_url(url).execute_command("REPLICAOF", "NO", "ONE")
        ).start()
        part.write_batch([flush_of(8)])
        part.snapshot()
    assert values(url, 200) == [8] * 200
    part.close()


class Scripted:
    """A server of few words: a list of replies for each connection, then it hangs up."""

    def __init__(self, *connections: list[bytes]) -> None:
        self._connections = connections
        self.commands: list[list[list[bytes]]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://:s3cret@127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for replies in self._connections:
            peer, _ = self._listener.accept()
            seen: list[list[bytes]] = []
            self.commands.append(seen)
            left = list(replies)
            with peer, peer.makefile("rb") as commands:
                while left:
                    head = commands.readline()
                    if not head:
                        break
                    words = []
                    for _ in range(int(head[1:])):
                        size = int(commands.readline()[1:])
                        words.append(commands.read(size + 2)[:-2])
                    if words[0] in (b"CLIENT", b"AUTH", b"HELLO"):
                        peer.sendall(b"+OK\r\n")
                        continue
                    seen.append(words)
                    peer.sendall(left.pop(0))
                if not left:
                    # The client may have hung up at the last reply already, that is its right.
                    with suppress(OSError):
                        peer.shutdown(socket.SHUT_WR)
                        commands.read()

    def close(self) -> None:
        self._listener.close()
        self._thread.join(10)


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    made: list[Scripted] = []

    def make(*connections: list[bytes]) -> Scripted:
        made.append(Scripted(*connections))
        return made[-1]

    yield make
    for server in made:
        server.close()


OK, PONG = b"+OK\r\n", b"+PONG\r\n"
LOADING = b"-LOADING Valkey is loading the dataset in memory\r\n"
MISCONF = b"-MISCONF Errors writing to the AOF file: No space left on device\r\n"


def test_what_was_not_answered_is_sent_again_in_order(scripted: Callable[..., Scripted]) -> None:
    """Two flushes of two commands: one and a half are answered, then one with a full disk."""
    server = scripted(
        [LOADING],  # at the start: waited for
        [PONG, OK, OK, OK],
        [LOADING],
        [PONG, MISCONF, OK],
        [PONG, OK, OK],
    )
    part = RowSink(server.url).build_part("rows", "0", None)
    first, second = (resp(b"SET", b"a", x) + resp(b"SET", b"b", x) for x in (b"1", b"2"))
    part.write_batch([RowFlush(first, 2, 2), RowFlush(second, 2, 2)])
    assert part.snapshot() == 4
    part.close()
    sent = [[words[-1] for words in seen] for seen in server.commands]
    assert sent[1][:4] == [b"PING", b"1", b"1", b"2"]
    assert sent[3][:2] == [b"PING", b"2"]
    assert sent[4] == [b"PING", b"2", b"2"]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "OutOfMemoryError"),
        (b"-NOPERM this user has no permissions\r\n", "NoPermissionError"),
        (b"-WRONGPASS invalid username-password pair\r\n", "Check the user and the password"),
        (b"HTTP/1.1 400 Bad Request\r\n", "does not speak the Redis protocol"),
    ],
)
def test_what_waiting_cannot_cure_is_an_error_at_once(
    scripted: Callable[..., Scripted], reply: bytes, message: str
) -> None:
    server = scripted([PONG, reply])
    part = RowSink(server.url).build_part("rows", "0", None)
    part.write_batch([RowFlush(resp(b"SET", b"a", b"1"), 1, 1)])
    with pytest.raises(StoreError, match=message) as caught:
        part.snapshot()
    assert "s3cret" not in str(caught.value)


def test_a_closing_mark_waits_until_the_rows_are_answered(
    scripted: Callable[..., Scripted],
) -> None:
    """A disk that is full for the rows and not for what comes next must not leave a mark."""
    shard = Publication(b"mark", "t", resumed_timeline="", resumed_version=0)
    shard.on_resume(None)
    server = scripted([PONG, OK, MISCONF], [PONG, OK, OK, OK])
    part = RowSink(server.url).build_part("rows", "0", None)
    part.write_batch([RowFlush(resp(b"SET", b"a", b"1"), 1, 1, marks=shard.command(1, 1))])
    part.snapshot()
    part.close()
    sent = [[words[0] for words in seen] for seen in server.commands]
    assert sent == [[b"PING", b"EVAL", b"SET"], [b"PING", b"EVAL", b"SET", b"EVAL"]]


def test_what_is_kept_is_bounded(url: str) -> None:
    """Replies are read before more is sent, so that no more than the bound is ever kept."""
    part = RowSink(url, outstanding=1_000_000).build_part("rows", "0", None)
    wire: Any = part._wire  # type: ignore[attr-defined]
    row = resp(b"SET", b"k", b"x" * (1 << 20))
    for _ in range(3 * KEPT_BYTES >> 20):
        part.write_batch([RowFlush(row, 1, 1)])
        assert wire._kept_bytes <= KEPT_BYTES
        assert wire._kept_bytes == sum(len(sent.payload) for sent in wire._kept)
    part.snapshot()
    assert (wire._kept_bytes, len(wire._kept)) == (0, 0)
    part.close()
