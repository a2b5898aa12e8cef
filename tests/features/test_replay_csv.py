"""Queries in CSV: a column is what all of its rows fit in, not what the first look like."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextbest.features import Catalog, FeatureView, SettingsError
from nextbest.features import aggregations as agg
from nextbest.features.replay_table import Training, backfill_to
from tests.features.archive_cases import event_table, write_file
from tests.laws.cases import SCHEMA, START

CATALOG = Catalog(
    name="shop",
    views=[FeatureView(name="v", source=SCHEMA, features=[agg.count("n")])],
)
MANY = 150_000  # rows: more than a block of Arrow's
FIRST = datetime.fromtimestamp(START / 1e6, UTC)


@pytest.fixture
def training(tmp_path: Path) -> Training:
    write_file(tmp_path / "archive", 0, 0, event_table({
        "event_timestamp": [START], "customer_id": ["ada"], "word": ["tea"], "value": [1.0],
    }))  # fmt: skip
    return Training(CATALOG, tmp_path / "archive")


def answered(training: Training, header: str, *lines: str, **more: Any) -> pa.Table:
    """Very many of the first line, and each of the others once."""
    path = training.archive.parent / "q.csv"
    rows = [lines[0]] * MANY + list(lines[1:]) if lines else []
    path.write_text("\n".join([header, *rows]) + "\n")
    written = backfill_to(training, path, path.with_suffix(".parquet"))
    assert written.rows == len(rows)
    return pq.read_table(path.with_suffix(".parquet"))


@pytest.mark.parametrize("zone", ["", "Z", "+00:00"])
def test_a_fraction_of_a_second_comes_later(training: Training, zone: str) -> None:
    whole = f"ada,{FIRST:%Y-%m-%dT%H:%M:%S}{zone}"
    before = f"ada,{datetime.fromtimestamp(START / 1e6 - 0.5, UTC):%Y-%m-%dT%H:%M:%S.%f}{zone}"
    found = answered(training, "customer_id,event_timestamp", whole, before)
    assert found["v__n"].to_pylist()[-2:] == [1, None]
    assert found["event_timestamp"][-1].as_py().microsecond == 500_000


@pytest.mark.parametrize(
    ("first", "last", "kind", "read"),
    [
        ("1", "1.5", pa.float64(), [1.0, 1.5]),
        ("1", "x", pa.string(), ["1", "x"]),
        ("", "1", pa.int64(), [None, 1]),
        ("", "x", pa.string(), ["", "x"]),
        ("true", "maybe", pa.string(), ["true", "maybe"]),
        ("1.5", "x", pa.string(), ["1.5", "x"]),
        ("2026-01-01", "never", pa.string(), ["2026-01-01", "never"]),
    ],
)
def test_another_column_changes_its_kind(
    training: Training, first: str, last: str, kind: Any, read: list[Any]
) -> None:
    header = "customer_id,note,event_timestamp"
    found = answered(training, header, f"ada,{first},{START}", f"ada,{last},{START}")
    assert found["note"].type == kind
    assert found["note"].to_pylist()[-2:] == read
    assert found["v__n"].to_pylist() == [1] * (MANY + 1)


def test_a_header_only(training: Training) -> None:
    found = answered(training, "customer_id,event_timestamp,note")
    assert (found.num_rows, found.column_names[-1]) == (0, "v__n")


def test_times_that_are_none_are_refused(training: Training) -> None:
    for last in ("later", ""):
        with pytest.raises(SettingsError, match="'event_timestamp'"):
            answered(training, "customer_id,event_timestamp", f"ada,{START}", f"ada,{last}")
