"""Training tables: queries of any length become the same rows with features behind them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from nextbest.features import Catalog, Entity, FeatureView, SettingsError, SourceError
from nextbest.features import aggregations as agg
from nextbest.features.replay import backfill
from nextbest.features.replay_table import Training, Written, backfill_to
from tests.features.archive_cases import event_table, write_file
from tests.laws.cases import SCHEMA, START

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = ("tea", "milk")
CATALOG = Catalog(
    name="shop",
    views=[
        FeatureView(
            name="visits",
            source=SCHEMA,
            features=[
                agg.count("events"),
                agg.sum("total", of="value"),
                agg.last("word", of="word", vocabulary=WORDS),
                agg.max("best", of="value", by="word", vocabulary=WORDS),
                agg.count("now", window="session"),
            ],
        ),
        FeatureView(
            name="words",
            source=SCHEMA,
            entity=Entity("word", ["word"]),
            features=[agg.count("events")],
        ),
    ],
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three events of ada and one of bob."""
    write_file(tmp_path / "archive", 0, 0, event_table({
        "event_timestamp": [START, START + 5_000_000, START + 5_000_000, START + 10_000_000],
        "customer_id": ["ada", "bob", "ada", "ada"],
        "word": pa.array(["tea", "milk", None, "milk"]).dictionary_encode(),
        "value": [1.0, 2.0, 4.0, 8.0],
    }))  # fmt: skip
    return tmp_path / "archive"


def moments(*seconds: int) -> pa.Array:
    times = [MOMENT + timedelta(seconds=s) for s in seconds]
    return pa.array(times, pa.timestamp("us", "UTC"))


def made(archive: Path, queries: pa.Table | None, **settings: Any) -> pa.Table:
    """The file that comes of queries."""
    source = archive.parent / "queries.parquet"
    if queries is not None:
        pq.write_table(queries, source)
    out = archive.parent / "out.parquet"
    training = Training(CATALOG, archive, **settings)
    done = backfill_to(training, None if queries is None else source, out)
    table = pq.read_table(out)
    assert table.num_rows == done.rows
    assert not list(archive.parent.glob(".*"))
    return table


def test_queries_keep_their_rows_and_columns(archive: Path) -> None:
    queries = pa.table({
        "label": [1, 0, 1],
        "customer_id": ["ada", "eve", "bob"],
        "event_timestamp": moments(5, 5, 2000),
    })  # fmt: skip
    table = made(archive, queries, features=["visits"], states=True)
    assert table.select(queries.column_names).equals(queries)
    added = {name: table[name].to_pylist() for name in table.column_names[3:]}
    assert added == {
        "visits__events": [2, None, 1],
        "visits__events__state": ["present", "missing", "present"],
        "visits__total": [5.0, None, 2.0],
        "visits__total__state": ["present", "missing", "present"],
        "visits__word": ["tea", None, "milk"],
        "visits__word__state": ["present", "missing", "present"],
        "visits__best": [[1.0, None], [None, None], [None, 2.0]],
        "visits__best__state": [["present", "missing"], ["missing"] * 2, ["missing", "present"]],
        "visits__now": [2, None, None],
        "visits__now__state": ["present", "missing", "expired"],
    }
    kinds = [table.schema.field(f"visits__{name}").type for name in ("events", "total", "word")]
    assert kinds == [pa.int64(), pa.float64(), pa.string()]


def test_features_of_several_entities_stand_in_one_row(archive: Path) -> None:
    queries = pa.table({
        "customer_id": ["ada", "bob"], "word": ["milk", "gin"], "event_timestamp": moments(10, 10),
    })  # fmt: skip
    chosen = ("words:events", "visits:events")
    table = made(archive, queries, features=chosen)
    assert table.column_names[3:] == ["words__events", "visits__events"]
    assert table["words__events"].to_pylist() == [2, None]
    assert table["visits__events"].to_pylist() == [3, 1]


def test_known_positions_are_a_column(archive: Path) -> None:
    queries = pa.table({
        "customer_id": ["ada"] * 3, "event_timestamp": moments(20, 20, 20), "seen": [0, 3, 1],
    })  # fmt: skip
    table = made(archive, queries, features=["visits:total"], known="seen")
    assert table["visits__total"].to_pylist() == [1.0, 13.0, 1.0]


