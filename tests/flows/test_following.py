"""Files that still grow, and files that make several partitions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink

from nextbest.features.errors import SourceError
from nextbest.flows.sources import FileSource, LogPartition, RawChunk, following


def lines(*numbers: int) -> bytes:
    return b"".join(b'{"n":%d}\n' % n for n in numbers)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def followed(path: Path, state: Any = None, **more: Any) -> LogPartition[Any]:
    return FileSource(path, follow=True, **more).build_part("in", "0", state)


class Clock:
    """Goes on when somebody waits, and never by itself."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of whoever follows files, so that a test of it depends on no machine."""
    clock = Clock()
    monkeypatch.setattr(following, "time", clock)
    return clock


def read_for(part: LogPartition[Any], clock: Clock, seconds: float = 0.1) -> list[RawChunk]:
    chunks: list[RawChunk] = []
    end = clock.now + seconds
    while clock.now < end:
        chunks += part.next_batch()
        clock.sleep(0.001)
    return chunks


def payload(chunks: list[RawChunk]) -> bytes:
    return b"".join(bytes(chunk.payload) for chunk in chunks)


def test_a_line_is_an_event_when_it_is_whole(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"\xef\xbb\xbf" + lines(0)[:4])
    part = followed(path)
    assert read_for(part, clock) == []
    append(path, lines(0)[4:] + lines(1) + b'{"n')
    chunks = read_for(part, clock)
    assert payload(chunks) == lines(0, 1)
    assert [chunk.line for chunk in chunks] == [1]
    append(path, b'":2}')
    assert read_for(part, clock) == []
    state = part.snapshot()
    append(path, b"\n")
    (chunk,) = read_for(part, clock)
    assert (chunk.payload, chunk.position, chunk.line, chunk.seq) == (lines(2), 2, 3, 1)
    part.close()
    (again,) = read_for(followed(path, state), clock)
    assert again == chunk


def test_a_long_line_that_grows(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(lines(0) + b"x" * (5 << 20))
    part = followed(path, max_event_bytes=1000)
    assert payload(read_for(part, clock)) == lines(0)
    append(path, b"x" * 100)
    assert read_for(part, clock) == []
    append(path, b"\n" + lines(1))
    fault, rest = read_for(part, clock)
    assert (fault.fault, fault.size, fault.line) == ("longer than 1000 bytes", (5 << 20) + 100, 2)
    assert (rest.payload, rest.line, rest.position) == (lines(1), 3, 2)


def test_new_files_are_found_and_read_in_order(tmp_path: Path, clock: Clock) -> None:
    part = followed(tmp_path)
    assert read_for(part, clock) == []
    (tmp_path / "b.ndjson").write_bytes(lines(2))
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.ndjson").write_bytes(lines(1))
    hidden = tmp_path / "_c.parquet"
    pq.write_table(pa.table({"n": [3]}), hidden)
    assert payload(read_for(part, clock, 0.7)) == lines(1, 2)
    hidden.rename(tmp_path / "sub" / "c.parquet")
    (chunk,) = read_for(part, clock, 0.7)
    assert chunk.payload["n"].to_pylist() == [3]
    assert (chunk.position, chunk.seq) == (2, 2)
    # What grew last is noticed sooner than what is new.
    append(tmp_path / "b.ndjson", lines(4))
    assert payload(read_for(part, clock)) == lines(4)


@pytest.mark.parametrize("size", [0, 8])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, clock: Clock, size: int) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(lines(0, 1))
    part = followed(path)
    assert payload(read_for(part, clock)) == lines(0, 1)
    path.write_bytes(lines(0)[:size])
    with pytest.raises(SourceError, match=rf"a\.ndjson: has changed .*\(16 bytes then, {size} now"):
        read_for(part, clock)


def run(run_flow: Any, source: FileSource, look: Callable[[RawChunk], None]) -> list[RawChunk]:
    chunks: list[RawChunk] = []
    flow = Dataflow("flow")

    def step(chunk: RawChunk) -> RawChunk:
        look(chunk)
        return chunk

    op.output("out", op.map("look", op.input("in", flow, source), step), TestingSink(chunks))
    run_flow(flow, every=0.02)
    return chunks


def test_files_are_followed_until_stopped(run_flow: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(lines(0))
    stop = threading.Event()

    def look(chunk: RawChunk) -> None:
        if chunk.seq < 5:
            append(path, lines(chunk.seq + 1))
        else:
            stop.set()

    chunks = run(run_flow, FileSource(tmp_path, follow=True, stop=stop), look)
    assert payload(chunks) == lines(*range(6))


def test_directories_make_partitions(run_flow: Any, tmp_path: Path) -> None:
    for number in range(3):
        directory = tmp_path / f"partition={number}" / "day=1"
        directory.mkdir(parents=True)
        (directory / "a.ndjson").write_bytes(lines(number, number + 10))
        (directory / "b.ndjson").write_bytes(lines(number + 20))
    chunks = run(run_flow, FileSource(tmp_path, partitions=3), lambda _: None)
    for number in range(3):
        mine = [chunk for chunk in chunks if chunk.partition == number]
        assert payload(mine) == lines(number, number + 10, number + 20)
        assert [chunk.position for chunk in mine] == [0, 2]
        assert [chunk.seq for chunk in mine] == [0, 1]
    source = FileSource(tmp_path, partitions=3)
    assert (source.partitions(), source.list_parts()) == (3, ["0", "1", "2"])
    with pytest.raises(SourceError, match=r"partition=2/.*belongs to no partition; of 2"):
        FileSource(tmp_path, partitions=2)


def test_following_is_cheap_and_soon(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(lines(0))
    part = followed(tmp_path)
    assert payload(read_for(part, clock, 0.6)) == lines(0)
    clock.waits.clear()
    assert [part.next_batch() for _ in range(10)] == [[]] * 10
    assert clock.waits == [pytest.approx(0.02)] * 10
    append(path, lines(1))
    clock.waits.clear()
    assert part.next_batch()
    assert [part.next_batch() for _ in range(5)] == [[]] * 5
    assert sum(clock.waits) == 0
