"""One side of the scenario ``historical``, in a process of its own: its memory is its own.

``python -m tests.bench.historical ours|feast DIRECTORY RUNS`` prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from nextbest.features import Catalog, FeatureView, event
from nextbest.features import aggregations as agg

from .catalog import CATEGORIES, shop

_purchase = event.type == "purchase"
catalog = Catalog(
    name="historical",
    views=[
        FeatureView(
            name="visitor",
            source=shop,
            features=[
                agg.count("s_events", window="session"),
                agg.distinct("s_categories", of="category", vocabulary=CATEGORIES,
                             window="session"),
                agg.count("events_1d", window="1d"),
                agg.count("events_30d", window="30d"),
                agg.sum("spend_7d", of="value", where=_purchase, window="7d"),
                agg.max("max_value_30d", of="value", window="30d"),
                agg.decayed("recency", half_life="7d"),
                agg.decayed("money", of="value", where=_purchase, half_life="30d"),
                agg.count("events"),
                agg.last("last_value", of="value"),
            ],
        )
    ],
)  # fmt: skip


def main(side: str, directory: Path, runs: int) -> None:
    """Run one side so many times, once before to warm up, and print what it took."""
    once = {"ours": _ours, "feast": _feast}[side](directory)
    once(100)
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        rows = once(None)
        seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "peak_mb": peak / 1024, "rows": rows}))


def _ours(directory: Path) -> Callable[[int | None], int]:
    from nextbest.features.replay_table import Training, backfill_to

    training = Training(catalog, directory / "archive")

    def once(most: int | None) -> int:
        queries = directory / "queries.parquet"
        if most is not None:
            queries = directory / "few.parquet"
            pq.write_table(pq.read_table(directory / "queries.parquet").slice(0, most), queries)
        return backfill_to(training, queries, directory / "ours.parquet").rows

    return once


def _feast(directory: Path) -> Callable[[int | None], int]:
    from feast import Entity, FeatureStore, Field, FileSource, RepoConfig
    from feast import FeatureView as View
    from feast.data_format import ParquetFormat
    from feast.types import Float64
    from feast.value_type import ValueType

    config = RepoConfig(
        project="historical",
        provider="local",
        registry=str(directory / "registry.db"),
        online_store={"type": "sqlite", "path": str(directory / "online.db")},
        offline_store={"type": "duckdb"},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    entity = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    source = FileSource(
        name="rows",
        path=str(directory / "rows.parquet"),
        timestamp_field="event_timestamp",
        file_format=ParquetFormat(),
    )
    names = [feature.name for _, feature in catalog.features()]
    view = View(
        name="visitor",
        entities=[entity],
        schema=[Field(name=name, dtype=Float64) for name in names],
        source=source,
        ttl=timedelta(days=365),
    )
    store.apply([entity, view])
    frame = pq.read_table(directory / "queries.parquet").to_pandas()
    refs = [f"visitor:{name}" for name in names]

    def once(most: int | None) -> int:
        part = frame if most is None else frame.head(most)
        found: Any = store.get_historical_features(entity_df=part, features=refs).to_df()
        assert np.isfinite(found["events"]).any()
        return len(found)

    return once


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
