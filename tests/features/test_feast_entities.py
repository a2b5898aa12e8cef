"""Catalogs of several entities and services as Feast objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import feast
import pytest

from nextbest.features import Catalog, DeclarationError, Entity, FeatureService, FeatureView
from nextbest.features import aggregations as agg
from nextbest.features.feast_plugin.definitions import feast_objects, named_objects
from nextbest.features.feast_plugin.repo import apply
from nextbest.features.plan import Plan
from tests.features.feast_cases import CATALOG, SHOP


def _made(catalog: Catalog, kind: type) -> dict[str, Any]:
    return {each.name: each for each in feast_objects(catalog) if isinstance(each, kind)}


def test_a_composite_entity_becomes_one_for_each_key() -> None:
    entities = _made(CATALOG, feast.Entity)
    assert {name: e.join_key for name, e in entities.items()} == {
        "customer": "customer_id",
        "product": "product_id",
        "category": "category",
    }
    views = _made(CATALOG, feast.FeatureView)
    assert views["taste"].entities == ["customer", "category"]
    assert sorted(views["taste"].join_keys) == ["category", "customer_id"]
    for view in CATALOG.views:
        schema = Plan.compile(CATALOG.of(view.entity.name)).schema_id
        assert views[view.name].tags["nextbest.schema"] == f"{schema:08x}"
    assert all(name.isidentifier() for name in named_objects(CATALOG))


def test_the_name_of_a_key_may_be_taken() -> None:
    by_type = Entity("category", ["product_id"])
    pair = Entity("pair", ["customer_id", "category"])
    views = [
        FeatureView(name=entity.name + "_v", source=SHOP, entity=entity, features=[agg.count("c")])
        for entity in (by_type, pair)
    ]
    entities = _made(Catalog(name="c", views=views), feast.Entity)
    assert {name: e.join_key for name, e in entities.items()} == {
        "category": "product_id",
        "customer_id": "customer_id",
        "pair_category": "category",
    }


def test_services_are_those_declared_and_one_of_everything() -> None:
    services = _made(CATALOG, feast.FeatureService)
    assert list(services) == ["ranking", "shelf", "feast_cases"]
    ranking = services["ranking"]
    assert (ranking.description, ranking.owner) == ("What the ranker reads", "r@shop")
    assert ranking.tags["team"] == "ranking"
    chosen = {p.name: [f.name for f in p.features] for p in ranking.feature_view_projections}
    assert chosen == {"history": ["total", "all_events"], "visit": ["trail", "events"]}
    everything = [p.name for p in services["feast_cases"].feature_view_projections]
    assert everything == [view.name for view in CATALOG.views]


def test_a_service_of_the_catalogs_name_is_the_declared_one() -> None:
    own = FeatureService(name="feast_cases", features=["taste"])
    catalog = Catalog(name="feast_cases", views=CATALOG.views, services=[own])
    (service,) = _made(catalog, feast.FeatureService).values()
    assert [p.name for p in service.feature_view_projections] == ["taste"]


def test_a_service_that_is_declared_no_more_leaves_the_registry(
    tmp_path: Path, store_url: str
) -> None:
    apply(CATALOG, tmp_path, store_url)
    less = Catalog(name="feast_cases", views=CATALOG.views, services=CATALOG.services[:1])
    store = apply(less, tmp_path, store_url)
    assert {s.name for s in store.list_feature_services()} == {"ranking", "feast_cases"}


def test_names_that_would_collide() -> None:
    tagged = FeatureService(name="s", features=["taste"], tags={"nextbest.features": "[]"})
    with pytest.raises(DeclarationError, match=r"s: tag 'nextbest.features'"):
        feast_objects(Catalog(name="c", views=CATALOG.views, services=[tagged]))
    named = FeatureView(name="v", source=SHOP, features=[agg.count("product_id")])
    with pytest.raises(DeclarationError, match="v:product_id"):
        feast_objects(Catalog(name="c", views=[named, *CATALOG.views]))
