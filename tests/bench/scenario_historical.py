"""``historical``: a training table from the archive, against Feast's point-in-time join on DuckDB.

1,000 customers of 1,000 events each and 100 pairs of customer and time for each of them, 10
features. Feast joins feature rows that were computed beforehand, one an event (that time is not
counted); ours are made from the events. Each side has a process of its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nextbest.features.replay import backfill
from tests.naive.features import NaiveFeatures

from .archives import ask, write_archive
from .catalog import shop
from .harness import Result
from .historical import catalog
from .workload import shop_events

EVENTS_A_CUSTOMER = 1_000
DAYS = 90.0
SAMPLE = 20


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs = 3 if quick else 5
    customers = 100 if quick else 1_000
    events = customers * EVENTS_A_CUSTOMER
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        table = shop_events(customers, events, DAYS)
        size = write_archive(directory / "archive", shop, table)
        ids, at = ask(customers, events // 10, DAYS, seed=1)
        times = pa.array(at).cast(pa.timestamp("us", "UTC"))
        pq.write_table(
            pa.table({"customer_id": ids, "event_timestamp": times}), directory / "queries.parquet"
        )
        _write_rows(directory, table)
        ours = _side("ours", directory, runs)
        feast = _side("feast", directory, runs)
        error = _difference(directory, table, ids.to_pylist(), at)
    return Result(
        "historical",
        figures={"ratio_feast": feast["seconds"] / ours["seconds"]},
        detail={
            "events": events,
            "pairs": events // 10,
            "features": len(catalog.columns),
            "seconds": ours["seconds"],
            "feast_seconds": feast["seconds"],
            "peak_mb": ours["peak_mb"],
            "feast_peak_mb": feast["peak_mb"],
            "archive_bytes_per_event": size / events,
            f"greatest_difference_to_naive_of_{SAMPLE}_pairs": error,
            "runs": runs,
        },
    )


def _side(side: str, directory: Path, runs: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.historical", side, str(directory), str(runs)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"seconds": statistics.median(found["seconds"])}


def _write_rows(directory: Path, events: pa.Table) -> None:
    """Write a feature row for each event, as of right after it."""
    at = events["event_timestamp"].cast(pa.int64()).to_numpy()
    ids = events["customer_id"].combine_chunks()
    rows = backfill(catalog, directory / "archive", ids, at)
    columns = {
        feature.name: rows.values[:, place] for place, (_, feature) in enumerate(catalog.features())
    }
    keys = {"customer_id": ids, "event_timestamp": events["event_timestamp"]}
    pq.write_table(pa.table(keys | columns), directory / "rows.parquet")


def _difference(directory: Path, events: pa.Table, ids: list[str], at: Any) -> float:
    """Return the greatest error of some pairs, relative to what was summed; states must agree."""
    got = pq.read_table(directory / "ours.parquet").slice(0, SAMPLE)
    worst = 0.0
    for place in range(SAMPLE):
        own = events.filter(pa.compute.equal(events["customer_id"], ids[place]))
        twin = NaiveFeatures(catalog)
        for row in own.to_pylist():
            properties = {name: row[name] for name in shop.properties}
            stamp = int(row["event_timestamp"].timestamp() * 1e6 + 0.5)
            twin.apply(row | {"event_timestamp": stamp, "properties": properties})
        moment = int(at[place])
        cells = twin.as_of(moment).cells(ids[place], moment)
        for (view, feature), cell in zip(catalog.features(), cells, strict=True):
            value = got[f"{view.name}__{feature.name}"][place].as_py()
            if (value is None) != (cell.value is None):
                return float(np.inf)
            if value is not None and cell.value is not None:
                error = abs(value - cell.value)
                worst = max(worst, error / cell.scale if cell.scale else error)
    return worst
