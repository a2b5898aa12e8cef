"""``ingest-parquet``: Parquet events to features to rows in Valkey, through Bytewax.

The reference is what one would write first: Bytewax ``stateful_map`` a customer, features in
plain Python, ``FeatureStore.push`` in batches of 1,000 rows into Feast's Redis online store, on
the same server.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import redis

from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.pipeline import build_flow
from nextbest.flows.run import run_flow
from nextbest.flows.settings import Settings
from nextbest.flows.sources.files import FileSource

from .catalog import catalog
from .harness import Result, median_events
from .naive_ingest import NaiveIngest
from .scenario_kernel import warm_up
from .workload import shop_events

CUSTOMERS = 10_000


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs = 3 if quick else 5
    events = 500_000 if quick else 1_000_000
    naive_events = 6_000 if quick else 20_000
    warm_up()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        url = ensure_server(home / "server")
        try:
            path = home / "events.parquet"
            pq.write_table(shop_events(CUSTOMERS, events, 30.0), path, row_group_size=131_072)
            ours = median_events(
                lambda i: _ours(home / f"run-{i}", path, url, archive=False), events, runs
            )
            kept = median_events(
                lambda i: _ours(home / f"kept-{i}", path, url, archive=True), events, runs
            )
            naive = NaiveIngest(home / "feast", url)
            part = shop_events(CUSTOMERS * naive_events // events, naive_events, 30.0)
            reference = median_events(lambda _: naive.run(part), naive_events, runs)
        finally:
            stop_server(home / "server")
    return Result(
        "ingest-parquet",
        figures={"events_per_s": ours, "ratio_naive": ours / reference},
        detail={
            "customers": CUSTOMERS,
            "events": events,
            "events_per_s_with_archive": kept,
            "naive_events_per_s": reference,
            "naive_events": naive_events,
            "runs": runs,
        },
    )


def _ours(home: Path, path: Path, url: str, *, archive: bool) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushall()
    settings = Settings(data_dir=home, archive=archive, batch_rows=65_536)
    source = FileSource([path], batch_rows=settings.batch_rows, dictionary_columns=DICTIONARY)
    run_flow(build_flow(source, catalog, settings, url), settings, recover=False)


DICTIONARY = ("type", "channel", "category")
