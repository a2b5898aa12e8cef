"""Which declarations share rows, and how rows of an earlier version's ids are read."""

from __future__ import annotations

import pytest
import redis

from nextbest.features import Catalog, Entity, Feature, FeatureView
from nextbest.features import aggregations as agg
from nextbest.features.online import FeatureClient
from nextbest.features.schema_ids import schema_id, schema_ids
from tests.features.online_cases import EVENTS, NOW, shop, write_rows

COUNT, SPEND = agg.count("n"), agg.sum("spend", of="value")
RATIO = agg.ratio("mean", "spend", "n")


def declared(*features: Feature) -> Catalog:
    return Catalog(name="ids", views=[FeatureView(name="v", source=shop, features=features)])


def test_what_is_made_of_other_features_needs_no_other_rows() -> None:
    plain = declared(COUNT, SPEND)
    assert schema_id(plain) == 0x9A89DF68  # as it always was
    assert schema_id(declared(COUNT, SPEND, RATIO)) == schema_id(plain)
    assert schema_id(declared(SPEND, COUNT)) != schema_id(plain)


def test_rows_of_an_earlier_id_are_read(
    store: redis.Redis, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = declared(COUNT, SPEND, RATIO)
    now, earlier = schema_ids(catalog)
    with monkeypatch.context() as patch:
        patch.setattr("nextbest.features.plan.schema_id", lambda catalog: earlier)
        written = write_rows(store, catalog, EVENTS)["customer"]
        assert written.plan.schema_id == earlier != now
    with FeatureClient(store_url, catalog) as client:
        found = client.get(["ann"], at=NOW)
    assert found.values.tobytes() == written.state.read(["ann"], NOW).values.tobytes()
    assert found.to_dict("ann")["v:mean"] is not None


def keyed(entity: str, *keys: str) -> Catalog:
    view = FeatureView(name="v", source=shop, features=[COUNT, SPEND], entity=Entity(entity, keys))
    return Catalog(name="ids", views=[view])


def test_other_join_keys_are_other_rows() -> None:
    plain, other = keyed("word", "word"), keyed("word", "product")
    assert schema_id(plain) == schema_id(declared(COUNT, SPEND))
    assert schema_ids(plain) == (schema_id(plain),)
    assert len({schema_id(one) for one in (plain, other, keyed("word", "word", "product"))}) == 3
    assert schema_ids(other) == (schema_id(other), schema_id(plain))


@pytest.mark.parametrize("is_earlier", [True, False])
def test_a_row_that_other_join_keys_found_reads_as_none(
    store: redis.Redis, store_url: str, monkeypatch: pytest.MonkeyPatch, is_earlier: bool
) -> None:
    with monkeypatch.context() as patch:
        if is_earlier:
            patch.setattr(
                "nextbest.features.plan.schema_id", lambda catalog: schema_ids(catalog)[-1]
            )
        written = write_rows(store, keyed("item", "product"), EVENTS)["item"]
    with FeatureClient(store_url, keyed("item", "product")) as client:
        same = client.get(["hat"], at=NOW)
    assert same.values.tobytes() == written.state.read(["hat"], NOW).values.tobytes()
    assert same.values[0, 0] == 3.0
    with FeatureClient(store_url, keyed("item", "word")) as client:
        for ids in (["hat"], ["hat", "nothing"]):
            other = client.get(ids, at=NOW)
            assert other.states("hat") == {"v:n": "missing", "v:spend": "missing"}
            assert set(other.rows.age_ms.tolist()) == {-1}
