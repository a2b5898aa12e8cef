"""What the plugin refuses, and what it never deletes: the real Feast SDK and a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import feast
import pandas as pd
import pytest
import redis
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Float64

from nextbest.features import Catalog, EventSchema, FeatureView, NextbestError
from nextbest.features import aggregations as agg
from nextbest.features.feast_plugin.errors import (
    ComputedViewError,
    RegistryError,
    RowError,
    StoreAwayError,
)
from nextbest.features.feast_plugin.repo import apply
from nextbest.features.online import key_prefix
from tests.laws.driver import Kernels

START = 1_767_225_600_000_000
SHOP = EventSchema("shop", types=("view",), properties={"value": float})
HISTORY = FeatureView(
    name="history", source=SHOP, features=[agg.count("events"), agg.last_k("v", of="value", k=2)]
)
CATALOG = Catalog(name="feast_errors", views=[HISTORY])
IDS = ["ada", "bob"]


@pytest.fixture(scope="module")
def shop(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> feast.FeatureStore:
    """Feast's store with an ordinary view beside ours."""
    store = apply(CATALOG, tmp_path_factory.mktemp("feast"), embedded_store)
    source = feast.PushSource(
        name="crm",
        batch_source=feast.FileSource(path="/nowhere.parquet", timestamp_field="event_timestamp"),
    )
    profile = feast.FeatureView(
        name="profile",
        entities=[store.get_entity("customer")],
        schema=[feast.Field(name="score", dtype=Float64)],
        source=source,
    )
    store.apply([profile])
    return store


@pytest.fixture(autouse=True)
def rows(store: redis.Redis) -> None:
    """Every test begins with the customers' rows in the store, and nothing else."""
    _publish(CATALOG, store, IDS)


def _publish(catalog: Catalog, store: redis.Redis, ids: list[str]) -> None:
    kernels = Kernels(catalog)
    kernels.apply(
        [
            {
                "event_id": customer,
                "event_timestamp": START,
                "customer_id": customer,
                "type": "view",
                "properties": {"value": 1.5},
            }
            for customer in ids
        ]
    )
    commands = kernels.state.encode_changes(key_prefix(catalog))
    connection: Any = store.connection_pool.get_connection()
    connection.send_packed_command([bytes(commands.payload)])
    assert connection.read_response() == b"OK"
    store.connection_pool.release(connection)


def _online(shop: feast.FeatureStore) -> Any:
    return shop._get_provider().online_store


def _push(shop: feast.FeatureStore) -> None:
    frame = pd.DataFrame({"customer_id": ["ada", "nobody"], "score": [0.25, 0.75]})
    shop.push("crm", frame.assign(event_timestamp=pd.Timestamp(0, tz="UTC")))


def _ask(shop: feast.FeatureStore) -> Any:
    return shop.get_online_features(
        ["history:events"], [{"customer_id": i} for i in ("nobody", *IDS)]
    ).to_dict()


def test_writing_is_refused_and_says_what_to_do(shop: feast.FeatureStore) -> None:
    frame = pd.DataFrame(
        {
            "customer_id": ["ada"],
            "event_timestamp": [pd.Timestamp.now("UTC")],
            **{feature.name: [[1.0] if feature.is_vector else 1] for feature in HISTORY.features},
        }
    )
    with pytest.raises(ComputedViewError, match=r"history is computed .* publish the events") as e:
        shop.write_to_online_store("history", frame, allow_registry_cache=False)
    assert e.value.http_status_code() == 400
    assert isinstance(e.value, feast.errors.FeastError)
    assert isinstance(e.value, NextbestError)
    view = shop.get_feature_view("history")
    with pytest.raises(ComputedViewError):
        asyncio.run(_online(shop).online_write_batch_async(shop.config, view, [], None))


def test_rows_survive_update_and_teardown(store: redis.Redis, shop: feast.FeatureStore) -> None:
    before = store.dbsize()
    assert before == len(IDS)
    _push(shop)
    tables = [shop.get_feature_view(name) for name in ("history", "profile")]
    _online(shop).update(shop.config, tables[:1], [], [], [], partial=False)
    assert store.dbsize() == before + 2
    _online(shop).update(shop.config, tables, [], [], [], partial=False)
    assert store.dbsize() == before
    _push(shop)
    _online(shop).teardown(shop.config, tables, [])
    assert store.dbsize() == before


def test_a_damaged_row_names_its_customer(shop: feast.FeatureStore, store: redis.Redis) -> None:
    key = key_prefix(CATALOG) + b"bob"
    row = store.get(key)
    assert isinstance(row, bytes)
    store.set(key, row[:-8] + bytes(8))
    with pytest.raises(RowError, match="customer 'bob' is damaged"):
        _ask(shop)
    store.set(key, row[:-1])
    with pytest.raises(RowError, match="customer 'bob' is cut off"):
        _ask(shop)


def test_a_row_of_another_declaration_names_its_customer(
    shop: feast.FeatureStore, store: redis.Redis
) -> None:
    other = FeatureView(name="history", source=SHOP, features=[agg.count("events", window="1d")])
    _publish(Catalog(name=CATALOG.name, views=[other]), store, ["bob"])
    with pytest.raises(RowError, match="customer 'bob' was written under another declaration"):
        _ask(shop)


def test_a_registry_of_another_meaning_is_refused(shop: feast.FeatureStore) -> None:
    view = shop.get_feature_view("history")
    view.tags = {**view.tags, "nextbest.schema": "00000000"}
    with pytest.raises(RegistryError, match=r"schema 00000000, .*apply the catalog again"):
        _online(shop).online_read(shop.config, view, [])


def test_an_id_that_is_no_string_is_refused(shop: feast.FeatureStore) -> None:
    with pytest.raises(ComputedViewError, match=r"history is keyed by strings; .*int64_val"):
        shop.get_online_features(["history:events"], {"customer_id": [Value(int64_val=7)]})
    with pytest.raises(ComputedViewError, match="given as nothing"):
        shop.get_online_features(["history:events"], [{"customer_id": None}])
    with pytest.raises(KeyError, match="history"):
        shop.get_online_features(["history:events"], [{"shop_id": "s"}])


def test_precomputed_vectors_would_be_stale(shop: feast.FeatureStore) -> None:
    service = feast.FeatureService(
        name="frozen", features=[shop.get_feature_view("history")], precompute_online=True
    )
    shop.registry.apply_feature_service(service, shop.project)
    with pytest.raises(ComputedViewError, match="Take precompute_online off"):
        shop.get_online_features(service, [{"customer_id": "ada"}])
    shop.delete_feature_service("frozen")


def test_a_store_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    url = "redis://me:s3cret@127.0.0.1:1/0"
    away = apply(CATALOG, tmp_path, url)
    with pytest.raises(StoreAwayError, match=r"redis://me:\*\*\*@127.0.0.1:1/0") as refused:
        away.get_online_features(["history:events"], [{"customer_id": "ada"}])
    assert refused.value.http_status_code() == 503
    assert "s3cret" not in str(refused.value)
