"""Marks in a real server: what it loses is seen, and only that is published again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from nextbest.features.online import RowDecoder, key_prefix, now_us
from nextbest.features.state import ShardState
from nextbest.flows.decode import ChunkDecoder, ShardEvents
from nextbest.flows.embedded import ensure_server, revive_server
from nextbest.flows.marks import MarkReader
from nextbest.flows.publication import NOTHING, Publication, Republish, mark_key
from nextbest.flows.settings import Settings
from nextbest.flows.sinks import RowFlush, RowSink
from nextbest.flows.sources.chunk import RawChunk
from tests.flows.server_cases import kill
from tests.flows.test_decode import catalog, make_log, ndjson, plan

KEY = mark_key(catalog, 0)
PREFIX = key_prefix(catalog)


class Shard:
    """One shard, its line to the store, and its marks; `changed` keeps each version's customers."""

    def __init__(self, data_dir: Path, url: str) -> None:
        self.url = url
        self.state = ShardState(plan)
        self.decoder = ChunkDecoder(plan, Settings(shards=1, archive=False))
        self.changed: list[set[bytes]] = [set()]
        self.now = 0.0
        self.reader = MarkReader(url, [KEY], clock=lambda: self.now)
        self.publication = Publication(KEY, "t", resumed_timeline="d", resumed_version=0)
        seen = self.reader.look(KEY)
        assert seen is not None
        self.publication.on_resume(seen.found)
        sink = RowSink(url, 1, reconnect=lambda: revive_server(data_dir))
        self.part = sink.build_part("rows", "0", None)

    def apply(self, log: list[Any], position: int) -> None:
        chunk = RawChunk(0, position, "ndjson", ndjson(log), "log", 1, 0, len(log))
        for part in self.decoder(chunk):
            assert isinstance(part, ShardEvents)
            self.state.apply(part.batch)
        commands = self.state.encode_changes(PREFIX)
        version = len(self.changed)
        self.changed.append({event["customer_id"].encode() for event in log})
        marks = self.publication.command(version, position + len(log))
        self.part.write_batch([RowFlush(commands.payload, commands.replies, commands.rows,
                                        marks=marks)])  # fmt: skip
        self.part.snapshot()

    def look(self, seconds: float = 3.0) -> Republish:
        self.now += seconds
        seen = self.reader.look(KEY)
        return NOTHING if seen is None else self.publication.on_seen(seen.found, seen.at)

    def wrong(self) -> set[bytes]:
        """The customers whose rows in the store are missing, or not those of the state."""
        names = [name.encode() for name in self.state.customers()]
        with redis.Redis.from_url(self.url) as client:
            stored: Any = client.mget([PREFIX + name for name in names])
        at = now_us()
        found = RowDecoder(plan).decode(stored, at)
        expected = self.state.read([name.decode() for name in names], at)
        pairs = zip(names, found.values, expected.values, strict=True)
        return {name for name, row, right in pairs if row.tobytes() != right.tobytes()}


@pytest.fixture
def shard(data_dir: Path) -> Iterator[Shard]:
    shard = Shard(data_dir, ensure_server(data_dir))
    log = make_log(3, 300)
    for start in range(0, 300, 60):
        shard.apply(log[start : start + 60], start)
    assert shard.look() == NOTHING
    assert shard.wrong() == set()
    yield shard
    shard.reader.close()
    shard.part.close()


def appended(data_dir: Path) -> Path:
    (log,) = (data_dir / "valkey" / "appendonlydir").glob("*.incr.aof")
    return log


def test_a_flushed_store_is_seen(shard: Shard) -> None:
    with redis.Redis.from_url(shard.url) as client:
        client.flushall()
        assert shard.look(0.1) == NOTHING  # not looked at so soon
        assert shard.look() == Republish(True, None)
        shard.apply(make_log(4, 5), 300)  # the line goes on; the mark claims nothing too much
        assert client.get(KEY) == b"t:6:305:12:d:0"


def test_a_killed_store_loses_nothing(shard: Shard, data_dir: Path) -> None:
    kill(shard.url)
    shard.apply(make_log(4, 5), 300)
    assert [shard.look() for _ in range(4)] == [NOTHING] * 4
    assert shard.wrong() == set()


def test_a_store_that_comes_back_empty_is_seen(shard: Shard, data_dir: Path) -> None:
    kill(shard.url)
    appended(data_dir).write_bytes(b"")
    shard.apply(make_log(4, 5), 300)
    assert len(shard.wrong()) > 3
    assert shard.look() == Republish(True, None)


@pytest.mark.parametrize("cut", [10, 600, 6_000])
def test_a_store_that_comes_back_behind_is_seen(shard: Shard, data_dir: Path, cut: int) -> None:
    kill(shard.url)
    log = appended(data_dir)
    os.truncate(log, log.stat().st_size - cut)
    ensure_server(data_dir)
    lost = shard.wrong()
    assert cut == 10 or lost
    lack = shard.look()
    for _ in range(3):
        lack = lack if lack.needed else shard.look()
    assert lack.needed
    since = lack.since or 0
    assert lost <= set().union(*shard.changed[since + 1 :])
    assert cut > 600 or since == len(shard.changed) - 2  # and not much more than that


def test_a_store_that_is_away_or_hangs_shows_nothing(shard: Shard, data_dir: Path) -> None:
    with redis.Redis.from_url(shard.url) as client:
        pid = int(client.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    assert shard.look() == NOTHING
    os.kill(pid, signal.SIGKILL)
    assert shard.look() == NOTHING
    ensure_server(data_dir)
    assert shard.look() == NOTHING
    assert shard.reader.look(b"another") == (None, shard.now)
