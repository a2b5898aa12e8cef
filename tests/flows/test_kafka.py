"""Kafka: every record once, in order, at its offset; brokers that go away; a sink that checks."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource

from nextbest.features.errors import SourceError, StoreError
from nextbest.flows.partitions import partitions_of
from nextbest.flows.sinks import KafkaMessage, KafkaSink
from nextbest.flows.sources import KafkaSource, LogPartition, RawChunk, publish_kafka
from tests.flows.conftest import Run
from tests.flows.kafka_peer import (
    QUICK,
    Proxy,
    consume,
    make_topic,
    mock_broker,
    produce,
    tansu_broker,
)
from tests.ports import free_port


@pytest.fixture(scope="module")
def mock() -> Iterator[str]:
    with mock_broker() as brokers:
        yield brokers


@pytest.fixture(scope="module")
def tansu() -> Iterator[str]:
    with tansu_broker() as port:
        yield f"127.0.0.1:{port}"


def line(n: int) -> bytes:
    return b'{"n":%d}' % n


def records(chunks: list[RawChunk], partition: int = 0) -> list[tuple[int, int, bytes]]:
    """(offset by the position, offset by the origin, record) of each of one-line messages."""
    found = []
    for chunk in chunks:
        if chunk.partition == partition and chunk.fault is None:
            assert isinstance(chunk.payload, bytes)
            kept = chunk.payload.split(b"\n")[:-1]
            assert chunk.records == len(kept)
            for i, record in enumerate(kept):
                origin, number, position = chunk.where(i, i)
                assert number == 1
                found.append((position >> 20, int(origin.rpartition("@")[2]), record))
    return found


def read_on(part: LogPartition[Any]) -> None:
    for _ in range(6000):
        part.next_batch()
        time.sleep(0.01)


def drained(brokers: str, topic: str, **more: Any) -> KafkaSource:
    return KafkaSource(brokers, topic, config=QUICK, drain=True, **more)


def test_a_topic_is_drained_and_resumed_at_the_offset(run: Run, mock: str, tmp_path: Path) -> None:
    for partition in range(2):
        produce(mock, "drained", partition, [line(n) for n in range(300)])
    chunks = run(drained(mock, "drained", batch_rows=100), tmp_path / "db")
    for partition in range(2):
        assert records(chunks, partition) == [(n, n, line(n)) for n in range(300)]
        mine = [chunk for chunk in chunks if chunk.partition == partition]
        assert [chunk.seq for chunk in mine] == list(range(len(mine)))
        assert mine[0].where(0, 0) == (f"drained[{partition}]@0", 1, 0)
    assert run(drained(mock, "drained"), tmp_path / "db") == []
    produce(mock, "drained", 1, [line(300)])
    (chunk,) = run(drained(mock, "drained"), tmp_path / "db")
    assert (chunk.partition, chunk.where(0, 0)) == (1, ("drained[1]@300", 1, 300 << 20))


def test_interrupted_runs_read_each_record_once(run: Run, tansu: str, tmp_path: Path) -> None:
    make_topic(tansu, "interrupted", 2)
    for partition in range(2):
        produce(tansu, "interrupted", partition, [line(n) for n in range(1000)])
    chunks: list[RawChunk] = []
    for _ in range(40):
        stop = threading.Event()
        source = KafkaSource(tansu, "interrupted", config=QUICK, batch_rows=90, stop=stop)
        chunks += run(source, tmp_path / "db", lambda chunk, stop=stop: stop.set())
        if sum(chunk.records for chunk in chunks) == 2000:
            break
    for partition in range(2):
        assert records(chunks, partition) == [(n, n, line(n)) for n in range(1000)]


def test_messages_that_are_no_event(run: Run, mock: str) -> None:
    values = [line(0), None, b"x" * 2000, line(1) + b"\n" + line(2) + b"\n", b"", line(3)]
    produce(mock, "odd", 0, values)
    chunks = run(drained(mock, "odd", max_event_bytes=1500))
    found = [(*c.where(0, 0), c.records, c.fault, c.size) for c in chunks]
    assert found == [
        ("odd[0]@0", 1, 0, 1, None, 0),
        ("odd[0]@1", 1, 1 << 20, 1, "a message without a value (tombstone)", 0),
        ("odd[0]@2", 1, 2 << 20, 1, "longer than 1500 bytes", 2000),
        ("odd[0]@3", 1, 3 << 20, 3, None, 0),
    ]
    assert chunks[3].payload == b"\n".join([line(1), line(2), b"", line(3), b""])
    assert chunks[3].positions(np.arange(3)).tolist() == [3 << 20, 3 << 20 | 1, 5 << 20]
    assert chunks[3].where(1, 1) == ("odd[0]@3", 2, 3 << 20 | 1)
    assert chunks[3].where(2, 3) == ("odd[0]@5", 1, 5 << 20)


def test_events_are_routed_by_shard(run: Run, mock: str) -> None:
    customers = [f"c-{n}" for n in range(50)]
    events = [b'{"customer_id":"%b"}' % customer.encode() for customer in customers]
    assert publish_kafka(mock, "routed", b"\n".join([*events, b"{"]), shards=8) == 51
    chunks = run(drained(mock, "routed"))
    numbers = partitions_of(customers, 4, 8).tolist()
    for partition in range(4):
        mine = [e for e, number in zip(events, numbers, strict=True) if number == partition]
        assert mine
        assert [r for _, _, r in records(chunks, partition)] == mine + [b"{"] * (partition == 0)


def test_brokers_that_go_away_and_come_back(run: Run) -> None:
    proxy = Proxy()
    with tansu_broker(advertised=proxy.port) as port:
        proxy.open(port)
        brokers = f"127.0.0.1:{proxy.port}"
        make_topic(brokers, "away", 1)
        produce(brokers, "away", 0, [line(0)])
        stop = threading.Event()
        told: list[float | None] = []

        def on_outage(why: str, seconds: float | None) -> None:
            assert "no answer from a Kafka broker" in why
            told.append(seconds)
            if len(told) == 1:
                threading.Timer(0.5, proxy.open, [port]).start()
            elif len(told) == 2:
                produce(brokers, "away", 0, [line(1)])

        def look(chunk: RawChunk) -> None:
            if chunk.position == 0:
                proxy.cut()
            else:
                stop.set()

        source = KafkaSource(brokers, "away", config=QUICK, on_outage=on_outage, stop=stop)
        assert records(run(source, look=look)) == [(0, 0, line(0)), (1, 1, line(1))]
        assert told[0] is None
        assert told[1] is not None
        assert 0.3 < told[1] < 200
        proxy.cut()


def test_brokers_that_stay_away_end_the_run(run: Run) -> None:
    with mock_broker() as brokers:
        produce(brokers, "gone", 0, [line(0)])
        source = KafkaSource(brokers, "gone", config=QUICK, outage_seconds=0.3)
        part = source.build_part("in", "0", None)
        while not part.next_batch():
            pass
    with pytest.raises(StoreError, match=r"gone at .*no answer from a Kafka broker.*\(away for"):
        read_on(part)


def test_records_deleted_before_they_were_read(run: Run, mock: str) -> None:
    produce(mock, "evicted", 0, [b"x" * 100_000] * 100)
    source = drained(mock, "evicted")
    state = {"version": 2, "offset": 3, "seq": 1}
    with pytest.raises(
        SourceError, match=r"evicted\[0\] .*: \d+ records from offset 3 on were del"
    ):
        source.build_part("in", "0", state)
    source = KafkaSource(mock, "evicted", config=QUICK)
    part = source.build_part("in", "0", {**state, "offset": 500})
    anew = "ends at offset 100, before 500, up to which"
    with pytest.raises(SourceError, match=anew):
        read_on(part)
    part = drained(mock, "evicted").build_part("in", "0", {**state, "offset": 500})
    with pytest.raises(SourceError, match=anew):
        read_on(part)


def test_what_is_wrong_is_said_at_the_start(mock: str, tansu: str) -> None:
    with pytest.raises(SourceError, match=r"nowhere at .*: cannot be read: .*Unknown topic"):
        KafkaSource(tansu, "nowhere").list_parts()
    away = f"127.0.0.1:{free_port()}"
    began = time.monotonic()
    with pytest.raises(SourceError, match=rf"t at {away}: no answer .*Connection refused"):
        KafkaSource(away, "t").list_parts()
    assert time.monotonic() - began < 60
    secret = {"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN"}
    secret |= {"sasl.username": "me", "sasl.password": "s3cret"}
    with pytest.raises(SourceError) as refused:
        KafkaSource(mock, "t", config=secret).list_parts()
    assert "s3cret" not in str(refused.value)
    with pytest.raises(SourceError, match=r'No such configuration property: "sasl\.pasword"'):
        KafkaSource(mock, "t", config={"sasl.pasword": "s3cret"}).list_parts()


def test_credit_holds_back_one_partition_only(mock: str) -> None:
    produce(mock, "credit", 0, [line(n) for n in range(400)])
    produce(mock, "credit", 1, [line(0)])
    source = KafkaSource(mock, "credit", config=QUICK, batch_rows=50, epoch_bytes=100)
    busy, quiet = (source.build_part("in", part, None) for part in ("0", "1"))
    chunks: list[RawChunk] = []
    held = 0
    for n in range(60):
        produce(mock, "credit", 1, [line(n + 1)])
        for _ in range(3):
            chunks += [*busy.next_batch(), *quiet.next_batch()]
        held = max(held, sum(len(feed.waiting) for feed in source._reader._feeds.values()))
        if n % 6 == 5:
            busy.snapshot()
            quiet.snapshot()
    end = time.monotonic() + 60
    while sum(chunk.records for chunk in chunks) < 461 and time.monotonic() < end:
        chunks += [*busy.next_batch(), *quiet.next_batch()]
        busy.snapshot()
        quiet.snapshot()
    assert held <= 102
    assert records(chunks, 0) == [(n, n, line(n)) for n in range(400)]
    assert records(chunks, 1) == [(n, n, line(n)) for n in range(61)]


def test_kafka_is_imported_by_those_who_use_it() -> None:
    code = "import sys, nextbest.flows.pipeline, nextbest.flows.sources, nextbest.flows.sinks\n"
    code += "sys.exit('confluent_kafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def send(run_flow: Any, sink: KafkaSink, messages: list[KafkaMessage]) -> None:
    flow = Dataflow("flow")
    stream = op.input("in", flow, TestingSource(messages))
    op.output("out", op.key_on("key", stream, lambda _: "0"), sink)
    run_flow(flow)


def test_a_sink_delivers_in_order(run_flow: Any, tansu: str) -> None:
    make_topic(tansu, "sunk", 1)
    messages = [KafkaMessage(b"k%d" % n if n % 2 else None, line(n)) for n in range(500)]
    send(run_flow, KafkaSink(tansu, "sunk"), messages)
    assert consume(tansu, "sunk", 0, 500) == messages


def test_a_sink_that_cannot_deliver_ends_the_run(run_flow: Any) -> None:
    away = f"127.0.0.1:{free_port()}"
    with pytest.raises(StoreError, match=r"topic sunk at .* was not delivered: .*timed out"):
        send(run_flow, KafkaSink(away, "sunk", timeout=0.5), [KafkaMessage(None, b"{}")])