def test_without_queries_everything_that_was_known_is_asked_about(archive: Path) -> None:
    table = made(archive, None, at=START + 9_000_000, features=["visits:events"])
    assert table.to_pydict() == {
        "customer_id": ["ada", "bob"],
        "event_timestamp": [MOMENT + timedelta(seconds=9)] * 2,
        "visits__events": [2, 1],
    }
    table = made(archive, None, at=START, features=["words"])
    assert table.to_pydict()["word"] == ["tea"]


def test_one_time_may_stand_for_all_queries(archive: Path) -> None:
    queries = pa.table({"customer_id": ["bob", "ada"]})
    table = made(archive, queries, at=START + 5_000_000, features=["visits:events"])
    assert table["visits__events"].to_pylist() == [1, 2]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns", "int"])
def test_times_may_have_any_unit(archive: Path, unit: str) -> None:
    times = moments(5)
    given = times.cast(pa.int64()) if unit == "int" else times.cast(pa.timestamp(unit))
    queries = pa.table({"customer_id": ["ada"], "event_timestamp": given})
    table = made(archive, queries, features=["visits:events"])
    assert table["visits__events"].to_pylist() == [2]


def test_csv_is_read_with_ids_as_text(archive: Path, tmp_path: Path) -> None:
    write_file(archive, 0, 1, event_table({
        "event_timestamp": [START], "customer_id": ["007"], "position": [9],
    }))  # fmt: skip
    path, out = tmp_path / "q.csv", tmp_path / "out.parquet"
    path.write_text(
        "customer_id,event_timestamp,label\n007,2026-01-01T00:00:01Z,1\n7,2026-01-01T00:00:01Z,0\n"
    )
    backfill_to(Training(CATALOG, archive, ["visits:events"]), path, out)
    table = pq.read_table(out)
    assert table["customer_id"].to_pylist() == ["007", "7"]
    assert table["label"].to_pylist() == [1, 0]
    assert table["visits__events"].to_pylist() == [1, None]


def test_blocks_are_answered_as_the_whole(archive: Path, tmp_path: Path) -> None:
    n = 20_000
    rng = np.random.default_rng(2)
    ids = pa.array(["ada", "bob", "eve"]).take(pa.array(rng.integers(0, 3, n)))
    at = START + rng.integers(-5_000_000, 15_000_000, n)
    queries = pa.table({"customer_id": ids, "event_timestamp": at, "row": np.arange(n)})
    seen: list[float] = []
    source, out = tmp_path / "q.parquet", tmp_path / "out.parquet"
    pq.write_table(queries, source)
    training = Training(CATALOG, archive, ["visits:total", "visits:now"], memory_bytes=1 << 21)
    assert backfill_to(training, source, out, on_progress=seen.append) == Written(
        n, int((at < START).sum()), int((at > START + 10_000_000).sum())
    )
    assert pq.ParquetFile(out).num_row_groups > 5  # one a block
    table = pq.read_table(out)
    rows = backfill(CATALOG, archive, ids, at, features=["visits:total", "visits:now"])
    for place, name in enumerate(("visits__total", "visits__now")):
        got = table[name].cast(pa.float64()).fill_null(np.nan).to_numpy()
        assert np.array_equal(got, rows.values[:, place], equal_nan=True)
    assert table["row"].to_pylist() == list(range(n))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_no_queries_make_an_empty_file_with_all_columns(archive: Path) -> None:
    queries = pa.table({"customer_id": pa.array([], pa.string()), "event_timestamp": moments()})
    table = made(archive, queries, features=["visits:events", "visits:best"])
    assert table.num_rows == 0
    assert table.column_names[2:] == ["visits__events", "visits__best"]


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        ({"customer_id": ["a"]}, {}, "no column 'event_timestamp'"),
        ({"event_timestamp": [1]}, {}, "no column 'customer_id'"),
        ({"customer_id": [1], "event_timestamp": [1]}, {}, "'customer_id' of the queries is int64"),
        ({"customer_id": ["a"], "event_timestamp": ["x"]}, {}, "is string, not a timestamp"),
        ({"customer_id": ["a"], "event_timestamp": pa.array([None], pa.int64())}, {}, "has nulls"),
        ({"customer_id": ["a"], "event_timestamp": [1]}, {"known": "seen"}, "no column 'seen'"),
        ({"customer_id": ["a"], "event_timestamp": [1], "seen": [0.5]}, {"known": "seen"},
         "'seen' of the queries must be log positions"),
        ({"customer_id": ["a"], "event_timestamp": [1], "visits__events": [1]}, {},
         "have a column 'visits__events' already"),
    ],
    ids=["no-time", "no-key", "key", "text-time", "null-time", "no-known", "known", "name"],
)  # fmt: skip
def test_queries_that_cannot_be_used_are_refused(
    archive: Path, columns: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        made(archive, pa.table(columns), features=["visits:events"], **settings)
    assert sorted(path.name for path in archive.parent.iterdir()) == ["archive", "queries.parquet"]


def test_everything_needs_a_time_and_one_entity(archive: Path) -> None:
    with pytest.raises(SettingsError, match="name queries, or a time"):
        made(archive, None, features=["visits"])
    with pytest.raises(SettingsError, match="of customer and word: choose those of one"):
        made(archive, None, at=START)
    with pytest.raises(SettingsError, match="log positions come from queries"):
        made(archive, None, at=START, known="seen", features=["visits"])


def test_files_that_cannot_be_read_are_named(archive: Path, tmp_path: Path) -> None:
    training, out = Training(CATALOG, archive, ["visits"]), tmp_path / "out.parquet"
    with pytest.raises(SourceError, match="nothing: no such file"):
        backfill_to(training, tmp_path / "nothing", out)
    for name in ("bad.parquet", "bad.csv"):
        (tmp_path / name).write_bytes(b'"customer_id,\n\xff')
        with pytest.raises((SourceError, SettingsError), match=name):
            backfill_to(training, tmp_path / name, out)
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))


