"""Ordinary views through our stores, against Feast's own stores on the same registry and server."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import feast
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from feast.on_demand_feature_view import PandasTransformation
from feast.online_response import OnlineResponse
from feast.types import (
    Array,
    Bool,
    Bytes,
    Float32,
    Float64,
    Int32,
    Int64,
    Json,
    Map,
    String,
    UnixTimestamp,
)

from nextbest.features.feast_plugin import serving
from nextbest.features.feast_plugin.repo import apply
from nextbest.features.feast_plugin.response import ComputedResponse
from tests.features.feast_cases import CATALOG, CUSTOMER_REFS, END, publish

pytestmark = [
    pytest.mark.filterwarnings("ignore:On demand feature view is an experimental:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),  # of Feast's ibis
]
NOW = pd.Timestamp.now("UTC").floor("s")
TYPES = {
    "whole": Int64,
    "small": Int32,
    "real": Float64,
    "single": Float32,
    "word": String,
    "yes": Bool,
    "raw": Bytes,
    "when": UnixTimestamp,
    "wholes": Array(Int64),
    "reals": Array(Float64),
    "words": Array(String),
    "notes": Map,
    "text": Json,
}
IDS = ["ada", "nobody", "bob", "ada", "é, ß"]
ORDINARY = [f"crm:{name}" for name in TYPES] + ["old:score"]


def _frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": ["ada", "bob", "é, ß"],
            "event_timestamp": [NOW, NOW - pd.Timedelta("3d"), NOW],
            "whole": [2**53 + 1, -1, 0],
            "small": [1, 2, 3],
            "real": [0.1, np.nan, np.inf],
            "single": [0.5, -0.5, 2.5],
            "word": ["", "naïve", None],
            "yes": [True, False, True],
            "raw": [b"\0\1", b"", b"x"],
            "when": [NOW, NOW, NOW],
            "wholes": [[1, 2], [3], [0]],
            "reals": [[0.5], [1.5, 2.5], [0.0]],
            "words": [["a"], ["b", ""], ["ü"]],
            "notes": [{"a": "b"}, {}, None],
            "text": ['{"a": 1}', "[]", None],
        }
    )


def _definitions(directory: Path, store: feast.FeatureStore) -> list[Any]:
    customer = store.get_entity("customer")
    path = directory / "crm.parquet"
    frame = _frame()
    ages = frame[["customer_id", "event_timestamp"]].assign(score=[1.0, 2.0, 3.0])
    ages["event_timestamp"] = ages["event_timestamp"].astype("datetime64[us, UTC]")
    pq.write_table(pa.Table.from_pandas(ages), path)
    source = feast.FileSource(path=str(path), timestamp_field="event_timestamp")
    crm = feast.FeatureView(
        name="crm",
        entities=[customer],
        schema=[feast.Field(name=name, dtype=kind) for name, kind in TYPES.items()],
        source=feast.PushSource(name="crm_push", batch_source=source),
        ttl=dt.timedelta(days=2),
    )
    score = feast.Field(name="score", dtype=Float64)
    old = feast.FeatureView(name="old", entities=[customer], schema=[score], source=source)

    def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"doubled": inputs["score"] * inputs["factor"]})

    on_demand = feast.OnDemandFeatureView(
        name="made",
        sources=[
            old,
            feast.RequestSource(name="asked", schema=[feast.Field(name="factor", dtype=Float64)]),
        ],
        schema=[feast.Field(name="doubled", dtype=Float64)],
        feature_transformation=PandasTransformation(udf=doubled, udf_string="doubled"),
        mode="pandas",
    )
    services = [
        feast.FeatureService(name="plain", features=[crm[["word", "whole"]], old]),
        feast.FeatureService(name="renamed", features=[old.with_name("first"), crm[["yes"]]]),
    ]
    return [crm, old, on_demand, *services]


Stores = tuple[feast.FeatureStore, feast.FeatureStore]


@pytest.fixture(scope="module")
def applied(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """Feast with its own stores, and with ours: one registry, one server."""
    directory = tmp_path_factory.mktemp("feast")
    ours = apply(CATALOG, directory, embedded_store, archive=directory)
    ours.apply(_definitions(directory, ours))
    path = embedded_store.removeprefix("unix://").partition("?")[0]
    config = ours.config.model_copy(deep=True)
    stock = feast.FeatureStore(
        config=feast.RepoConfig(
            project=config.project,
            provider="local",
            registry=config.registry,
            online_store={
                "type": "redis",
                "connection_string": f"localhost:1,unix_socket_path={path}",
            },
            offline_store={"type": "duckdb"},
            entity_key_serialization_version=3,
            repo_path=directory,
        )
    )
    return stock, ours


@pytest.fixture
def stores(
    applied: Stores, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> tuple[feast.FeatureStore, feast.FeatureStore]:
    """The same, with rows of ordinary and computed views."""
    monkeypatch.setattr(serving, "now_us", lambda: END)
    publish(store)
    _write(applied[0])
    return applied


def _write(store: feast.FeatureStore) -> None:
    store.push("crm_push", _frame())
    frame = _frame()[["customer_id", "event_timestamp"]].assign(score=[1.0, 2.0, 3.0])
    store.write_to_online_store("old", frame)


def _plain(value: Any) -> Any:
    """A value by which NaN equals itself, and 1 differs from 1.0."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return [(name, _plain(each)) for name, each in value.items()]
    return type(value), str(value)


