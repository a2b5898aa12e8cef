"""Sinks: what is written is there exactly once when the epoch ends; refusals are not missed."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import Sink
from bytewax.testing import TestingSource

from nextbest.features.errors import StateError, StoreError
from nextbest.flows.dead_letters import RAW_BYTES, DeadLetter
from nextbest.flows.sinks import ArchiveSink, DeadLetterSink, RowFlush, RowSink
from nextbest.flows.sources import FileSource, RawChunk

Run = Callable[[list[Any], Sink[Any]], None]


@pytest.fixture
def run(run_flow: Any) -> Run:
    """Run a real dataflow from a list into a sink, an epoch for each item."""

    def run(items: list[Any], sink: Sink[Any]) -> None:
        flow = Dataflow("flow")
        op.output("out", op.input("in", flow, TestingSource(items)), sink)
        run_flow(flow)

    return run


def table(*numbers: int) -> pa.Table:
    kinds = pa.array([f"kind {n % 3}" for n in numbers]).dictionary_encode()
    return pa.table({"n": pa.array(numbers, pa.int64()), "type": kinds})


def archived(root: Path) -> dict[str, list[Any]]:
    """Every file's numbers, by path below the root."""
    return {
        file.relative_to(root).as_posix(): pq.ParquetFile(file).read(["n"])["n"].to_pylist()
        for file in sorted(root.rglob("*.parquet"))
    }


def letter(n: int) -> DeadLetter:
    return DeadLetter.of(
        b'{"n":%d}' % n, reason="no", origin="a", line=n + 1, position=n, received_at=n
    )


def connections(store: redis.Redis) -> int:
    info: Any = store.info("clients")
    return int(info["connected_clients"])


