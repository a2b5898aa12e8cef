"""A stream whose server goes away, comes back, or lost something: nothing is missed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import redis
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink

from nextbest.features.errors import StoreError
from nextbest.flows.embedded import ensure_server
from nextbest.flows.partitions import partitions_of
from nextbest.flows.sources import (
    LogPartition,
    RawChunk,
    ValkeyStreamSource,
    publish,
    publish_events,
)
from tests.flows.server_cases import kill


@pytest.fixture
def server(data_dir: Path) -> str:
    return ensure_server(data_dir)


def read_until(
    part: LogPartition[Any], enough: Callable[[list[RawChunk]], bool], seconds: float = 120.0
) -> list[RawChunk]:
    """Ask as the engine does; nothing may hold it up, but for a machine that stood still."""
    chunks: list[RawChunk] = []
    took: list[float] = []
    end = time.monotonic() + seconds
    while not enough(chunks):
        began = time.monotonic()
        assert began < end
        chunks += part.next_batch()
        took.append(time.monotonic() - began)
        time.sleep(0.002)
    assert sum(each > 0.5 for each in took) <= max(2, len(took) // 10)
    return chunks


def events(number: int) -> Callable[[list[RawChunk]], bool]:
    """So many events have come, in however many chunks: entries that came together are joined."""
    return lambda chunks: sum(chunk.records for chunk in chunks) >= number


def text(chunks: list[RawChunk]) -> bytes:
    return b"".join(cast("bytes", chunk.payload) for chunk in chunks)


def numbered(chunks: list[RawChunk]) -> bool:
    """Do they lie where entries of one line do?"""
    found = [p for chunk in chunks for p in chunk.positions(np.arange(chunk.records)).tolist()]
    in_order = [chunk.seq for chunk in chunks] == list(range(len(chunks)))
    return in_order and found == [n << 20 for n in range(len(found))]


def line(n: int) -> bytes:
    return b'{"n":%d}\n' % n


def send(url: str, *numbers: int) -> None:
    with redis.Redis.from_url(url) as client:
        publish(client, "events", [line(n) for n in numbers])


def test_a_killed_server_is_waited_for(server: str, data_dir: Path) -> None:
    told: list[tuple[str, float | None]] = []
    source = ValkeyStreamSource(server, on_outage=lambda why, s: told.append((why, s)))
    part = source.build_part("in", "0", None)
    send(server, 0, 1)
    chunks = read_until(part, events(2))
    kill(server)
    assert read_until(part, lambda _: bool(told)) == []
    assert "no answer" in told[0][0]
    assert told[0][1] is None
    for _ in range(20):
        assert part.next_batch() == []
        assert part.snapshot()["entries"] == 2
        time.sleep(0.01)
    assert ensure_server(data_dir) == server
    send(server, 2)
    chunks += read_until(part, events(1))
    assert text(chunks) == b"".join(line(n) for n in range(3))
    assert numbered(chunks)
    (_, seconds) = told[1]
    assert seconds is not None
    assert 0.2 < seconds < 120
    part.close()


def test_the_server_can_be_started_again_by_the_source(server: str, data_dir: Path) -> None:
    tries: list[int] = []

    def reconnect() -> None:
        tries.append(threading.get_ident())
        if len(tries) == 1:
            raise StoreError("not yet")
        ensure_server(data_dir)

    part = ValkeyStreamSource(server, reconnect=reconnect).build_part("in", "0", None)
    kill(server)
    part.next_batch()
    send(ensure_server(data_dir), 7)
    assert text(read_until(part, events(1))) == line(7)
    assert len(tries) > 1
    assert threading.get_ident() not in tries
    part.close()


def test_a_server_that_stays_away_ends_the_run(server: str) -> None:
    part = ValkeyStreamSource(server, outage_seconds=0.3).build_part("in", "0", None)
    kill(server)
    with pytest.raises(StoreError, match=r"no answer.*\(away for \d+ s; NEXTBEST_OUTAGE_SECONDS"):
        read_until(part, lambda _: False)
    with pytest.raises(StoreError, match="no answer"):
        ValkeyStreamSource(server).build_part("in", "0", None)


def test_a_run_outlives_its_server(
    server: str, data_dir: Path, run_flow: Any, tmp_path: Path
) -> None:
    stop = threading.Event()
    chunks: list[RawChunk] = []

    def on_outage(why: str, seconds: float | None) -> None:
        if seconds is None:
            threading.Timer(0.3, ensure_server, [data_dir]).start()
        else:
            send(server, 1)

    def look(chunk: RawChunk) -> RawChunk:
        if chunk.position == 0:
            kill(server)
        else:
            stop.set()
        return chunk

    send(server, 0)
    flow = Dataflow("flow")
    source = ValkeyStreamSource(server, on_outage=on_outage, stop=stop)
    stream = op.map("look", op.input("in", flow, source), look)
    op.output("out", stream, TestingSink(chunks))
    run_flow(flow, tmp_path / "db", every=0.02)
    assert [chunk.payload for chunk in chunks] == [line(0), line(1)]


def with_tail_lost(client: redis.Redis, count: int) -> None:
    """Make the server forget the last entries, as if they had not reached its disk."""
    kept: list[Any] = client.xrange("events")[:-count]
    client.delete("events")
    for entry, fields in kept:
        client.xadd("events", fields, id=entry)


def test_a_lost_tail_hides_no_later_entry(server: str, data_dir: Path) -> None:
    tries: list[int] = []

    def reconnect() -> None:
        ensure_server(data_dir)
        if not tries:
            with redis.Redis.from_url(server) as client:
                with_tail_lost(client, 2)
        tries.append(1)

    part = ValkeyStreamSource(server, reconnect=reconnect).build_part("in", "0", None)
    send(server, 0, 1, 2)
    assert text(read_until(part, events(3))) == line(0) + line(1) + line(2)
    state = part.snapshot()
    kill(server)
    read_until(part, lambda _: bool(tries) and part._reader._outage is None)
    with redis.Redis.from_url(server) as client:
        facts = client.xinfo_stream("events")
        assert facts["last-generated-id"].decode() == state["id"]
        assert (facts["length"], facts["entries-added"]) == (1, 3)
        send(server, 3)
        (chunk,) = read_until(part, events(1))
        assert (chunk.payload, chunk.position) == (line(3), 3 << 20)
        later = part.snapshot()
        part.close()
        # A resume meets the same loss.
        with_tail_lost(client, 1)
        ValkeyStreamSource(server).build_part("in", "0", later)
        assert client.xinfo_stream("events")["last-generated-id"].decode() == later["id"]
        # This is another stream, not the one that was read.
        client.delete("events")
        client.xadd("events", {"events": line(9)}, id="1000-0")
        with pytest.raises(StoreError, match="ends at 1000-0, before"):
            ValkeyStreamSource(server).build_part("in", "0", later)


def test_old_committed_entries_are_trimmed(store: redis.Redis, store_url: str) -> None:
    old = int(time.time() * 1000) - 60_000
    for n in range(500):
        store.xadd("events", {"events": line(n)}, id=f"{old}-{n + 1}")
    publish(store, "events", line(500))
    source = ValkeyStreamSource(store_url, retention_seconds=30)
    part = source.build_part("in", "0", None)
    part._reader._count = 300
    assert text(read_until(part, events(300))) == b"".join(line(n) for n in range(300))

    def snapshot() -> Any:
        part._trim_at = 0.0
        return part.snapshot()

    snapshot()
    snapshot()
    assert store.xlen("events") == 501  # not known to be committed
    state = snapshot()
    # The server trims whole nodes of 100 entries.
    assert store.xlen("events") == 301
    again = source.build_part("in", "0", state)
    rest = text(read_until(again, events(201)))
    assert rest == b"".join(line(n) for n in range(300, 501))
    for _ in range(3):
        again._trim_at = 0.0
        again.snapshot()
    assert 1 <= store.xlen("events") <= 101  # the last is young


def test_events_find_their_partition(store: redis.Redis, store_url: str) -> None:
    customers = [f"c-{n}" for n in range(100)]
    events = [b'{"customer_id":"%b"}' % customer.encode() for customer in customers]
    last = publish_events(store, "events", b"\n".join([*events, b"{"]), 3, 16)
    assert set(last) == {"events:0", "events:1", "events:2"}
    source = ValkeyStreamSource(store_url, partitions=3, drain=True)
    numbers = partitions_of(customers, 3, 16).tolist()
    for part in source.list_parts():
        (chunk,) = read_until(source.build_part("in", part, None), lambda chunks: bool(chunks))
        mine = [e for e, number in zip(events, numbers, strict=True) if str(number) == part]
        assert chunk.payload.split(b"\n")[:-1] == mine + [b"{"] * (part == "0")


def test_all_partitions_share_one_read_that_waits(store: redis.Redis, store_url: str) -> None:
    source = ValkeyStreamSource(store_url, partitions=4)
    parts = [source.build_part("in", part, None) for part in source.list_parts()]
    for part in parts:
        part.next_batch()
    time.sleep(1.1)  # long enough without an event
    before = store.info("commandstats")["cmdstat_xread"]["calls"]
    began = time.monotonic()
    for _ in range(10):
        for part in parts:
            assert part.next_batch() == []
    assert time.monotonic() - began > 0.4
    assert store.info("commandstats")["cmdstat_xread"]["calls"] - before <= 11
    # An entry of any partition ends the wait at once, and nobody waits while it lies there: one
    # of several is found sooner than a wait lasts, whatever else the machine does.
    tries = 1
    while found_within(store, parts) > 0.03:
        assert (tries := tries + 1) < 50
        end = time.monotonic() + 1.1
        while time.monotonic() < end:
            for part in parts:
                part.next_batch()


def found_within(store: redis.Redis, parts: list[LogPartition[Any]]) -> float:
    """How long the partition was asked that had an entry, which came while all were waited for."""
    later = threading.Timer(0.02, publish, [store, "events:2", line(1)])
    later.start()
    took: dict[int, float] = {}
    while not took:
        for number, part in enumerate(parts):
            began = time.monotonic()
            if part.next_batch():
                took[number] = time.monotonic() - began
    later.join()
    return took[2]


def test_credit_holds_back_one_partition_only(store: redis.Redis, store_url: str) -> None:
    source = ValkeyStreamSource(store_url, partitions=2, epoch_bytes=50)
    busy, quiet = (source.build_part("in", part, None) for part in ("0", "1"))
    busy._reader._count = 4
    for n in range(40):
        publish(store, "events:0", b'{"n":%10d}\n' % n)
    read_until(busy, events(4))
    publish(store, "events:1", line(1))
    assert text(read_until(quiet, events(1))) == line(1)
    for _ in range(5):
        assert busy.next_batch() == ()
        quiet.next_batch()
    held = sum(len(feed.waiting) for feed in busy._reader._feeds.values())
    assert held <= 512
    busy.snapshot()
    read_until(busy, events(4))
