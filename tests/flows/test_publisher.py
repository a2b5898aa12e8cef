"""Receipts: each names the place that the archive later shows for its event."""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
import redis
import redis.asyncio
from confluent_kafka import Producer

from nextbest.features import EventError, SettingsError, SourceError, StoreError
from nextbest.features.online import FeatureClient
from nextbest.features.receipts import Receipt
from nextbest.flows import publisher as module
from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.partitions import BLOB_BYTES, partitions_of
from nextbest.flows.publisher import AsyncPublisher, KafkaPublisher, Publisher
from nextbest.flows.sources import KafkaSource, ValkeyStreamSource, publish_events
from tests.flows.kafka_peer import QUICK, mock_broker, produce
from tests.flows.server_cases import kill
from tests.flows.test_decode import Event, catalog, make_log
from tests.flows.test_pipeline import LATER, Worker
from tests.flows.test_positions import places
from tests.flows.test_stream_outages import read_until
from tests.ports import free_port

SHARDS = 4


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    with mock_broker() as found:
        yield found


def encoded(log: list[Event]) -> tuple[list[bytes], list[str]]:
    return [msgspec.json.encode(e) for e in log], [e["customer_id"] for e in log]


def archived(worker: Worker) -> dict[str, tuple[int, int]]:
    """Partition and position of each event id."""
    found = {}
    for file in (worker.settings.archive_dir / "events").rglob("*.parquet"):
        partition = int(re.search(r"partition=(\d+)", str(file))[1])  # type: ignore[index]
        for row in pq.ParquetFile(file).read().to_pylist():
            assert row["event_id"] not in found
            found[row["event_id"]] = (partition, row["position"])
    return found


def check(worker: Worker, log: list[Event], receipts: dict[str, Receipt]) -> None:
    """The archive and the rows agree with every receipt."""
    places = archived(worker)
    latest: dict[str, int] = {}
    for e in log:
        receipt = receipts[e["event_id"]]
        assert places[e["event_id"]] == receipt[:2]
        assert receipt.is_of(e["customer_id"])
        latest[e["customer_id"]] = max(latest.get(e["customer_id"], -1), receipt.position)
    client = FeatureClient(worker.url, catalog)
    rows = client.get(list(latest), at=LATER).rows
    assert rows.positions.tolist() == list(latest.values())
    client.close()


def fresh(seed: int, count: int) -> list[Event]:
    log = make_log(seed, count)
    return [{**e, "event_id": f"{seed}-{n}"} for n, e in enumerate(log)]


def test_receipts_of_many_publishers_at_once(tmp_path: Path, store_url: str) -> None:
    worker = Worker(tmp_path, store_url, decisions=None)
    parts = [fresh(seed, 300) for seed in range(4)]
    receipts: dict[str, Receipt] = {}
    source = ValkeyStreamSource(store_url, "log", partitions=3, drain=True)
    with Publisher(store_url, "log", partitions=3, shards=SHARDS) as shared:

        def send(number: int) -> None:
            rng = random.Random(number)
            rest = parts[number]
            while rest:
                some, rest = rest[: (cut := rng.choice((1, 2, 30)))], rest[cut:]
                found = shared.publish(*encoded(some))
                receipts.update({e["event_id"]: r for e, r in zip(some, found, strict=True)})

        def disturb() -> None:
            with redis.Redis.from_url(store_url) as client:
                for n in range(100):
                    client.xadd(f"log:{n % 3}", {"events": b"\n{}\n [] \n"})
                    client.xadd(f"log:{n % 3}", {"stranger": "x"})

        tasks = [threading.Thread(target=send, args=(n,)) for n in range(4)]
        tasks.append(threading.Thread(target=disturb))
        for task in tasks:
            task.start()
        for task in tasks:
            task.join()
    watch = worker.run(source)
    assert watch.refused == 300
    log = [e for part in parts for e in part]
    assert len(receipts) == len(log) == 1200
    check(worker, log, receipts)


def test_receipts_after_a_trim_and_with_awaits(tmp_path: Path, store_url: str) -> None:
    worker = Worker(tmp_path, store_url, decisions=None)
    gone, one, other = fresh(1, 50), fresh(2, 200), fresh(3, 200)
    with Publisher(store_url, "log", partitions=None, shards=SHARDS) as publisher:
        for event in gone:
            publisher.publish(*encoded([event]))
        with redis.Redis.from_url(store_url) as client:
            client.xtrim("log", maxlen=0, approximate=False)
        receipts = publisher.publish(*encoded(one))
    assert receipts[0].position == 50 << 20

    async def send() -> list[Receipt]:
        publisher = AsyncPublisher(store_url, "log", partitions=None, shards=SHARDS)
        async with publisher:
            several = [publisher.publish(*encoded(other[n : n + 10])) for n in range(0, 200, 10)]
            return [receipt for found in await asyncio.gather(*several) for receipt in found]

    receipts += asyncio.run(send())
    worker.run(ValkeyStreamSource(store_url, "log", drain=True))
    log = [*one, *other]
    check(worker, log, {e["event_id"]: r for e, r in zip(log, receipts, strict=True)})


