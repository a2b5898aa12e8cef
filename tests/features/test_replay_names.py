"""Features whose columns would be called alike are not put into one table."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from nextbest.features import Catalog, FeatureView, SettingsError
from nextbest.features import aggregations as agg
from nextbest.features.replay_table import Training
from tests.laws.cases import SCHEMA

QUERIES = pa.schema([("customer_id", pa.string()), ("event_timestamp", pa.int64())])
CATALOG = Catalog(
    name="shop",
    views=[
        FeatureView(
            name="a", source=SCHEMA, features=[agg.count("b__c"), agg.count("b__c__state")]
        ),
        FeatureView(name="a__b", source=SCHEMA, features=[agg.count("c")]),
    ],
)


def test_names_that_flatten_alike() -> None:
    with pytest.raises(SettingsError) as raised:
        Training(CATALOG, Path()).check(QUERIES)
    assert str(raised.value) == "a:b__c and a__b:c would both have a column 'a__b__c': choose one"
    Training(CATALOG, Path(), ["a"]).check(QUERIES)
    Training(CATALOG, Path(), ["a__b"], states=True).check(QUERIES)


def test_a_state_that_is_called_as_a_feature() -> None:
    with pytest.raises(SettingsError, match="a:b__c and a:b__c__state would both have a column"):
        Training(CATALOG, Path(), ["a"], states=True).check(QUERIES)
