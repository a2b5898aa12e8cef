"""The whole dataflow: real files and streams, the real engine, a real store."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import redis

from nextbest.features import SettingsError
from nextbest.features.batch import DUPLICATE
from nextbest.features.online import FeatureClient, RowDecoder
from nextbest.features.plan import Plan
from nextbest.flows import shard
from nextbest.flows.decisions import DecisionPoint
from nextbest.flows.featurize import Counted
from nextbest.flows.pipeline import Observers, build_flow, model_key
from nextbest.flows.run import run_flow
from nextbest.flows.settings import Settings
from nextbest.flows.sources import FileSource, ValkeyStreamSource, publish
from nextbest.learners import ActionRanker
from tests.conftest import row_names
from tests.flows.test_decode import (
    MINUTE,
    START,
    Event,
    arrow,
    catalog,
    make_event,
    make_log,
    ndjson,
    point,
)
from tests.flows.test_featurize import one_by_one
from tests.flows.test_learn import plain, twin

LATER = START + 20_000 * MINUTE


@dataclass
class Watch:
    """What a run reported; and a place to break it."""

    counts: list[Counted] = field(default_factory=list)
    stored: int = 0
    refused: int = 0
    breaks: dict[str, int] = field(default_factory=dict)
    then: Callable[[], None] | None = None

    def observers(self) -> Observers:
        return Observers(counted=self._count, stored=self._store, refused=lambda _: self._refuse())

    def _tick(self, what: str) -> None:
        if what in self.breaks:
            self.breaks[what] -= 1
            if self.breaks[what] == 0:
                if self.then is None:
                    raise ZeroDivisionError(what)
                self.then()

    def _count(self, counted: Counted) -> None:
        self.counts.append(counted)
        self._tick("counted")

    def _store(self, rows: int, seconds: float) -> None:
        assert seconds > 0
        self.stored += rows
        self._tick("stored")

    def _refuse(self) -> None:
        self.refused += 1
        self._tick("refused")


@dataclass
class Worker:
    """A data directory and the store it writes to."""

    data_dir: Path
    url: str
    decisions: DecisionPoint | None = point
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return Settings(
            data_dir=self.data_dir, **{"shards": 4, "epoch_seconds": 0.01, **self.options}
        )

    def run(self, source: Any, watch: Watch | None = None, *, recover: bool = True) -> Watch:
        watch = watch or Watch()
        flow = build_flow(
            source, catalog, self.settings, self.url,
            decisions=self.decisions, observers=watch.observers(),
        )  # fmt: skip
        run_flow(flow, self.settings, recover=recover)
        return watch

    def rows(self) -> dict[bytes, bytes]:
        with redis.Redis.from_url(self.url) as store:
            names: Any = row_names(store, "nextbest:mart:customer:")
            values: Any = store.mget(names) if names else []
            return dict(zip(names, values, strict=True))

    def model(self) -> bytes | None:
        with redis.Redis.from_url(self.url) as store:
            found = store.get(model_key(catalog, point))
            assert found is None or isinstance(found, bytes)
            return found

    def archive(self, what: str = "events") -> list[dict[str, Any]]:
        files = sorted((self.settings.archive_dir / what).rglob("*.parquet"))
        return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]

    def letters(self) -> list[dict[str, Any]]:
        path = self.settings.dead_letters_dir / "dead.ndjson"
        return [json.loads(x) for x in path.read_bytes().splitlines()] if path.exists() else []

    def all(self) -> tuple[Any, ...]:
        """Everything that a run leaves behind."""
        letters = [(x["position"], x["reason"]) for x in self.letters()]
        examples = plain(self.archive("examples"))
        events = sorted(self.archive(), key=lambda row: row["position"])
        return self.rows(), self.model(), examples, events, letters


@pytest.fixture
def worker(tmp_path: Path, store_url: str) -> Worker:
    return Worker(tmp_path / "data", store_url)


def write(tmp_path: Path, log: Sequence[Event], name: str = "log.ndjson") -> Path:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(arrow(log), path)
    else:
        path.write_bytes(ndjson(log))
    return path


def clear(url: str) -> None:
    with redis.Redis.from_url(url) as store:
        store.flushall()


def test_rows_events_and_examples_are_those_of_one_event_at_a_time(
    tmp_path: Path, worker: Worker
) -> None:
    log = make_log(21, 800)
    watch = worker.run(FileSource(write(tmp_path, log), batch_rows=64))
    state, flags, _ = one_by_one(log, tmp_path)
    names = list(state.customers())
    found = FeatureClient(worker.url, catalog).get(names, at=LATER)
    expected = state.read(names, LATER)
    assert found.rows.values.tobytes() == expected.values.tobytes()
    assert found.rows.state.tobytes() == expected.state.tobytes()
    assert found.rows.age_ms.tobytes() == expected.age_ms.tobytes()
    assert len(worker.rows()) == len(names)
    accepted = [i for i, flag in enumerate(flags) if flag != DUPLICATE]
    assert sorted(row["position"] for row in worker.archive()) == accepted
    assert sum(c.accepted + c.late for c in watch.counts) == len(accepted)
    assert sum(c.duplicate for c in watch.counts) == len(log) - len(accepted)
    examples, ranker = twin(tmp_path, log)
    assert plain(worker.archive("examples")) == plain(examples)
    assert worker.model() == ranker.to_bytes()
    assert ActionRanker.from_bytes(worker.model() or b"").updates == len(examples)
    assert watch.stored >= len(names)
    assert not worker.letters()


def test_parquet_and_ndjson_give_the_same(tmp_path: Path, worker: Worker) -> None:
    log = make_log(22, 300)
    worker.run(FileSource(write(tmp_path, log), batch_rows=40))
    first = worker.all()
    clear(worker.url)
    other = Worker(tmp_path / "other", worker.url)
    other.run(FileSource(write(tmp_path, log, "log.parquet"), batch_rows=77))
    assert other.all() == first
    assert len(first[0]) == 12


def test_a_directory_of_both_with_columns_of_their_own(tmp_path: Path, worker: Worker) -> None:
    log = make_log(23, 90)
    write(
        tmp_path,
        [{**e, "properties": {**e["properties"], "shop": "n"}} for e in log[:30]],
        "in/a.ndjson",
    )
    write(tmp_path, log[30:60], "in/b.parquet")
    table = arrow(log[60:]).append_column("till", [list(range(30))])
    pq.write_table(table, tmp_path / "in" / "c.parquet")
    worker.options["epoch_seconds"] = 30.0
    worker.run(FileSource(tmp_path / "in"))
    extras = {row["position"]: row["extra"] for row in worker.archive()}
    assert json.loads(extras[0]) == {"shop": "n"}
    assert extras[30] is None
    assert json.loads(extras[89]) == {"till": 29}
    assert len(list(worker.settings.archive_dir.rglob("events/*/*.parquet"))) == 1


BREAKS = [{"counted": 3}, {"stored": 2}, {"counted": 30}, {"stored": 15}, {"refused": 1}]


@pytest.mark.parametrize("gently", [True, False])
def test_interrupted_runs_leave_what_an_undisturbed_one_does(
    tmp_path: Path, worker: Worker, gently: bool
) -> None:
    log = make_log(24, 600)
    path = write(tmp_path, log)
    lines = path.read_bytes().splitlines(keepends=True)
    for at in (100, 500, 501):
        lines.insert(at, b'{"broken": %d}\n' % at)
    path.write_bytes(b"".join(lines))
    whole = Worker(tmp_path / "whole", worker.url)
    whole.run(FileSource(path, batch_rows=20))
    expected = whole.all()
    assert len(expected[-1]) == 3
    clear(worker.url)
    interrupted = 0
    for breaks in BREAKS:
        stop = threading.Event()
        watch = Watch(breaks=dict(breaks), then=stop.set if gently else None)
        try:
            worker.run(FileSource(path, batch_rows=20, stop=stop), watch)
        except ZeroDivisionError:
            assert not gently
            interrupted += 1
        interrupted += stop.is_set()
    assert interrupted >= 4
    worker.run(FileSource(path, batch_rows=20))
    assert worker.all() == expected
    positions = [row["position"] for row in worker.archive()]
    assert len(positions) == len(set(positions))
    clear(worker.url)
    worker.run(FileSource(path, batch_rows=20))  # nothing is new; the rows are published again
    assert worker.all() == expected


def test_rows_that_wait_are_published_at_the_end(
    tmp_path: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, make_log(35, 300))
    worker.run(FileSource(path, batch_rows=10))
    expected = worker.rows()
    clear(worker.url)
    # After its first rows, a shard would now wait for hours.
    monkeypatch.setattr(shard, "_BUSY_SHARE", 1e9)
    monkeypatch.setattr(shard, "_LONGEST_PAUSE", 1e9)
    slow = Worker(tmp_path / "slow", worker.url)
    watch = slow.run(FileSource(path, batch_rows=10))
    assert slow.rows() == expected
    assert watch.stored <= 2 * len(expected)


def test_without_an_archive_there_is_none(tmp_path: Path, worker: Worker) -> None:
    log = make_log(25, 200)
    path = write(tmp_path, log)
    worker.run(FileSource(path))
    rows = worker.rows()
    clear(worker.url)
    plainly = Worker(tmp_path / "other", worker.url, None, {"archive": False})
    plainly.run(FileSource(path))
    assert plainly.rows() == rows
    assert not plainly.settings.archive_dir.exists()
    assert plainly.model() is None


def but_for_positions(worker: Worker) -> tuple[Any, ...]:
    """Everything that a run leaves behind, but where in the log it came from."""
    rows, model, _, events, letters = worker.all()
    examples = worker.archive("examples")
    found = RowDecoder(Plan.compile(catalog)).decode(list(rows.values()), LATER)
    assert found.positions.max() == events[-1]["position"]
    for row in (*examples, *events):
        del row["position"]
    seen = found.values.tobytes(), found.state.tobytes(), found.age_ms.tobytes()
    return list(rows), seen, model, examples, events, letters


def test_a_stream_is_read_to_its_end_and_later_from_there(
    tmp_path: Path, worker: Worker, store: redis.Redis
) -> None:
    log = make_log(26, 400)
    worker.run(FileSource(write(tmp_path, log)))
    expected = but_for_positions(worker)
    store.flushall()
    streamed = Worker(tmp_path / "other", worker.url)
    for part in (slice(0, 250), slice(250, None)):
        events = log[part]
        publish(store, "events", [ndjson(events[i : i + 9]) for i in range(0, len(events), 9)])
        streamed.run(ValkeyStreamSource(worker.url, drain=True))
    assert but_for_positions(streamed) == expected


def test_a_live_stream(worker: Worker, store: redis.Redis) -> None:
    """Rows and model are there soon, although nothing more comes; and quiet costs little."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            worker.run(ValkeyStreamSource(worker.url, stop=stop))
        except BaseException as error:
            errors.append(error)

    worker.options["epoch_seconds"] = 1.0
    thread = threading.Thread(target=work)
    thread.start()
    try:
        events = [make_event(n, "ann", "visit", n) for n in range(3)]
        publish(store, "events", ndjson(events[:1]))
        wait_for(worker.rows, thread)
        for event in events[1:]:  # the model that the last one teaches is not the first published
            publish(store, "events", ndjson([event]))
            time.sleep(0.2)
        wait_for(lambda: updates(worker) == 2, thread)
        wait_for(lambda: quiet_seconds() < 0.3, thread)
    finally:
        stop.set()
        thread.join(60)
    assert not errors
    assert not thread.is_alive()


