"""The archive as it lies on disk: what is read, in which order, and what is refused."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextbest.features import Catalog, Entity, FeatureView, SourceError, StateError
from nextbest.features import aggregations as agg
from nextbest.features import replay_buckets as buckets
from nextbest.features.archive import Archive
from nextbest.features.batch import KEY_1
from nextbest.features.kernels.hashing import hash_string
from nextbest.features.plan import Plan
from nextbest.features.replay import backfill
from nextbest.features.state import ShardState
from tests.features.archive_cases import event_table, write_file
from tests.laws.cases import SCHEMA, START, catalog
from tests.laws.driver import id_texts

COUNT = catalog(agg.count("events"), agg.sum("total", of="value"))
SMALL = 1 << 20


def many(directory: Path, events: int, customers: int) -> list[str]:
    """An archive of so many events in several files; return the customers."""
    names = [f"c{i}" for i in range(customers)]
    rng = np.random.default_rng(1)
    for number, start in enumerate(range(0, events, 50_000)):
        n = min(50_000, events - start)
        own = rng.integers(0, customers, n)
        write_file(directory, 0, number, event_table({
            "event_timestamp": START + start + np.arange(n),
            "customer_id": pa.array(names).take(pa.array(own)),
            "position": np.arange(start, start + n),
            "value": np.ones(n),
        }))  # fmt: skip
    return names


def answer(directory: Path, names: list[str], **settings: Any) -> Any:
    return backfill(COUNT, directory, names, np.full(len(names), START + 10**9), **settings)


def test_files_are_in_the_order_of_partition_and_number(tmp_path: Path) -> None:
    table = event_table({"event_timestamp": [START]})
    for partition, number in ((10, 0), (2, 100_000_000), (2, 99_999_999), (2, 3)):
        write_file(tmp_path, partition, number, table)
    (tmp_path / "partition=2" / ".epoch-00000004.parquet.tmp").write_bytes(b"half")
    (tmp_path / "partition=2" / ".hidden.parquet").write_bytes(b"half")
    (tmp_path / "partition=2" / "notes.txt").write_text("mine")
    (tmp_path / "other").mkdir()
    archive = Archive(tmp_path)
    assert archive.partitions == (2, 10)
    assert [file.path.stem for file in archive.of(2)] == [
        "epoch-00000003", "epoch-99999999", "epoch-100000000",
    ]  # fmt: skip
    assert [file.partition for file in archive.files] == [2, 2, 2, 10]


def test_batches_are_what_was_archived_in_log_order(tmp_path: Path) -> None:
    times = [START + 1, START + 3, START + 2]
    first = {"event_timestamp": times, "customer_id": ["a", "b", "a"], "late": [False, True, False]}
    write_file(tmp_path, 4, 0, event_table(first))
    second = {"event_timestamp": [START + 9], "customer_id": ["b"], "position": [7]}
    write_file(tmp_path, 4, 1, event_table(second))
    archive, plan = Archive(tmp_path), Plan.compile(COUNT)
    whole = list(archive.batches(plan, 4))
    assert [batch.events.positions.tolist() for batch in whole] == [[0, 1, 2], [7]]
    assert [batch.late.tolist() for batch in whole] == [[False, True, False], [False]]
    assert id_texts(whole[0].events) == ["a", "b", "a"]
    after = list(archive.batches(plan, 4, after=1))
    assert [batch.events.positions.tolist() for batch in after] == [[2], [7]]
    assert archive.last_position(4) == 7
    assert archive.last_position(5) == -1
    state = ShardState(plan, max_slots=64)
    for batch in whole:
        state.apply(batch.events)
    assert state.read(["a", "b"], START + 9).values[:, 0].tolist() == [2, 2]


def test_batches_of_one_shard_are_its_customers_only(tmp_path: Path) -> None:
    names = many(tmp_path, 1000, 50)
    archive, plan = Archive(tmp_path), Plan.compile(COUNT)
    found: list[str] = []
    for shard in range(3):
        for batch in archive.batches(plan, 0, shard=shard, shards=3):
            assert (batch.events.records[:, KEY_1] % np.uint64(3) == shard).all()
            assert len(batch.late) == len(batch.events)
            found += id_texts(batch.events)
    assert len(found) == 1000
    assert set(found) == set(names)


def test_batches_of_another_entity_are_by_its_key(tmp_path: Path) -> None:
    entity = Entity("word", ["word"])
    view = FeatureView(name="w", source=SCHEMA, entity=entity, features=[agg.count("n")])
    words = pa.array(["tea", None, "milk"]).dictionary_encode()
    write_file(tmp_path, 0, 0, event_table({"event_timestamp": [START] * 3, "word": words}))
    plan = Plan.compile(Catalog(name="w", views=[view]))
    (batch,) = Archive(tmp_path).batches(plan, 0)
    assert id_texts(batch.events) == ["tea", "milk"]
    assert batch.events.positions.tolist() == [0, 2]
    assert int(batch.events.records[0, KEY_1]) == hash_string("tea")[0]


@pytest.mark.parametrize("as_dictionary", [True, False], ids=["dictionary", "text"])
def test_a_key_too_long_for_a_row_is_none(tmp_path: Path, as_dictionary: bool) -> None:
    entity = Entity("word", ["word"])
    view = FeatureView(name="w", source=SCHEMA, entity=entity, features=[agg.count("n")])
    words = pa.array(["x" * 256, "y" * 257, None, "tea"])
    if as_dictionary:
        words = words.dictionary_encode()
    write_file(tmp_path, 0, 0, event_table({"event_timestamp": [START] * 4, "word": words}))
    (batch,) = Archive(tmp_path).batches(Plan.compile(Catalog(name="w", views=[view])), 0)
    assert id_texts(batch.events) == ["x" * 256, "tea"]


def test_batches_out_of_log_order_are_refused(tmp_path: Path) -> None:
    for number, position in enumerate((5, 5)):
        columns = {"event_timestamp": [START], "position": [position]}
        write_file(tmp_path, 0, number, event_table(columns))
    with pytest.raises(SourceError, match=r"epoch-00000001\.parquet: the events are not in log"):
        list(Archive(tmp_path).batches(Plan.compile(COUNT), 0))


def test_what_does_not_fit_in_memory_waits_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spilled: list[int] = []
    close = buckets.Buckets.close

    def watched(self: buckets.Buckets) -> None:
        spilled.append(self.spilled_bytes)
        close(self)

    monkeypatch.setattr(buckets.Buckets, "close", watched)
    names = many(tmp_path / "archive", 300_000, 3_000)
    place = tmp_path / "spill"
    place.mkdir()
    expected = answer(tmp_path / "archive", names)
    # A quarter of the memory is less than a bucket: it is walked in several stretches.
    got = answer(tmp_path / "archive", names, memory_bytes=SMALL, spill_directory=place, threads=4)
    assert spilled[0] == 0
    assert spilled[1] > 8 * SMALL
    assert np.array_equal(got.values, expected.values)
    assert np.array_equal(got.positions, expected.positions)
    assert got.values[:, 0].sum() == got.values[:, 1].sum() == 300_000
    assert list(place.iterdir()) == []


def test_memory_is_bounded(tmp_path: Path) -> None:
    names = many(tmp_path, 400_000, 3_000)
    answer(tmp_path, names)
    peaks = []
    for memory in (1 << 28, 4 * SMALL):
        tracemalloc.start()
        answer(tmp_path, names, memory_bytes=memory, threads=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 400_000 * 56  # all records at once: numpy's memory is seen
    assert peaks[1] < 4 * SMALL + (16 << 20)  # and what is read at a time


def test_nothing_is_left_behind_by_an_error(tmp_path: Path) -> None:
    names = many(tmp_path / "archive", 200_000, 100)
    place = tmp_path / "spill"
    place.mkdir()
    (tmp_path / "archive" / "partition=0" / "epoch-00000009.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(SourceError, match=r"epoch-00000009\.parquet: cannot be read"):
        answer(tmp_path / "archive", names, memory_bytes=SMALL, spill_directory=place)
    assert list(place.iterdir()) == []


def test_a_directory_that_cannot_keep_events_is_named(tmp_path: Path) -> None:
    names = many(tmp_path, 200_000, 100)
    with pytest.raises(StateError, match="nowhere: events to be replayed cannot be kept there"):
        answer(tmp_path, names, memory_bytes=SMALL, spill_directory=tmp_path / "nowhere")


def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    names = many(tmp_path, 1000, 10)

    def interrupt(done: float) -> None:
        raise KeyboardInterrupt

    with tempfile.TemporaryDirectory() as place, pytest.raises(KeyboardInterrupt):
        answer(tmp_path, names, on_progress=interrupt, spill_directory=place)


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere: there is no such directory"):
        answer(tmp_path / "nowhere", ["a"])
    (tmp_path / "partition=0").mkdir()
    with pytest.raises(SourceError, match="no archived events"):
        answer(tmp_path, ["a"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"value": ["one"]}, "column 'value' is string, not a number"),
        ({"position": [1.5]}, "column 'position' is double, not int64"),
        ({"position": pa.array([None], pa.int64())}, "column 'position' has nulls"),
        ({"late": [1]}, "column 'late' is int64, not bool"),
        ({"customer_id": [7]}, "column 'customer_id' is int64, not string"),
        ({"customer_id": pa.array([None], pa.string())}, "column 'customer_id' has nulls"),
        ({"word": [1.0]}, "column 'word' is double, not string"),
    ],
    ids=["value", "position", "no-position", "late", "customer", "no-customer", "word"],
)
def test_a_column_of_a_wrong_type_is_named(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    path = write_file(tmp_path, 0, 0, event_table({"event_timestamp": [START], **columns}))
    given = catalog(agg.sum("s", of="value"), agg.last("w", of="word", vocabulary=["a"]))
    with pytest.raises(SourceError, match=f"{path.name}: {message}"):
        backfill(given, tmp_path, ["ada"], np.array([START]))


@pytest.mark.parametrize("name", ["event_timestamp", "position", "late", "customer_id"])
def test_a_column_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    path = write_file(tmp_path, 0, 0, event_table({"event_timestamp": [START]}).drop_columns(name))
    with pytest.raises(SourceError, match=f"{path.name}: column '{name}' is missing"):
        answer(tmp_path, ["ada"])


def test_times_of_another_unit_are_refused(tmp_path: Path) -> None:
    table = event_table({"event_timestamp": [START]}).drop_columns("event_timestamp")
    path = tmp_path / "partition=0" / "epoch-00000000.parquet"
    path.parent.mkdir()
    stamps = pa.array([START // 1000], pa.timestamp("ms", "UTC"))
    pq.write_table(table.append_column("event_timestamp", stamps), path)
    with pytest.raises(SourceError, match=r"is timestamp\[ms, tz=UTC\], not timestamp\[us"):
        answer(tmp_path, ["ada"])


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    names = many(tmp_path, 20_000, 10)
    path = tmp_path / "partition=0" / "epoch-00000000.parquet"
    raw = bytearray(path.read_bytes())
    pages = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")  # the footer is behind them
    raw[4:pages] = bytes(pages - 4)
    path.write_bytes(raw)
    with pytest.raises(SourceError, match=r"epoch-00000000\.parquet: cannot be read"):
        answer(tmp_path, names)


def test_a_byte_that_flipped_on_disk_is_named(tmp_path: Path) -> None:
    n = 20_000
    columns = {"event_timestamp": START + np.arange(n), "value": np.random.default_rng(0).random(n)}
    path = write_file(tmp_path, 0, 0, event_table(columns))
    column = pq.read_metadata(path).row_group(0).column(pq.read_schema(path).names.index("value"))
    raw = bytearray(path.read_bytes())
    raw[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(raw)
    # It is one number more or less: whoever does not check the pages reads on.
    assert pq.read_table(path).num_rows == n
    with pytest.raises(SourceError, match=rf"{path.name}: cannot be read: .*CRC"):
        answer(tmp_path, ["ada"])
