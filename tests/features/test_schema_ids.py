"""Which declarations share rows, and how rows of an earlier version's ids are read."""

from __future__ import annotations

import pytest
import redis

from nextbest.features import Catalog, Feature, FeatureView
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