def quiet_seconds() -> float:
    """How long this process works in half a second."""
    before = time.process_time()
    time.sleep(0.5)
    return time.process_time() - before


def updates(worker: Worker) -> int:
    model = worker.model()
    return ActionRanker.from_bytes(model).updates if model else 0


def wait_for(what: Callable[[], object], thread: threading.Thread) -> None:
    end = time.monotonic() + 120
    while not what():
        assert thread.is_alive()
        assert time.monotonic() < end
        time.sleep(0.01)


def test_streams_in_partitions(tmp_path: Path, worker: Worker, store: redis.Redis) -> None:
    log = make_log(27, 200)
    worker.decisions = None
    worker.run(FileSource(write(tmp_path, log)))
    names = [name.rpartition(b":")[2] for name in worker.rows()]
    expected = FeatureClient(worker.url, catalog).get([n.decode() for n in names], at=LATER)
    store.flushall()
    for number in range(2):
        part = [e for e in log if len(e["customer_id"]) % 2 == number]
        publish(store, f"events:{number}", ndjson(part))
    streamed = Worker(tmp_path / "other", worker.url, None)
    source = ValkeyStreamSource(worker.url, partitions=2, drain=True)
    streamed.run(source)
    found = FeatureClient(worker.url, catalog).get(expected.ids, at=LATER)
    assert found.rows.values.tobytes() == expected.rows.values.tobytes()
    folders = sorted(p.name for p in (streamed.settings.archive_dir / "events").iterdir())
    assert folders == ["partition=0", "partition=1"]
    assert len(streamed.archive()) == len(worker.archive())
    with pytest.raises(SettingsError, match=r"decisions need a log of one partition, .* has 2"):
        build_flow(source, catalog, worker.settings, worker.url, decisions=point)