def _assert_same(ours: OnlineResponse, theirs: OnlineResponse) -> None:
    assert type(ours) is type(theirs)
    assert str(ours.proto) == str(theirs.proto)
    assert _plain(ours.to_dict(True)) == _plain(theirs.to_dict(True))
    pd.testing.assert_frame_equal(ours.to_df(True), theirs.to_df(True))


def _rows(ids: list[str], **more: Any) -> list[dict[str, Any]]:
    return [{"customer_id": name, **more} for name in ids]


def test_requests_of_ordinary_views_are_answered_to_the_letter(stores: Stores) -> None:
    stock, ours = stores
    random = np.random.default_rng(3)
    for turn in range(40):
        refs = [str(ref) for ref in random.permutation(ORDINARY)[: random.integers(1, 16)]]
        ids = [str(each) for each in random.choice(IDS, int(random.integers(1, 7)))]
        given: Any = _rows(ids) if turn % 2 else {"customer_id": ids}
        options: dict[str, Any] = {
            "full_feature_names": turn % 3 == 0,
            "include_feature_view_version_metadata": turn % 5 == 0,
        }
        answers = [s.get_online_features(refs, given, **options) for s in (ours, stock)]
        _assert_same(*answers)


def test_services_and_on_demand_views_of_ordinary_ones(stores: Stores) -> None:
    stock, ours = stores
    for name in ("plain", "renamed"):
        answers = [
            s.get_online_features(s.get_feature_service(name), _rows(IDS)) for s in (ours, stock)
        ]
        _assert_same(*answers)
    refs = ["made:doubled", "crm:word"]
    answers = [s.get_online_features(refs, _rows(IDS, factor=2.0)) for s in (ours, stock)]
    _assert_same(*answers)
    assert answers[0].to_dict()["doubled"] == [2.0, None, 4.0, 2.0, 6.0]


def test_what_is_compared_has_values_and_gaps(stores: Stores) -> None:
    found = stores[1].get_online_features(ORDINARY, _rows(IDS)).to_dict()
    assert found["score"] == [1.0, None, 2.0, 1.0, 3.0]
    assert found["whole"][:2] == [2**53 + 1, None]
    assert found["raw"][0] == b"\0\1"
    assert found["words"][-1] == ["ü"]


