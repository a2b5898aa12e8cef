"""The reference of ``ingest-parquet``: one key a customer, plain Python, Feast's own push."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from .plain import PlainCustomer, plain_events

BATCH = 1000


class NaiveIngest:
    """A Feast repository on the given server, and the dataflow that pushes into it."""

    def __init__(self, directory: Path, url: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Feast's imports warn
            from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource
            from feast.data_format import ParquetFormat
            from feast.repo_config import RepoConfig
            from feast.types import Array, Float64, Int64
            from feast.value_type import ValueType

            directory.mkdir()
            socket = url.removeprefix("unix://")
            self.store = FeatureStore(
                config=RepoConfig(
                    project="naive",
                    provider="local",
                    registry=str(directory / "registry.db"),
                    online_store={
                        "type": "redis",
                        "connection_string": f"127.0.0.1:7379,unix_socket_path={socket}",
                    },
                    entity_key_serialization_version=3,
                )
            )
            sample = PlainCustomer()
            event = {"event_id": "e", "time": 1, "category": "category-00", "results": None}
            sample.update(event | {"type": "purchase", "value": 1.0})
            batch = FileSource(
                path=str(directory / "none.parquet"),
                file_format=ParquetFormat(),
                timestamp_field="event_timestamp",
            )
            kinds: dict[type, Any] = {int: Int64, float: Float64, list: Array(Float64)}
            row = {"customer_id": ["x"], "event_timestamp": [datetime.now(UTC)]}
            columns = {k: [v] for k, v in sample.features(1).items()}
            self.columns = {k: kinds.get(type(v[0]), Float64) for k, v in columns.items()}
            pq.write_table(pa.table(row | columns), directory / "none.parquet")
            customer = Entity(
                name="customer", join_keys=["customer_id"], value_type=ValueType.STRING
            )
            view = FeatureView(
                name="visitor",
                entities=[customer],
                schema=[Field(name=k, dtype=t) for k, t in self.columns.items()],
                source=PushSource(name="visitor_push", batch_source=batch),
                ttl=timedelta(days=0),
            )
            self.store.apply([customer, view])

    def run(self, events: pa.Table) -> None:
        """Compute and push the features after every event of the table."""
        flow = Dataflow("naive")
        self._finish(flow, op.input("in", flow, TestingSource(plain_events(events), BATCH)))

    def run_lines(self, lines: list[bytes]) -> None:
        """As `run`, of lines of JSON."""
        flow = Dataflow("naive")
        stream = op.input("in", flow, TestingSource(lines, BATCH))
        self._finish(flow, op.map("parse", stream, _parse))

    def _finish(self, flow: Dataflow, stream: Any) -> None:
        computed = op.stateful_map("features", stream, _update)
        one_key = op.map("one", computed, lambda item: ("0", item))
        batches = op.collect("batch", one_key, timedelta(seconds=10), BATCH)
        pushed = op.map("push", batches, self._push)
        out: list[Any] = []
        op.output("out", pushed, TestingSink(out))
        run_main(flow)  # type: ignore[no-untyped-call]  # the engine is untyped

    def _push(self, batch: tuple[str, list[Any]]) -> int:
        rows = [{"customer_id": customer, **features} for customer, features in batch[1]]
        frame = pd.DataFrame(rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas' and Feast's own deprecations
            self.store.push("visitor_push", frame)
        return len(rows)


def _parse(line: bytes) -> tuple[str, dict[str, Any]]:
    event = json.loads(line)
    properties = event.get("properties", {})
    return event["customer_id"], {
        "event_id": event["event_id"],
        "time": event["event_timestamp"],
        "type": event["type"],
        **{name: properties.get(name) for name in ("category", "value", "results")},
    }


def _update(
    state: PlainCustomer | None, event: dict[str, Any]
) -> tuple[PlainCustomer, dict[str, Any]]:
    state = state or PlainCustomer()
    state.update(event)
    features = state.features(event["time"])
    features["event_timestamp"] = datetime.fromtimestamp(event["time"] * 1e-6, UTC)
    return state, features
