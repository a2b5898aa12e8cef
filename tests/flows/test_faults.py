"""What can be wrong with input, store and data directory: told clearly, and nothing else lost."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import redis

from nextbest.features import NextbestError, SourceError, StateError, StoreError
from nextbest.features.online import FeatureClient, RowDecoder
from nextbest.flows.sources import FileSource, ValkeyStreamSource
from tests.flows.test_decode import Event, arrow, catalog, make_event, make_log, ndjson, plan
from tests.flows.test_pipeline import LATER, Watch, Worker, clear, write


@pytest.fixture
def worker(tmp_path: Path, store_url: str) -> Worker:
    return Worker(tmp_path / "data", store_url)


@pytest.mark.parametrize("payload", [b"", b"\n\n", None])
def test_empty_input(tmp_path: Path, worker: Worker, payload: bytes | None) -> None:
    path = tmp_path / "log.ndjson"
    if payload is None:
        path = write(tmp_path, [], "log.parquet")
    else:
        path.write_bytes(payload)
    watch = worker.run(FileSource(path))
    assert (watch.counts, watch.stored, watch.refused) == ([], 0, 0)
    assert (worker.rows(), worker.model(), worker.letters()) == ({}, None, [])
    assert not worker.archive()


def bad_lines() -> list[tuple[bytes, str, str | None]]:
    """Every kind of bad event: the line, the reason, the path."""
    ahead = time.time_ns() // 1000 + 3 * 86_400_000_000
    good: Event = make_event(900, "ann", "buy", 1, value=1.5, category="tea")

    def line(**changes: Any) -> bytes:
        event = {**good, **changes}
        return json.dumps({k: v for k, v in event.items() if v != "drop"}).encode()

    return [
        (b"{not json", "JSON is malformed", None),
        (b'{"event_id":"x"', "truncated", None),
        (b"[1,2]", "Expected `object`, got `array`", None),
        (b"\xff\xfe{}", "", None),
        (line(event_id="drop"), "missing required field `event_id`", None),
        (line(customer_id="drop"), "missing required field `customer_id`", None),
        (line(event_timestamp="drop"), "missing required field `event_timestamp`", None),
        (line(type="drop"), "missing required field `type`", None),
        (line(customer_id=7), "Expected `str`, got `int`", "$.customer_id"),
        (line(customer_id=""), "length >= 1", "$.customer_id"),
        (line(event_timestamp="now"), "Expected `int`, got `str`", "$.event_timestamp"),
        (line(properties={"value": "9"}), "Expected `float | null`", "$.properties.value"),
        (line(properties={"results": 1.5}), "Expected `int | null`", "$.properties.results"),
        (line(properties={"good": "yes"}), "Expected `bool | null`", "$.properties.good"),
        (line(type="steal"), "Invalid enum value 'steal'", "$.type"),
        (line(properties={"value": float("nan")}), "malformed", None),
        (line(properties={"value": float("inf")}), "malformed", None),
        (b'{"properties":{"value":1e999},' + line()[1:], "", "$.properties.value"),
        (line(event_timestamp=0), "Expected `int` >= 1", "$.event_timestamp"),
        (line(event_timestamp=-(10**12)), "Expected `int` >= 1", "$.event_timestamp"),
        (line(event_timestamp=10**17), "Expected `int` <=", "$.event_timestamp"),
        (line(event_timestamp=ahead), "s in the future", "$.event_timestamp"),
        (line(customer_id="c" * 10_000), "length <= 256", "$.customer_id"),
        (line(event_id="é" * 200), "at most 256 bytes", "$.event_id"),
        (line(properties={"category": "x" * 5000}), "length <= 4096", "$.properties.category"),
        (line(properties={"note": "x" * 2_000_000}), "longer than 1048576 bytes", None),
    ]


def test_bad_input_costs_nothing_else(tmp_path: Path, worker: Worker) -> None:
    log = make_log(28, 200)
    expected = Worker(tmp_path / "expected", worker.url)
    expected.run(FileSource(write(tmp_path, log, "good.ndjson"), batch_rows=30))
    rows, model, _, events, _ = expected.all()
    clear(worker.url)
    bad = bad_lines()
    lines = ndjson(log).splitlines()
    places = np.linspace(0, len(lines) + len(bad) - 1, len(bad)).astype(int).tolist()
    for place, (line, _, _) in zip(places, bad, strict=True):
        lines.insert(place, line)
    path = tmp_path / "mixed.ndjson"
    path.write_bytes(b"\n".join(lines))
    watch = worker.run(FileSource(path, batch_rows=30))
    letters = worker.letters()
    assert [x["line"] for x in letters] == [place + 1 for place in places]
    assert [x["position"] for x in letters] == places
    for letter, (line, reason, where) in zip(letters, bad, strict=True):
        assert reason in letter["reason"], letter
        assert letter["path"] == where, letter
        assert letter["raw_bytes"] == len(line)
        assert letter["origin"] == str(path)
    assert watch.refused == len(bad)
    assert sum(c.accepted + c.late for c in watch.counts) == len(events)
    found, good = worker.all(), [e["event_id"] for e in events]
    assert [e["event_id"] for e in found[3]] == good
    assert worker.model() == model
    assert found[0].keys() == rows.keys()
    names = [name.rpartition(b":")[2].decode() for name in rows]
    after = FeatureClient(worker.url, catalog).get(names, at=LATER)
    before = RowDecoder(plan).decode(list(rows.values()), LATER)  # but for the log positions equal
    assert after.rows.values.tobytes() == before.values.tobytes()


def test_a_missing_or_foreign_file(tmp_path: Path, worker: Worker) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.ndjson: no such file"):
        FileSource(tmp_path / "nowhere.ndjson")
    path = tmp_path / "log.parquet"
    path.write_bytes(b"this is not Parquet, is it?")
    with pytest.raises(SourceError, match=r"log\.parquet: not a readable Parquet file"):
        worker.run(FileSource(path))
    pq.write_table(arrow(make_log(1, 9)).drop(["type"]), path)
    with pytest.raises(SourceError, match=r"log\.parquet: column 'type' is missing"):
        worker.run(FileSource(path))
    write(tmp_path, make_log(1, 9), "log.parquet")
    worker.run(FileSource(path))  # nothing of it was taken before
    assert len(worker.archive()) > 5


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    path = write(tmp_path, make_log(29, 50))
    for url in (f"redis://me:s3cret@127.0.0.1:{port}/0", "unix:///nowhere/store.sock"):
        began = time.monotonic()
        worker = Worker(tmp_path / "data", url)
        with pytest.raises(StoreError, match=r"no answer: .*NEXTBEST_REDIS_URL") as caught:
            worker.run(FileSource(path))
        assert time.monotonic() - began < 60  # an outage in the middle is waited for longer
        assert "s3cret" not in str(caught.value)
        error: BaseException | None = caught.value
        for _ in range(20):
            error = error.__cause__ if error is not None else None
        assert error is None  # causes are no circle, which would hang whoever prints them
        with pytest.raises(StoreError, match="no answer"):
            worker.run(ValkeyStreamSource(url, drain=True))


def test_a_store_that_goes_away_in_the_middle(
    tmp_path: Path, worker: Worker, store: redis.Redis
) -> None:
    path = write(tmp_path, make_log(30, 600))

    def forbid() -> None:
        store.config_set("maxmemory", 1)

    try:
        watch = Watch(breaks={"counted": 20}, then=forbid)
        with pytest.raises(StoreError, match="refused: OutOfMemoryError"):
            worker.run(FileSource(path, batch_rows=25), watch)
    finally:
        store.config_set("maxmemory", 0)
    worker.run(FileSource(path, batch_rows=25))
    found = worker.all()
    clear(worker.url)
    other = Worker(tmp_path / "other", worker.url)
    other.run(FileSource(path, batch_rows=25))
    assert other.all() == found


def test_a_data_directory_keeps_its_shards(tmp_path: Path, worker: Worker) -> None:
    path = write(tmp_path, make_log(31, 60))
    worker.run(FileSource(path))
    for shards in (2, 8):
        worker.options["shards"] = shards
        with pytest.raises(
            StateError, match=f"is of 4 shards, not {shards}; set NEXTBEST_SHARDS=4"
        ):
            worker.run(FileSource(path))


def test_one_worker_at_a_time(tmp_path: Path, worker: Worker) -> None:
    path = write(tmp_path, make_log(32, 60))

    def second() -> None:
        with pytest.raises(StateError, match="data: another worker runs in this directory"):
            worker.run(FileSource(path))
        raise NextbestError("tried")

    with pytest.raises(NextbestError, match="tried"):
        worker.run(FileSource(path), Watch(breaks={"counted": 1}, then=second))
    worker.run(FileSource(path))
    assert worker.rows()


def test_a_run_without_recovery_does_not_touch_the_state_of_one_with_it(
    tmp_path: Path, worker: Worker
) -> None:
    path = write(tmp_path, make_log(33, 60))
    worker.run(FileSource(path), recover=False)
    rows = worker.rows()
    assert not worker.settings.recovery_dir.exists()
    assert worker.settings.data_dir.stat().st_mode & 0o777 == 0o700
    worker = Worker(tmp_path / "other", worker.url)
    worker.run(FileSource(path))
    assert worker.rows() == rows
    with pytest.raises(StateError, match="other: holds the state of an earlier run"):
        worker.run(FileSource(path), recover=False)
    worker.run(FileSource(path))


def test_a_crash_while_recovery_is_made_leaves_no_half(tmp_path: Path, worker: Worker) -> None:
    half = worker.settings.recovery_dir.with_suffix(".unfinished")
    half.mkdir(parents=True)
    (half / "part-0.sqlite3").write_bytes(b"torn")
    worker.run(FileSource(write(tmp_path, make_log(34, 20))))
    assert worker.rows()
    assert os.listdir(worker.settings.recovery_dir) == ["part-0.sqlite3"]


def test_state_of_another_kind_of_source(tmp_path: Path, worker: Worker) -> None:
    path = write(tmp_path, make_log(3, 20))
    worker.run(FileSource(path))
    with pytest.raises(StateError, match="another kind of source"):
        worker.run(ValkeyStreamSource(worker.url, "events", drain=True))


def test_state_without_its_recovery_store(tmp_path: Path, worker: Worker) -> None:
    path = write(tmp_path, make_log(3, 20))
    worker.run(FileSource(path))
    (worker.settings.recovery_dir).rename(tmp_path / "lost")
    with pytest.raises(StateError, match="recovery store 'recovery' is gone"):
        worker.run(FileSource(path))
