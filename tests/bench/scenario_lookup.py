"""``lookup``: 50 features of 1, 10 and 100 customers, beside Feast's own store and our plugin."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import redis

from nextbest.features.codec import EventDecoder
from nextbest.features.encoder import RecordEncoder
from nextbest.features.online import FeatureClient, key_prefix
from nextbest.features.plan import Plan
from nextbest.features.state import ShardState
from nextbest.flows.embedded import ensure_server, stop_server

from .harness import Result
from .lookup_catalog import catalog
from .workload import shop_events

SIZES = (1, 10, 100)
CUSTOMERS = 1000
EVENTS = 100_000
_EMPTY = {"int64": 0, "float64": float("nan"), "string": ""}

Ask = Callable[[list[str]], object]


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    rounds, seconds = (3, 0.4) if quick else (9, 1.0)
    directory = Path(tempfile.mkdtemp(prefix="lookup-"))
    try:
        url = ensure_server(directory / "store")
        ids = _publish(url)
        with FeatureClient(url, catalog) as client:
            asked = {
                "ours": client.get,
                "plugin": _plugin(directory / "plugin", url),
                "feast": _stock(directory / "feast", url, client, ids),
            }
            times = _interleaved(asked, ids, rounds, seconds)
        loaded = [_import_seconds(url, ids[0]) for _ in range(rounds)]
    finally:
        stop_server(directory / "store")
        shutil.rmtree(directory, ignore_errors=True)

    def p50(name: str, size: int) -> list[float]:
        return [statistics.median(one) for one in times[name, size]]

    def ratio(size: int, name: str = "ours") -> float:
        pairs = zip(p50("feast", size), p50(name, size), strict=True)
        return statistics.median(feast / own for feast, own in pairs)

    return Result(
        "lookup",
        figures={
            "p50_us_1": 1e6 * statistics.median(p50("ours", 1)),
            "ratio_1": ratio(1),
            "ratio_100": ratio(100),
            "plugin_ratio_1": ratio(1, "plugin"),
            "plugin_ratio_100": ratio(100, "plugin"),
        },
        detail={
            **{
                f"{name}_{label}_us_{size}": 1e6
                * statistics.median(float(np.percentile(one, share)) for one in times[name, size])
                for size in SIZES
                for name in asked
                for label, share in (("p50", 50), ("p99", 99))
            },
            "ratio_10": ratio(10),
            "plugin_ratio_10": ratio(10, "plugin"),
            "import_seconds": statistics.median(seconds for seconds, _ in loaded),
            "first_answer_seconds": statistics.median(seconds for _, seconds in loaded),
            "features": len(catalog.columns),
            "rounds": rounds,
        },
    )


def _publish(url: str) -> list[str]:
    """Write the rows of a month's visitors to the store; return their ids."""
    plan = Plan.compile(catalog)
    state = ShardState(plan, max_slots=1 << 12)
    decoder, encoder = EventDecoder(catalog.source), RecordEncoder(plan.categorical, plan.numeric)
    decoded = decoder.decode_arrow(shop_events(CUSTOMERS, EVENTS, 30.0).combine_chunks())
    state.apply(encoder.encode(decoded.table, decoded.index))
    commands = state.encode_changes(key_prefix(catalog))
    with redis.Redis.from_url(url) as store:
        connection: Any = store.connection_pool.get_connection()
        connection.send_packed_command([commands.payload.tobytes()])
        for _ in range(commands.replies):
            assert connection.read_response() == b"OK"
    return list(state.customers())


def _stock(directory: Path, url: str, client: FeatureClient, ids: list[str]) -> Ask:
    """Push the same features to Feast's own Redis store; return its lookup."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Feast's imports warn
        from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource
        from feast.data_format import ParquetFormat
        from feast.repo_config import RepoConfig
        from feast.types import Float64, Int64, String
        from feast.value_type import ValueType

        directory.mkdir()
        store = FeatureStore(
            config=RepoConfig(
                project="stock",
                provider="local",
                registry=str(directory / "registry.db"),
                online_store={
                    "type": "redis",
                    "connection_string": "127.0.0.1:7379,unix_socket_path="
                    + url.removeprefix("unix://"),
                },
                entity_key_serialization_version=3,
            )
        )
        frame = _frame(client, ids)
        pq.write_table(pa.Table.from_pandas(frame), directory / "rows.parquet")
        batch = FileSource(
            path=str(directory / "rows.parquet"),
            file_format=ParquetFormat(),
            timestamp_field="event_timestamp",
        )
        kinds = {"int64": Int64, "float64": Float64, "string": String}
        customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
        view = FeatureView(
            name="visitor",
            entities=[customer],
            schema=[Field(name=f.name, dtype=kinds[f.dtype]) for _, f in catalog.features()],
            source=PushSource(name="visitor_push", batch_source=batch),
            ttl=timedelta(days=0),
        )
        store.apply([customer, view])
        store.push("visitor_push", frame)
    ask = _asking(store)
    found = ask(ids[:1]).to_dict()
    expected = client.get(ids[:1]).to_dict(ids[0])
    for name in ("events", "spend", "last_category"):
        assert found[name] == [expected[f"visitor:{name}"]], name
    return ask


def _frame(client: FeatureClient, ids: list[str]) -> pd.DataFrame:
    rows = client.get(ids).to_dicts()
    columns: dict[str, Any] = {"customer_id": ids}
    for view, feature in catalog.features():
        found = [row[f"{view.name}:{feature.name}"] for row in rows]
        empty = _EMPTY[feature.dtype]
        columns[feature.name] = [empty if value is None else value for value in found]
    return pd.DataFrame(columns | {"event_timestamp": datetime.now(UTC)})


def _plugin(directory: Path, url: str) -> Ask:
    """Return the lookup of a Feast repository whose store is our plugin."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Feast's imports warn
        from nextbest.features.feast_plugin.repo import apply

        return _asking(apply(catalog, directory, url))


def _asking(store: Any) -> Callable[[list[str]], Any]:
    refs = [f"{view.name}:{feature.name}" for view, feature in catalog.features()]

    def ask(ids: list[str]) -> Any:
        return store.get_online_features(refs, [{"customer_id": i} for i in ids])

    return ask


def _interleaved(
    asked: dict[str, Ask], ids: list[str], rounds: int, seconds: float
) -> dict[tuple[str, int], list[list[float]]]:
    """Return the seconds of each lookup, by who answered, how many customers, and round.

    A round gives each its time in turn, so that what else the machine does falls on all.
    """
    times: dict[tuple[str, int], list[list[float]]] = {
        (name, size): [] for name in asked for size in SIZES
    }
    rng = np.random.default_rng(0)
    for turn in range(rounds + 1):
        for size in SIZES:
            for name, ask in asked.items():
                taken = []
                until = time.perf_counter() + seconds
                while len(taken) < 9 or time.perf_counter() < until:
                    some = [ids[i] for i in rng.integers(0, len(ids), size)]
                    began = time.perf_counter()
                    ask(some)
                    taken.append(time.perf_counter() - began)
                if turn:  # the first round warms up
                    times[name, size].append(taken)
    return times


def _import_seconds(url: str, customer: str) -> tuple[float, float]:
    """Return how long a new process takes to import the client, and to its first answer."""
    code = f"""
import time
began = time.perf_counter()
from nextbest.features.online import FeatureClient
imported = time.perf_counter()
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.bench.lookup_catalog import catalog
FeatureClient({url!r}, catalog).get([{customer!r}])
print(imported - began, time.perf_counter() - began)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported, answered = done.stdout.split()
    return float(imported), float(answered)
