"""Archives whose files are large, in no order, or of unequal partitions: what is read is right."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextbest.flows.monitor.newest import Newest, times_of
from nextbest.flows.monitor.person import newest_customers

Files = dict[int, list[list[int]]]
"""The times in each file, by partition."""


def write(archive: Path, partitions: Files) -> None:
    for part, files in partitions.items():
        (archive / f"partition={part}").mkdir(parents=True)
        for number, times in enumerate(files):
            table = pa.table({"event_timestamp": pa.array(times, pa.timestamp("us", "UTC"))})
            pq.write_table(table, archive / f"partition={part}" / f"epoch-{number:08d}.parquet")


def newest(archive: Path, most: int) -> Newest:
    take = lambda rows: pa.table({"at": times_of(rows)})  # noqa: E731
    return Newest(archive, ["event_timestamp"], take, most)


@pytest.mark.parametrize(
    ("partitions", "most", "complete"),
    [
        ({0: [[*range(10)]]}, 3, False),
        ({0: [[*range(10)]]}, 10, True),
        ({0: [[10, 9, 8, 1, 2, 3]]}, 3, False),
        ({0: [[*range(9000, 0, -1)]]}, 100, False),
        ({0: [[*range(10)]], 1: [[*range(5, 15)]]}, 4, False),
        ({0: [[*range(100)], [*range(100, 110)]], 1: [[*range(50)]]}, 20, False),
        ({0: [[900]], 1: [[*range(i, i + 10)] for i in range(0, 500, 10)]}, 120, False),
        ({0: [[1], [2]], 1: [[3], [4]]}, 4, True),
        ({0: [[i, i + 1, 3] for i in range(0, 90, 2)], 1: [[i] for i in range(90)]}, 50, False),
    ],
    ids=["cut", "fits", "turned", "batches", "two large", "behind", "many", "all", "late"],
)
def test_they_are_the_newest_of_all(
    tmp_path: Path, partitions: Files, most: int, complete: bool
) -> None:
    write(tmp_path, partitions)
    everything = sorted(at for files in partitions.values() for times in files for at in times)
    log = newest(tmp_path, most)
    for _ in range(2):  # also of what was remembered
        found = log.read()
        assert found.table["at"].to_pylist() == everything[-most:]
        assert found.complete is complete


def test_files_that_were_cut_are_remembered_as_such(tmp_path: Path) -> None:
    write(tmp_path, {0: [[*range(7)], *([10 + i] for i in range(20))]})
    log = newest(tmp_path, 24)
    assert [log.read().complete for _ in range(2)] == [False, False]
    assert newest(tmp_path, 27).read().complete


def test_late_rows_of_a_file_do_not_fill_the_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    times = rng.integers(0, 2**40, 400_000)
    write(tmp_path, {0: [times.tolist()]})
    log = newest(tmp_path, 50)
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    found = log.read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.table["at"].to_pylist() == np.sort(times)[-50:].tolist()
    assert peak < 1 << 20
    assert pa.total_allocated_bytes() - before < 1 << 20


def test_customers_are_found_in_more_than_one_partition_of_large_files(tmp_path: Path) -> None:
    for part, name in enumerate(("ann", "ben")):
        directory = tmp_path / "events" / f"partition={part}"
        directory.mkdir(parents=True)
        table: dict[str, Any] = {
            "event_timestamp": pa.array(range(part, 900, 2), pa.timestamp("us", "UTC")),
            "customer_id": [name] * len(range(part, 900, 2)),
        }
        pq.write_table(pa.table(table), directory / "epoch-00000000.parquet")
    assert sorted(newest_customers(tmp_path, most=4)) == ["ann", "ben"]