@pytest.mark.parametrize("full_names", [False, True])
def test_ordinary_views_beside_computed_ones_are_as_alone(stores: Stores, full_names: bool) -> None:
    stock, ours = stores
    random = np.random.default_rng(5)
    for _ in range(20):
        own = [str(ref) for ref in random.permutation(ORDINARY)[: random.integers(1, 8)]]
        more = [str(ref) for ref in random.permutation(CUSTOMER_REFS)[: random.integers(1, 8)]]
        refs = [str(ref) for ref in random.permutation([*own, *more])]
        answer = ours.get_online_features(refs, _rows(IDS), full_feature_names=full_names)
        assert isinstance(answer, ComputedResponse)
        for part, source in ((own, stock), (more, ours)):
            alone = source.get_online_features(part, _rows(IDS), full_feature_names=full_names)
            vectors, expected = _vectors(answer), _vectors(alone)
            mixed, plain = answer.to_dict(True), alone.to_dict(True)
            for name in expected:
                assert str(vectors[name]) == str(expected[name])
                assert _plain(mixed[name]) == _plain(plain[name])
        assert len(vectors) == len(refs) + 1
        assert list(vectors) == list(answer.to_dict())


def _vectors(answer: OnlineResponse) -> dict[str, Any]:
    names = answer.proto.metadata.feature_names.val
    return dict(zip(names, answer.proto.results, strict=True))


def test_what_we_write_is_what_feast_writes(stores: Stores, store: redis.Redis) -> None:
    stock, ours = stores
    found = []
    for each in (stock, ours):
        for key in [key for key in store.scan_iter() if not key.startswith(b"nextbest:")]:
            store.delete(key)
        _write(each)
        each.materialize(NOW - pd.Timedelta("9d"), NOW + pd.Timedelta("1d"), feature_views=["old"])
        keys = sorted(key for key in store.scan_iter() if not key.startswith(b"nextbest:"))
        found.append({key: store.hgetall(key) for key in keys})
    assert found[0] == found[1]
    assert len(found[0]) == 3


WRONG: list[tuple[list[str], Any]] = [
    (["crm:nothing"], [{"customer_id": "ada"}]),
    (["nothing:word"], [{"customer_id": "ada"}]),
    (["crm:word", "crm:word"], [{"customer_id": "ada"}]),
    (["crm:word"], [{"shop_id": "ada"}]),
    (["crm:word"], []),
    (["made:doubled"], [{"customer_id": "ada"}]),
]


@pytest.mark.parametrize(("refs", "rows"), WRONG, ids=[json.dumps(case) for case in WRONG])
def test_wrong_requests_fail_as_in_feast(stores: Stores, refs: list[str], rows: Any) -> None:
    def outcome(each: feast.FeatureStore) -> tuple[Any, str]:
        try:
            return OnlineResponse, str(each.get_online_features(refs, rows).proto)
        except Exception as error:  # whatever Feast raises
            return type(error), str(error)

    assert outcome(stores[1]) == outcome(stores[0])


@pytest.mark.parametrize(
    "convert",
    [lambda job: job.to_arrow(), lambda job: pa.Table.from_pandas(job.to_df())],
    ids=["arrow", "frame"],
)
def test_history_of_ordinary_views_is_feasts(
    stores: Stores, convert: Callable[[Any], pa.Table]
) -> None:
    frame = pd.DataFrame(
        {
            "customer_id": IDS,
            "event_timestamp": [NOW + pd.Timedelta(minutes=i) for i in range(len(IDS))],
            "factor": 2.0,
        }
    )
    tables = [
        convert(each.get_historical_features(frame, ["old:score", "made:doubled"]))
        for each in stores
    ]
    assert tables[0].schema.equals(tables[1].schema)
    by_time = [table.sort_by("event_timestamp").to_pylist() for table in tables]
    assert str(by_time[0]) == str(by_time[1])
    assert [row["score"] for row in by_time[0]][::4] == [1.0, 3.0]
