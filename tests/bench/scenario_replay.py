"""``replay``: history from the archive on one thread: 40 features, a query for ten events.

The reference is the same replay without queries but one for each customer, at the end: what is
between the two is what the queries cost.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextbest.features.replay import backfill

from .archives import ask, write_archive
from .catalog import catalog, shop
from .harness import Result
from .workload import DAY, START, shop_events

CUSTOMERS = 10_000
DAYS = 30.0


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs = 3 if quick else 5
    events = 500_000 if quick else 2_000_000
    with tempfile.TemporaryDirectory() as name:
        archive = Path(name)
        size = write_archive(archive, shop, shop_events(CUSTOMERS, events, DAYS))
        asked, at = ask(CUSTOMERS, events // 10, DAYS, seed=1)
        # The last query of each is at the end, so that no event is left out.
        last, _ = ask(CUSTOMERS, 1, DAYS, seed=2)
        everyone = pa.array(np.char.add("customer-", np.arange(CUSTOMERS).astype(str)))
        end = np.full(CUSTOMERS, START + int((DAYS + 1) * DAY))
        _seconds(archive, last, at[:1], 1)  # compiles the kernels
        alone = _seconds(archive, everyone, end, runs)
        ids, times = pa.concat_arrays([asked, everyone]), np.concatenate([at, end])
        both = _seconds(archive, ids, times, runs)
    return Result(
        "replay",
        figures={
            "events_per_s": events / both,
            "rows_per_s": (events + len(times)) / both,
        },
        detail={
            "events": events,
            "queries": len(times),
            "customers": CUSTOMERS,
            "seconds": both,
            "events_per_s_one_query_a_customer": events / alone,
            "queries_per_s": len(times) / both,
            "microseconds_a_query": 1e6 * max(0.0, both - alone) / len(asked),
            "archive_bytes_per_event": size / events,
            "features": len(list(catalog.features())),
            "threads": 1,
            "runs": runs,
        },
    )


def _seconds(archive: Path, ids: pa.Array, at: npt.NDArray[np.int64], runs: int) -> float:
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        backfill(catalog, archive, ids, at, threads=1)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