def test_receipts_of_a_topic(tmp_path: Path, store_url: str, brokers: str) -> None:
    worker = Worker(tmp_path, store_url, decisions=None)
    log = fresh(5, 300)
    produce(brokers, "receipts", 0, [b"{}\n{}\n", None])
    publisher = KafkaPublisher(brokers, "receipts", {"linger.ms": "1"}, SHARDS)
    receipts = publisher.publish(*encoded(log[:1])) + publisher.publish(*encoded(log[1:]))
    assert publisher.publish([], []) == []
    worker.run(KafkaSource(brokers, "receipts", config=QUICK, drain=True))
    check(worker, log, {e["event_id"]: r for e, r in zip(log, receipts, strict=True)})


def test_events_are_packed_and_keep_their_order(store: redis.Redis, store_url: str) -> None:
    customers = [f"c{n % 7}" for n in range(900)]
    events = [b'{"n":%d,\n"pad":"%s"}' % (n, b"x" * 300) for n in range(900)]
    events[500] = b'{"n":500,"pad":"%s"}' % (b"x" * 2 * BLOB_BYTES)
    with Publisher(store, "events", partitions=2, shards=16) as publisher:
        receipts = publisher.publish(events, customers)
    numbers = partitions_of(customers, 2, 16).tolist()
    source = ValkeyStreamSource(store_url, "events", partitions=2)
    for partition in range(2):
        entries: Any = store.xrange(f"events:{partition}")
        sizes = [len(fields[b"events"]) for _, fields in entries]
        assert 2 < len(sizes) < 12
        assert sorted(sizes)[-2] <= BLOB_BYTES
        mine = [n for n, number in enumerate(numbers) if number == partition]
        part = source.build_part("in", str(partition), None)
        enough = len(mine)
        found = places(read_until(part, lambda c, e=enough: sum(x.records for x in c) >= e))
        assert [(p, text) for p, _, _, text in found] == [
            (receipts[n].position, events[n].replace(b"\n", b" ")) for n in mine
        ]
        assert {receipts[n].partition for n in mine} == {partition}
        part.close()


def test_what_cannot_be_published_is_said(store: redis.Redis, store_url: str) -> None:
    with Publisher(store, "events", partitions=2, shards=16) as publisher:
        assert publisher.publish([], []) == []
        with pytest.raises(EventError, match="2 events of 1 customers"):
            publisher.publish([b"{}", b"{}"], ["a"])
        with pytest.raises(EventError, match=r"no event - at `\$\[1\]`"):
            publisher.publish([b"{}", b" \n"], ["a", "b"])
        assert store.keys() == []
        store.set("events:0", "text")
        store.set("events:1", "text")
        with pytest.raises(StoreError, match=r"events: refused: .*wrong kind of value"):
            publisher.publish([b"{}"], ["a"])
    with pytest.raises(SettingsError, match="0 partitions of 16 shards"):
        Publisher(store_url, "events", partitions=0, shards=16)
    with pytest.raises(SettingsError, match=r"http://me:\*\*\*@host: "):
        Publisher("http://me:s3cret@host", "events", partitions=None, shards=16)


def test_a_server_that_does_not_count_keeps_nothing(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = module._APPEND.replace(b"'entries-added'", b"'entries-counted'")
    assert without != module._APPEND
    monkeypatch.setattr(module, "_APPEND", without)
    with (
        Publisher(store, "events", partitions=None, shards=16) as publisher,
        pytest.raises(StoreError, match=r"does not count the entries .* publish without receipts"),
    ):
        publisher.publish([b"{}", b"[]"], ["a", "b"])
    assert store.xlen("events") == 0
    publish_events(store, "events", b"{}\n", None, 16)
    assert store.xlen("events") == 1


def test_a_server_that_is_away(tmp_path: Path) -> None:
    url = ensure_server(tmp_path)
    try:
        # The client's own setting is to try again, three times.
        with (
            redis.Redis.from_url(url) as client,
            Publisher(client, "events", partitions=None, shards=16) as publisher,
        ):
            first = publisher.publish([b"{}"], ["a"])
            kill(url)
            with pytest.raises(StoreError, match="events: no answer"):
                publisher.publish([b"{}"], ["a"])
            ensure_server(tmp_path)
            second = publisher.publish([b"{}"], ["a"])
            assert [r.position >> 20 for r in (*first, *second)] == [0, 1]

        async def fail() -> None:
            client = redis.asyncio.Redis.from_url("redis://127.0.0.1:1")
            async with AsyncPublisher(client, "events", partitions=None, shards=16) as publisher:
                await publisher.publish([b"{}"], ["a"])

        with pytest.raises(StoreError, match="events: no answer"):
            asyncio.run(fail())
    finally:
        stop_server(tmp_path)


def test_a_topic_that_is_away_or_refuses(brokers: str) -> None:
    away = f"127.0.0.1:{free_port()}"
    with pytest.raises((StoreError, SourceError), match=r"t at .*: no answer from a Kafka broker"):
        KafkaPublisher(away, "t")
    publisher = KafkaPublisher(brokers, "large", {"message.max.bytes": "2000"})
    with pytest.raises(StoreError, match=r"large at .*not delivered: .*Message size too large"):
        publisher.publish([b"x" * 3000], ["a"])
    with pytest.raises(EventError, match="1 events of 0 customers"):
        publisher.publish([b"{}"], [])
    with mock_broker() as gone:
        late = KafkaPublisher(gone, "t", timeout=0.5)
        assert isinstance(late._sending.producer, Producer)
    with pytest.raises(StoreError, match=r"t at .*: a message was not delivered: .*timed out"):
        late.publish([b"{}"], ["a"])
