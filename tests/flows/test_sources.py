"""Sources: every record once, in order, at the right place; before and after a resume."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from nextbest.features.errors import EventError, SourceError, StoreError
from nextbest.flows.sources import (
    FileSource,
    LogPartition,
    RawChunk,
    ValkeyStreamSource,
    count_records,
    publish,
)
from tests.flows.conftest import Run


def records(chunk: RawChunk) -> list[tuple[int, int, int]]:
    """(position, line, n) of each record, as a decoder would number them."""
    if isinstance(chunk.payload, bytes):
        texts = chunk.payload.split(b"\n")
        found = [
            (i, msgspec.json.decode(text)["n"]) for i, text in enumerate(texts) if text.strip()
        ]
    else:
        found = list(enumerate(chunk.payload["n"].to_pylist()))
    places = [chunk.where(index, line) for index, (line, _) in enumerate(found)]
    assert [p for _, _, p in places] == chunk.positions(np.arange(len(found))).tolist()
    return [(p, line, n) for (_, line, p), (_, n) in zip(places, found, strict=True)]


def all_records(chunks: list[RawChunk]) -> list[tuple[int, int, int]]:
    return [record for chunk in chunks for record in records(chunk)]


def assert_a_log(chunks: list[RawChunk]) -> None:
    """Chunk numbers and positions have no gap; counts are true."""
    assert [chunk.seq for chunk in chunks] == list(range(len(chunks)))
    position = 0
    for chunk in chunks:
        assert chunk.position == position
        if chunk.fault is None:
            assert chunk.records == len(records(chunk))
        position += chunk.records


def lines(*numbers: int) -> bytes:
    return b"".join(b'{"n":%d}\n' % n for n in numbers)


def write_parquet(path: Path, numbers: range, row_group_size: int = 1000) -> None:
    kinds = pa.array([("view", "cart", "purchase")[n % 3] for n in numbers])
    table = pa.table({"n": pa.array(numbers), "type": kinds, "other": pa.array(numbers)})
    pq.write_table(table, path, row_group_size=row_group_size)


def mixed_directory(root: Path) -> None:
    (root / "sub").mkdir(parents=True)
    (root / "a.ndjson").write_bytes(lines(*range(100)))
    (root / "b.jsonl").write_bytes(b"\xef\xbb\xbf\n \r\n" + lines(100, 101) + b'\n{"n":102}')
    (root / "c.ndjson").touch()
    write_parquet(root / "d.parquet", range(103, 203), row_group_size=30)
    (root / "sub" / "e.ndjson").write_bytes(lines(203))
    (root / ".hidden.ndjson").write_bytes(lines(-1))
    (root / "_started.parquet").write_bytes(b"half a file")


def test_files_become_one_log(run: Run, tmp_path: Path) -> None:
    mixed_directory(tmp_path / "in")
    chunks = run(FileSource(tmp_path / "in", batch_rows=40))
    assert_a_log(chunks)
    found = all_records(chunks)
    assert [(p, n) for p, _, n in found] == [(i, i) for i in range(204)]
    assert [line for p, line, _ in found if 100 <= p <= 104] == [3, 4, 6, 1, 2]
    assert max(chunk.records for chunk in chunks) == 40
    assert {Path(chunk.origin).name for chunk in chunks} == {
        "a.ndjson", "b.jsonl", "d.parquet", "e.ndjson",
    }  # fmt: skip


def test_a_resume_gives_exactly_the_rest(run: Run, tmp_path: Path) -> None:
    mixed_directory(tmp_path / "in")
    undisturbed = run(FileSource(tmp_path / "in", batch_rows=7))
    chunks: list[RawChunk] = []
    while True:
        stop = threading.Event()
        seen: list[RawChunk] = []

        def look(chunk: RawChunk, seen: list[RawChunk] = seen, stop: Any = stop) -> None:
            seen.append(chunk)
            if len(seen) == 4:
                stop.set()

        part = run(FileSource(tmp_path / "in", batch_rows=7, stop=stop), tmp_path / "db", look)
        if not part:
            break
        chunks += part
    assert len(chunks) > 20
    assert chunks == undisturbed


def test_a_crash_repeats_only_what_was_not_committed(run: Run, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", range(5000))
    source = FileSource(tmp_path / "a.parquet", batch_rows=100)
    committed = threading.Event()

    def crash(chunk: RawChunk) -> None:
        committed.wait(0.005)
        if chunk.seq == 30:
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        run(source, tmp_path / "db", crash)
    rest = run(source, tmp_path / "db")
    first = rest[0]
    assert 0 < first.seq <= 30
    assert first.position == first.seq * 100
    assert [n for _, _, n in all_records(rest)] == list(range(first.position, 5000))


def pieces_after_every_chunk(source: FileSource) -> list[RawChunk]:
    """Read with a new partition, made from the last snapshot, for every chunk."""
    chunks: list[RawChunk] = []
    state = None
    while True:
        part = source.build_part("in", "0", state)
        try:
            chunks += part.next_batch()
        except StopIteration:
            return chunks
        state = part.snapshot()
        part.close()


@pytest.mark.parametrize("batch_rows", [1, 3, 64, 5000])
def test_limits_of_chunks_depend_on_the_file_alone(
    run: Run, tmp_path: Path, batch_rows: int
) -> None:
    rng = np.random.default_rng(7)
    text = bytearray()
    for n in range(400):
        text += b'{"n":%d,"pad":"%s"}' % (n, b"x" * int(rng.integers(0, 1500)))
        text += (b"\n", b"\n\n", b" \r\n", b"\n\t\n")[int(rng.integers(4))]
    (tmp_path / "a.ndjson").write_bytes(text)
    write_parquet(tmp_path / "b.parquet", range(400, 600), row_group_size=50)
    source = FileSource(tmp_path, batch_rows=batch_rows, max_event_bytes=1200)
    whole = run(source)
    assert_a_log(whole)
    assert sum(chunk.records for chunk in whole) == 600
    assert any(chunk.fault for chunk in whole)
    assert pieces_after_every_chunk(source) == whole


def test_a_line_too_long_is_passed_over_in_little_memory(run: Run, tmp_path: Path) -> None:
    long = b'{"n":"' + b"x" * (9 << 20) + b'"}'
    (tmp_path / "a.ndjson").write_bytes(lines(0) + long + b"\n" + lines(1) + long)
    chunks = run(FileSource(tmp_path, max_event_bytes=1000))
    assert_a_log(chunks)
    assert [(c.position, c.line, c.records, c.size) for c in chunks] == [
        (0, 1, 1, 0), (1, 2, 1, len(long)), (2, 3, 1, 0), (3, 4, 1, len(long)),
    ]  # fmt: skip
    assert chunks[1].fault == "longer than 1000 bytes"
    assert chunks[1].payload == long[:4096]


def test_parquet_columns_and_dictionaries(run: Run, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", range(100), row_group_size=9)
    chunks = run(FileSource(tmp_path, batch_rows=30, columns=("n", "type", "absent")))
    assert [chunk.records for chunk in chunks] == [30, 6, 30, 6, 28]
    for chunk in chunks:
        assert isinstance(chunk.payload, pa.Table)
        assert chunk.payload.column_names == ["n", "type"]
        assert pa.types.is_dictionary(chunk.payload.schema.field("type").type)
        assert {column.num_chunks for column in chunk.payload.columns} == {1}


def test_credit_bounds_an_epoch(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(lines(*range(100)))
    part = FileSource(tmp_path, batch_rows=10, epoch_bytes=150).build_part("in", "0", None)
    assert isinstance(part, LogPartition)
    taken = [len(part.next_batch()) for _ in range(5)]
    assert taken == [1, 1, 0, 0, 0]
    assert part.next_awake() is not None
    part.snapshot()
    assert len(part.next_batch()) == 1


def test_files_that_change_between_runs(run: Run, tmp_path: Path) -> None:
    db = tmp_path / "db"
    first = tmp_path / "first.ndjson"
    first.write_bytes(lines(0, 1))
    assert [r[::2] for r in all_records(run(FileSource(first), db))] == [(0, 0), (1, 1)]
    # Grown by whole lines: only those are new, and they are numbered on.
    first.write_bytes(lines(0, 1, 2))
    assert all_records(run(FileSource(first), db)) == [(2, 3, 2)]
    # Gone when finished, and another one has come.
    first.unlink()
    write_parquet(tmp_path / "second.parquet", range(3, 5))
    assert all_records(run(FileSource(tmp_path / "*.parquet"), db)) == [(3, 1, 3), (4, 2, 4)]
    write_parquet(tmp_path / "second.parquet", range(30, 90))
    with pytest.raises(SourceError, match=r"second\.parquet: has changed since it was read"):
        run(FileSource(tmp_path / "second.parquet"), db)


def test_a_file_read_in_part_must_stay(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(lines(0, 1))
    part = FileSource(tmp_path / "a.ndjson", batch_rows=1).build_part("in", "0", None)
    part.next_batch()
    state = part.snapshot()
    part.close()
    (tmp_path / "b.ndjson").write_bytes(lines(2))
    with pytest.raises(SourceError, match=r"a\.ndjson: was read in part"):
        FileSource(tmp_path / "b.ndjson").build_part("in", "0", state)


def test_empty_files_give_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").touch()
    (tmp_path / "b.ndjson").write_bytes(b"\n \n\t\r\n")
    (tmp_path / "c.parquet").touch()
    write_parquet(tmp_path / "d.parquet", range(0))
    assert run(FileSource(tmp_path)) == []


def test_input_that_is_missing_or_unknown(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("n\n1\n")
    for path, why in [
        (tmp_path / "none.ndjson", r"none\.ndjson: no such file"),
        (tmp_path / "*.ndjson", r"\*\.ndjson: no event file matches"),
        (tmp_path, r"no event files .* in this directory"),
        (tmp_path / "a.txt", r"a\.txt: expected a file that ends in"),
    ]:
        with pytest.raises(SourceError, match=why):
            FileSource(path)
    with pytest.raises(SourceError, match="no event files were named"):
        FileSource([])


def test_a_damaged_parquet_file_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 this is rubbish")
    with pytest.raises(SourceError, match=r"a\.parquet: not a readable Parquet file"):
        run(FileSource(tmp_path / "a.parquet"))
    write_parquet(tmp_path / "b.parquet", range(20_000), row_group_size=5000)
    whole = bytearray((tmp_path / "b.parquet").read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 5000] = b"\xff" * 5000
    (tmp_path / "b.parquet").write_bytes(whole)
    with pytest.raises(SourceError, match=r"b\.parquet: damaged after row \d+"):
        run(FileSource(tmp_path / "b.parquet"))


def test_streams_are_drained_and_resumed(
    run: Run, store: redis.Redis, store_url: str, tmp_path: Path
) -> None:
    for partition in range(2):
        blobs = [lines(*range(i * 3, i * 3 + 3)) for i in range(10)]
        publish(store, f"events:{partition}", blobs)

    def source() -> ValkeyStreamSource:
        return ValkeyStreamSource(store_url, "events", partitions=2, drain=True)

    chunks = run(source(), tmp_path / "db")
    for partition in range(2):
        mine = [chunk for chunk in chunks if chunk.partition == partition]
        assert [chunk.seq for chunk in mine] == list(range(len(mine)))
        assert all_records(mine) == [(i // 3 << 20 | i % 3, i % 3 + 1, i) for i in range(30)]
        assert {chunk.origin for chunk in mine} == {f"events:{partition}"}
    assert run(source(), tmp_path / "db") == []
    publish(store, "events:1", lines(30, 31))
    (chunk,) = run(source(), tmp_path / "db")
    seq = sum(chunk.partition == 1 for chunk in chunks)
    assert (chunk.partition, chunk.position, chunk.line, chunk.seq) == (1, 10 << 20, 1, seq)
    assert chunk.records == count_records(lines(30, 31)) == 2


def test_a_live_stream_is_read_until_stopped(run: Run, store: redis.Redis, store_url: str) -> None:
    stop = threading.Event()

    def look(chunk: RawChunk) -> None:
        if chunk.seq < 5:
            publish(store, "events", lines(chunk.seq + 1))
        else:
            stop.set()

    publish(store, "events", lines(0))
    chunks = run(ValkeyStreamSource(store_url, "events", stop=stop), look=look)
    assert [n for _, _, n in all_records(chunks)] == list(range(6))


def test_entries_that_are_not_ours(run: Run, store: redis.Redis, store_url: str) -> None:
    store.xadd("events", {"name": "stranger"})
    store.xadd("events", {"events": b" \n"})
    publish(store, "events", lines(1))
    strange, ours = run(ValkeyStreamSource(store_url, "events", drain=True))
    assert strange.fault == "an entry without the field `events`"
    assert (strange.records, strange.size) == (1, len(b'[["name","stranger"]]'))
    assert strange.where(0, 0)[1:] == (1, 0)
    assert (records(ours), ours.position, ours.seq) == ([(2 << 20, 1, 1)], 2 << 20, 1)
    with pytest.raises(EventError, match="no event in this blob"):
        publish(store, "events", [lines(1), b""])


def test_a_stream_that_lost_entries_is_refused(store: redis.Redis, store_url: str) -> None:
    source = ValkeyStreamSource(store_url, "events")
    publish(store, "events", [lines(n) for n in range(4)])
    store.xtrim("events", maxlen=3, approximate=False)
    part = source.build_part("in", "0", None)
    part._reader._count = 1
    assert [chunk.line for chunk in part.next_batch()] == [1]
    state = part.snapshot()
    store.xtrim("events", maxlen=2, approximate=False)
    source.build_part("in", "0", state)
    store.xtrim("events", maxlen=1, approximate=False)
    with pytest.raises(StoreError, match=r"1 entries after .* were trimmed before they were read"):
        source.build_part("in", "0", state)
    store.delete("events")
    with pytest.raises(StoreError, match="ends at 0-0, before"):
        source.build_part("in", "0", state)


def test_a_store_that_is_away_or_no_stream(run: Run, store: redis.Redis, store_url: str) -> None:
    with pytest.raises(StoreError, match="no answer"):
        run(ValkeyStreamSource("unix:///nowhere/server.sock", "events"))
    store.set("events", "text")
    with pytest.raises(StoreError, match=r"WRONGTYPE|wrong kind of value"):
        run(ValkeyStreamSource(store_url, "events"))
