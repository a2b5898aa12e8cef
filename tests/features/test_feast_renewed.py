"""A process that lives on while another applies declarations: it answers from the newest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import feast
import pytest
import redis
from feast.infra.registry import sql

from nextbest.features import Catalog, FeatureView
from nextbest.features import aggregations as agg
from nextbest.features.feast_plugin import direct, serving
from nextbest.features.feast_plugin.repo import apply
from tests.features.online_cases import EVENTS, NOW, shop, write_rows

ROWS = [{"customer_id": "ann"}]
REFS = ["v:n"]
Asking = Callable[[feast.FeatureStore], Any]


def _declared(window: str) -> Catalog:
    return Catalog(
        name="renewed",
        views=[FeatureView(name="v", source=shop, features=[agg.count("n", window=window)])],
    )


LONG, SHORT = _declared("1d"), _declared("1h")


@pytest.fixture(params=["fast", "feast", "awaited"])
def ask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Asking:
    """Looks Ann up; with versions of views, which only Feast's own way tells."""
    monkeypatch.setattr(serving, "now_us", lambda: NOW)
    settings = {"include_feature_view_version_metadata": request.param == "feast"}

    def look_up(store: feast.FeatureStore) -> Any:
        return store.get_online_features(REFS, ROWS, **settings).to_dict()["n"]

    async def wait(store: feast.FeatureStore) -> Any:
        try:
            return (await store.get_online_features_async(REFS, ROWS)).to_dict()["n"]
        finally:
            await store.close()

    return look_up if request.param != "awaited" else lambda store: asyncio.run(wait(store))


@pytest.fixture
def one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each copy of a registry has the address of the one before, as a freed one's may be.

    Python gives an address away again when it likes; here it always does.
    """
    read = sql.SqlRegistry.proto
    place = sql.RegistryProto()

    def again(self: sql.SqlRegistry) -> Any:
        place.CopyFrom(read(self))
        return place

    monkeypatch.setattr(sql.SqlRegistry, "proto", again)


def _apply(catalog: Catalog, store: redis.Redis, url: str, path: Path) -> feast.FeatureStore:
    """Apply a declaration and publish its rows, as another process does."""
    made = apply(catalog, path, url)
    write_rows(store, catalog, EVENTS)
    return made


def _living(made: feast.FeatureStore) -> feast.FeatureStore:
    """Return a store over the same registry, with a copy of its own."""
    return feast.FeatureStore(config=made.config)


@pytest.mark.usefixtures("one_address")
@pytest.mark.parametrize("by", ["hand", "age"])
def test_a_copy_of_the_registry_at_the_address_of_the_one_before(
    store: redis.Redis, store_url: str, tmp_path: Path, ask: Asking, by: str
) -> None:
    living = _living(_apply(LONG, store, store_url, tmp_path))
    for _ in range(2):
        for catalog, said in ((LONG, [3]), (SHORT, [1])):
            _apply(catalog, store, store_url, tmp_path)
            if by == "hand":
                living.refresh_registry()
            else:
                living.registry.cached_registry_proto_created -= timedelta(days=1)
            assert ask(living) == said


@pytest.mark.usefixtures("one_address")
def test_another_registry_at_the_address_of_the_one_before(
    store: redis.Redis, store_url: str, tmp_path: Path, ask: Asking
) -> None:
    assert ask(_apply(LONG, store, store_url, tmp_path / "a")) == [3]
    assert ask(_apply(SHORT, store, store_url, tmp_path / "b")) == [1]


def test_a_registry_that_is_renewed_while_a_request_is_looked_up_in_it(
    store: redis.Redis, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "now_us", lambda: NOW)
    living = _living(_apply(LONG, store, store_url, tmp_path))
    reader_of = direct.reader_of

    def slowly(view: Any) -> Any:
        monkeypatch.setattr(direct, "reader_of", reader_of)
        _apply(SHORT, store, store_url, tmp_path)
        living.refresh_registry()  # as another thread does
        return reader_of(view)

    monkeypatch.setattr(direct, "reader_of", slowly)
    living.get_online_features(REFS, ROWS)
    assert living.get_online_features(REFS, ROWS).to_dict()["n"] == [1]