def resp(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def test_archive_has_one_file_for_a_partition_and_epoch(run: Run, tmp_path: Path) -> None:
    items = [("a", table(0, 1)), ("b", table(2)), ("a", table()), ("a", table(3))]
    run(items, ArchiveSink(tmp_path, ["b", "a"]))
    assert archived(tmp_path) == {
        "partition=a/epoch-00000000.parquet": [0, 1],
        "partition=a/epoch-00000001.parquet": [3],
        "partition=b/epoch-00000000.parquet": [2],
    }
    file = pq.ParquetFile(tmp_path / "partition=a" / "epoch-00000000.parquet")
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    run([("7", table(1)), ("10", table(2))], ArchiveSink(tmp_path / "numbered", 16))
    assert archived(tmp_path / "numbered") == {
        "partition=10/epoch-00000000.parquet": [2],
        "partition=7/epoch-00000000.parquet": [1],
    }


def test_archive_and_dead_letters_are_exact_through_crashes(run_flow: Any, tmp_path: Path) -> None:
    source = tmp_path / "in.ndjson"
    source.write_bytes(b"".join(b"%d\n" % n for n in range(70)))
    path = tmp_path / "dead" / "letters.ndjson"
    crash_at = -1

    def number(chunk: RawChunk) -> tuple[str, int]:
        if chunk.position == crash_at:
            raise ZeroDivisionError
        return "0", chunk.position

    flow = Dataflow("flow")
    numbers = op.map("n", op.input("in", flow, FileSource(source, batch_rows=1)), number)
    op.output("archive", op.map_value("t", numbers, table), ArchiveSink(tmp_path, 1))
    op.output("dead", op.map_value("d", numbers, letter), DeadLetterSink(path))
    for n in (20, 21, 45):
        crash_at = n
        with pytest.raises(ZeroDivisionError):
            run_flow(flow, tmp_path / "db", every=0.001)
    crash_at = -1
    run_flow(flow, tmp_path / "db", every=0.001)
    files = archived(tmp_path)
    assert len(files) > 3
    assert [n for rows in files.values() for n in rows] == list(range(70))
    assert [name[-16:] for name in files] == [f"{i:08d}.parquet" for i in range(len(files))]
    found = [msgspec.json.decode(line)["position"] for line in path.read_bytes().splitlines()]
    assert found == list(range(70))


def parts(n: int, shards: int, rows: int, seed: int) -> list[pa.Table]:
    """A log of n rows in chunks, each handed in by shards in any order."""
    rng = np.random.default_rng(seed)
    tables = []
    for start in range(0, n, rows):
        positions = np.arange(start, min(start + rows, n))
        owner = rng.integers(0, shards, len(positions))
        for shard in rng.permutation(shards):
            mine = positions[owner == shard]
            kinds = pa.array([f"kind {shard}"] * len(mine), pa.string()).dictionary_encode()
            names = pa.array([f"ü{p}" if p % 7 else None for p in mine], pa.string())
            values = pa.array(mine / 3)
            tables.append(
                pa.table({"position": mine, "kind": kinds, "name": names, "value": values})
            )
    return tables


@pytest.mark.parametrize(("rows", "group"), [(50, 60), (50, 1000), (700, 40), (1, 10)])
def test_tables_of_other_dictionaries_are_one_file(tmp_path: Path, rows: int, group: int) -> None:
    tables = parts(1000, 5, rows, seed=rows)
    part = ArchiveSink(tmp_path, 1, row_group_rows=group).build_part("archive", "0", None)
    for table in tables:
        part.write_batch([table])
    part.snapshot()
    (path,) = tmp_path.rglob("*.parquet")
    file = pq.ParquetFile(path)
    assert file.read().to_pylist() == pa.concat_tables(tables).to_pylist()
    assert file.schema_arrow == tables[0].schema
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert max(groups) <= group + rows
    assert not list(tmp_path.rglob(".*"))


def test_archive_deletes_what_was_not_committed(tmp_path: Path) -> None:
    sink = ArchiveSink(tmp_path, 1, row_group_rows=2)
    part = sink.build_part("archive", "0", None)
    states = []
    for n in range(3):
        part.write_batch([table(n), table(n, n), table()])
        states.append(part.snapshot())
    assert states == [1, 2, 3]
    assert part.snapshot() == 3
    part.write_batch([table(9), table(9)])
    resumed = sink.build_part("archive", "0", 2)
    assert sorted(archived(tmp_path).values()) == [[0, 0, 0], [1, 1, 1]]
    assert not list(tmp_path.rglob(".*"))
    resumed.write_batch([table(5)])
    assert resumed.snapshot() == 3
    assert list(archived(tmp_path).values())[-1] == [5]
    resumed.write_batch([table(6)])
    resumed.close()
    assert len(list(tmp_path.rglob("*.*"))) == 3


def test_archive_is_not_deleted_for_a_lost_recovery_store(run: Run, tmp_path: Path) -> None:
    run([("0", table(n)) for n in range(12)], ArchiveSink(tmp_path, 1))
    before = archived(tmp_path)
    assert len(before) == 12
    with pytest.raises(StateError, match="12 files lie beyond number 0"):
        run([("0", table(0))], ArchiveSink(tmp_path, 1))
    assert archived(tmp_path) == before


def test_archive_refuses_other_columns_and_unknown_partitions(run: Run, tmp_path: Path) -> None:
    part = ArchiveSink(tmp_path, 1).build_part("archive", "0", None)
    part.write_batch([table(0)])
    part.write_batch([pa.table({"m": [1]})])
    with pytest.raises(StateError, match="the columns changed within one epoch"):
        part.snapshot()
    part.close()
    with pytest.raises(StateError, match="an item for partition '5'"):
        run([("5", table(0))], ArchiveSink(tmp_path, 2))
    with pytest.raises(StateError, match="cannot be the name"):
        ArchiveSink(tmp_path, ["../a"])


def test_dead_letters_are_cut_back(tmp_path: Path) -> None:
    path = tmp_path / "dead" / "letters.ndjson"
    sink = DeadLetterSink(path)
    part = sink.build_part("dead", "0", None)
    assert part.snapshot() == 0
    assert not path.parent.exists()
    part.write_batch([letter(0)])
    size = part.snapshot()
    part.write_batch([letter(1), letter(2)])
    part.close()
    resumed = sink.build_part("dead", "0", size)
    assert path.stat().st_size == size == resumed.snapshot()
    resumed.write_batch([letter(3)])
    assert resumed.snapshot() == 2 * size
    resumed.close()
    kept = [msgspec.json.decode(line, type=DeadLetter) for line in path.read_bytes().splitlines()]
    assert kept == [letter(0), letter(3)]


@pytest.mark.parametrize(
    ("record", "size", "raw", "encoding"),
    [
        (b'{"a":1}', None, '{"a":1}', "utf-8"),
        (b"\xff\x00", None, base64.b64encode(b"\xff\x00").decode(), "base64"),
        (b"x" + "é".encode() * 3000, None, "x" + "é" * 2047, "utf-8"),
        (b"ab" + "é".encode()[:1], 9000, "ab", "utf-8"),
        (b"ab" + "é".encode()[:1], None, base64.b64encode(b"ab\xc3").decode(), "base64"),
    ],
)
def test_a_dead_letter_keeps_what_can_be_read(
    record: bytes, size: int | None, raw: str, encoding: str
) -> None:
    kept = DeadLetter.of(
        record, reason="r", origin="o", line=1, position=0, received_at=0, size=size
    )
    assert (kept.raw, kept.raw_encoding) == (raw, encoding)
    assert kept.raw_bytes == (size or len(record))
    assert len(kept.raw.encode()) <= RAW_BYTES


def test_rows_reach_the_store(run: Run, store: redis.Redis, store_url: str, tmp_path: Path) -> None:
    payload = resp(b"SET", b"a", b"1") + resp(b"MSET", b"b", b"2", b"c", b"3")
    forms: list[Any] = [payload, memoryview(payload), np.frombuffer(payload, np.uint8)]
    run([("3", RowFlush(form, 2, 3)) for form in forms], RowSink(store_url))
    assert store.mget("a", "b", "c") == [b"1", b"2", b"3"]
    part = RowSink(store_url).build_part("rows", "0", 10)
    part.write_batch([RowFlush(payload, 2, 3)])
    assert part.snapshot() == 13
    part.close()


def test_a_large_payload_with_many_replies_does_not_block(
    run: Run, store: redis.Redis, store_url: str
) -> None:
    n = 100_000
    payload = b"".join(resp(b"SET", b"row:%d" % i, b"x" * 200) for i in range(n))
    run([("0", RowFlush(payload, n, n))], RowSink(store_url, outstanding=100))
    assert store.dbsize() == n


def test_a_peer_that_stops_reading_until_its_replies_are_taken() -> None:
    """A proxy may do so; the bounds on both sides are far below the payload."""
    n = 30_000
    answered = []

    def serve(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with peer, peer.makefile("rb") as commands:
            while True:
                head = commands.readline()
                if not head:
                    return
                words = [
                    commands.read(int(commands.readline()[1:]) + 2) for _ in range(int(head[1:]))
                ]
                greeting = words[0].startswith((b"CLIENT", b"PING"))
                peer.sendall(b"+OK\r\n" if greeting else b"$100\r\n" + b"y" * 100 + b"\r\n")
                answered.append(not greeting)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}"
        part = RowSink(url, timeout=20).build_part("rows", "0", None)
        part.write_batch([RowFlush(resp(b"SET", b"k", b"x" * 100) * n, n, n)])
        assert part.snapshot() == n
        part.close()
        thread.join()
    assert sum(answered) == n


@pytest.fixture
def full_store(store: redis.Redis) -> Iterator[redis.Redis]:
    store.config_set("maxmemory", 1)
    yield store
    store.config_set("maxmemory", 0)


def test_a_refusal_is_not_missed(run: Run, store_url: str, full_store: redis.Redis) -> None:
    with pytest.raises(StoreError, match=r"refused: OutOfMemoryError: .*maxmemory"):
        run([("0", RowFlush(resp(b"SET", b"a", b"1"), 1, 1))], RowSink(store_url))
    full_store.config_set("maxmemory", 0)
    wrong = resp(b"SET", b"a", b"1") + resp(b"LPUSH", b"a", b"1")
    with pytest.raises(StoreError, match="wrong kind of value"):
        run([("0", RowFlush(wrong, 2, 2))], RowSink(store_url))
    part = RowSink(store_url, outage_seconds=0).build_part("rows", "0", None)
    part.write_batch([RowFlush(resp(b"SET", b"a", b"1"), 2, 1)])  # one reply never comes
    full_store.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(StoreError, match="no answer"):
        part.snapshot()
    with pytest.raises(StoreError, match="after an earlier failure"):
        part.write_batch([RowFlush(resp(b"SET", b"a", b"1"), 1, 1)])
    with pytest.raises(StoreError, match="no answer"):
        RowSink("unix:///nowhere/server.sock").build_part("rows", "0", None)


def test_partitions_of_a_worker_share_a_connection(store: redis.Redis, store_url: str) -> None:
    before = connections(store)
    sink = RowSink(store_url)
    parts = [sink.build_part("rows", name, None) for name in sink.list_parts()]
    assert len(parts) == 16
    assert connections(store) == before + 1
    for part in parts:
        part.write_batch([RowFlush(resp(b"INCR", b"n"), 1, 1)])
    assert [part.snapshot() for part in parts] == [1] * 16
    assert store.get("n") == b"16"
    store.client_kill_filter(_type="normal", skipme=True)
    parts[0].write_batch([RowFlush(resp(b"INCR", b"n"), 1, 1)])
    assert parts[0].snapshot() == 2
    for part in parts:
        part.close()
    again = sink.build_part("rows", "0", 1)
    again.write_batch([RowFlush(resp(b"INCR", b"n"), 1, 1)])
    assert again.snapshot() == 2
    again.close()