def test_an_older_result_stays_until_the_new_one_is_whole(archive: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "q.csv", tmp_path / "out.parquet"
    csv.write_csv(pa.table({"customer_id": ["ada"], "event_timestamp": [START]}), source)
    out.write_bytes(b"older")
    (archive / "partition=0" / "epoch-00000001.parquet").write_bytes(b"damaged")
    with pytest.raises(SourceError, match=r"epoch-00000001\.parquet"):
        backfill_to(Training(CATALOG, archive, ["visits"]), source, out)
    assert out.read_bytes() == b"older"
    assert not list(tmp_path.glob(".*"))


def test_ctrl_c_leaves_nothing(archive: Path, tmp_path: Path) -> None:
    def interrupt(done: float) -> None:
        raise KeyboardInterrupt

    training, out = (
        Training(CATALOG, archive, ["visits:events"], at=START),
        tmp_path / "out.parquet",
    )
    with pytest.raises(KeyboardInterrupt):
        backfill_to(training, None, out, on_progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


@pytest.mark.parametrize("told", [True, False], ids=["from-statistics", "from-events"])
def test_rows_of_times_that_the_archive_knows_nothing_of_are_counted(
    tmp_path: Path, told: bool
) -> None:
    """To the microsecond, over all files, partitions and blocks; the oldest event is not first."""
    columns = [[START + 7, START + 3], [START + 9, START + 4]]
    for partition, times in enumerate(columns):
        path = write_file(
            tmp_path / "archive", partition, 0, event_table({"event_timestamp": times})
        )
        if not told:
            pq.write_table(pq.read_table(path), path, write_statistics=False)
    at = [START + time for time in (2, 3, 9, 10, 11)] * 300
    queries = pa.table({"customer_id": ["ada"] * len(at), "event_timestamp": at, "seen": at})
    source, out = tmp_path / "q.parquet", tmp_path / "out.parquet"
    pq.write_table(queries, source)
    training = Training(CATALOG, tmp_path / "archive", ["visits:events"], memory_bytes=1 << 21)
    assert backfill_to(training, source, out) == Written(1500, 300, 600)
    assert pq.read_table(out)["visits__events"][:5].to_pylist() == [None, 1, 4, 4, 4]
    known = replace(training, known="seen")
    assert backfill_to(known, source, out) == Written(1500, 0, 600)
