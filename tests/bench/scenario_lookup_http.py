"""``lookup-http``: 50 features of one customer over HTTP, on loopback.

The service runs as users run it, in a process of its own, and so does what asks it: at 1,000
requests a second whatever comes back, and then as fast as 16 connections get answers. The reference
is ``feast serve`` with the stock Redis online store, with as many features of the same values, in
the same server.
"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from nextbest.features import Catalog, FeatureView
from nextbest.features import aggregations as agg
from nextbest.features.online import FeatureClient
from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.sources.valkey_stream import publish
from tests.bench.catalog import catalog as forty
from tests.bench.catalog import purchase, shop
from tests.bench.harness import Result
from tests.bench.processes import drain, service

RATE = 1000
CONNECTIONS = 16
_LOAD = Path(__file__).with_name("http_load.py")
_scalars = [feature for _, feature in forty.features() if not feature.is_vector]
_more = [
    feature
    for width in ("2h", "12h", "3d", "14d")
    for feature in (
        agg.count(f"events_{width}", window=width),
        agg.sum(f"spend_{width}", of="value", where=purchase, window=width),
        agg.min(f"least_value_{width}", of="value", window=width),
    )
]
catalog = Catalog(
    name="lookups",
    views=[FeatureView(name="visitor", source=shop, features=[*_scalars, *_more])],
)
assert len(catalog.columns) == 50


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs = 3 if quick else 5
    seconds = 2.0 if quick else 10.0
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        url = ensure_server(home)
        try:
            _fill(home, url)
            with service("--catalog", f"{__file__}:catalog", "--data-dir", str(home)) as port:
                ours = _request("/v1/features", {"ids": ["c"]})
                _ask(port, ours, 0, 1.0)
                steady = [_ask(port, ours, RATE, seconds) for _ in range(runs)]
                most = [_ask(port, ours, 0, seconds) for _ in range(runs)]
            with _feast(home, url) as port:
                theirs = _request(
                    "/get-online-features",
                    {
                        "features": [f"visitor:{_column(c)}" for c in catalog.columns],
                        "entities": {"customer_id": ["c"]},
                    },
                )
                _ask(port, theirs, 0, 1.0)
                feast = [_ask(port, theirs, 0, seconds) for _ in range(runs)]
        finally:
            stop_server(home)
    failed = sum(part["failed"] for part in (*steady, *most, *feast))
    assert not failed, f"{failed} requests failed"
    return Result(
        "lookup-http",
        figures={
            "p99_ms": statistics.median(part["p99_ms"] for part in steady),
            "max_rps": statistics.median(part["rps"] for part in most),
            "feast_max_rps": statistics.median(part["rps"] for part in feast),
        },
        detail={
            "p50_ms": statistics.median(part["p50_ms"] for part in steady),
            "rps": statistics.median(part["rps"] for part in steady),
            "p50_ms_at_most": statistics.median(part["p50_ms"] for part in most),
            "feast_p50_ms_at_most": statistics.median(part["p50_ms"] for part in feast),
            "runs": runs,
        },
    )


def _fill(home: Path, url: str) -> None:
    """One customer's row, by the worker that users run."""
    now = time.time_ns() // 1000
    events = [
        {
            "event_id": str(i), "event_timestamp": now - (200 - i) * 1_000_000, "customer_id": "c",
            "type": ("view", "cart", "search", "purchase")[i % 4],
            "properties": {"category": "category-01", "value": 1.37 * i, "results": i % 3},
        }
        for i in range(200)
    ]  # fmt: skip
    with redis.Redis.from_url(url) as client:
        publish(client, "clicks", [json.dumps(event).encode() for event in events])
    drain("--stream", "clicks", "--catalog", f"{__file__}:catalog", "--data-dir", str(home))


@contextlib.contextmanager
def _feast(home: Path, url: str) -> Iterator[int]:
    """The same values, written to the stock store, and `feast serve`."""
    repo = home / "feast"
    _write_feast(repo, home, url)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("feast")), "serve", "--port", str(port)]
    command += ["--no-access-log", "--max-requests", "0", "--host", "127.0.0.1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=repo, **quiet) as process:  # type: ignore[call-overload]
        try:
            end = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert process.poll() is None, "feast serve has ended"
                assert time.monotonic() < end, "feast serve does not start"
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()


def _write_feast(repo: Path, home: Path, url: str) -> None:
    import pandas as pd
    from feast import Entity, FeatureStore, Field, FileSource, ValueType
    from feast import FeatureView as StockView
    from feast.types import Float64, Int64

    repo.mkdir()
    port = _tcp_port(url)
    (repo / "feature_store.yaml").write_text(
        "project: bench\nregistry: registry.db\nprovider: local\n"
        "entity_key_serialization_version: 3\n"
        f"online_store:\n  type: redis\n  connection_string: 127.0.0.1:{port}\n"
    )
    types = {f.name: Int64 if f.dtype == "int64" else Float64 for _, f in catalog.features()}
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    view = StockView(
        name="visitor",
        entities=[customer],
        schema=[Field(name=name, dtype=kind) for name, kind in types.items()],
        source=FileSource(path=str(repo / "none.parquet"), timestamp_field="event_timestamp"),
    )
    stock = FeatureStore(repo_path=str(repo))
    client = FeatureClient(url, catalog)
    row = client.get(["c"]).to_dict("c")
    client.close()
    values: dict[str, Any] = {
        name: [int(row[f"visitor:{name}"] or 0) if kind is Int64 else row[f"visitor:{name}"] or 0.0]
        for name, kind in types.items()
    }
    when = pd.Timestamp.now(tz="UTC")
    frame = pd.DataFrame(
        {"customer_id": ["c"], "event_timestamp": [when], "created": [when], **values}
    )
    pd.DataFrame(frame).to_parquet(repo / "none.parquet")
    stock.apply([customer, view])
    stock.write_to_online_store("visitor", frame)


def _tcp_port(url: str) -> int:
    """Let the embedded server listen on loopback too: the stock store knows no unix sockets."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    with redis.Redis.from_url(url) as client:
        client.config_set("port", port)
    return port


def _column(column: str) -> str:
    return column.partition(":")[2]


def _request(path: str, body: dict[str, Any]) -> bytes:
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(text)}\r\n\r\n".encode() + text


def _ask(port: int, request: bytes, rate: float, seconds: float) -> dict[str, float]:
    command = [sys.executable, str(_LOAD), str(port), str(rate), str(seconds), str(CONNECTIONS)]
    done = subprocess.run(command, input=request, capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found
