"""History through the real Feast SDK: a real archive, replayed, beside an ordinary view."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import feast
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.transformation.python_transformation import PythonTransformation
from feast.types import Float64, Int64

from nextbest.features.feast_plugin import serving
from nextbest.features.feast_plugin.errors import ComputedViewError, EntityFrameError
from nextbest.features.feast_plugin.repo import apply
from tests.features.feast_cases import (
    CATALOG,
    CUSTOMER_REFS,
    DAY,
    END,
    IDS,
    MINUTE,
    START,
    expected,
    is_same,
    make_archive,
    publish,
)

# ibis, which Feast joins with, still calls DuckDB by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
TIMES = [START - 1, START, START + 3 * MINUTE, START + 35 * MINUTE, START + DAY, END, END + 3 * DAY]


@pytest.fixture(scope="module")
def archive(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_archive(tmp_path_factory.mktemp("archive"), embedded_store)


@pytest.fixture(scope="module")
def shop(
    embedded_store: str, archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> feast.FeatureStore:
    """Feast's store with an ordinary view beside ours."""
    directory = tmp_path_factory.mktemp("feast")
    store = apply(CATALOG, directory, embedded_store, archive=archive)
    scores = pa.table(
        {
            "customer_id": ["ada", "ada", "bob"],
            "score": [1, 2, 3],
            "event_timestamp": pa.array([START, END, START], pa.timestamp("us", "UTC")),
        }
    )
    pq.write_table(scores, directory / "scores.parquet")
    profile = feast.FeatureView(
        name="profile",
        entities=[store.get_entity("customer")],
        schema=[feast.Field(name="score", dtype=Int64)],
        source=feast.FileSource(
            path=str(directory / "scores.parquet"), timestamp_field="event_timestamp"
        ),
    )
    store.apply([profile])
    return store


def _frame(ids: list[Any], times: list[int], **more: Any) -> pd.DataFrame:
    at = pd.to_datetime(times, unit="us", utc=True)
    return pd.DataFrame({"customer_id": ids, "event_timestamp": at, **more})


def _people() -> tuple[list[str], list[int]]:
    """Everyone at every time, in no order, with duplicates."""
    pairs = [(each, at) for at in TIMES for each in IDS["customer"]]
    pairs = pairs[::3] + pairs[1::3] + pairs[2::3]
    return [each for each, _ in pairs], [at for _, at in pairs]


def test_every_value_is_that_of_the_raw_events(shop: feast.FeatureStore) -> None:
    ids, times = _people()
    found = shop.get_historical_features(_frame(ids, times), CUSTOMER_REFS).to_arrow()
    names = [ref.split(":")[1] for ref in CUSTOMER_REFS]
    assert found.column_names == ["customer_id", "event_timestamp", *names]
    assert found["customer_id"].to_pylist() == ids
    assert found["event_timestamp"].cast(pa.int64()).to_pylist() == times
    for i, row in enumerate(found.to_pylist()):
        for ref, (value, _) in expected("customer", ids[i], times[i]).items():
            assert is_same(row[ref.split(":")[1]], value), (ref, ids[i], times[i], row)
    kinds = {name: found.schema.field(name).type for name in names}
    assert kinds["all_events"] == pa.int64()
    assert kinds["trail"] == pa.list_(pa.string())
    assert kinds["by_category"] == pa.list_(pa.int64())


@pytest.mark.parametrize("entity", ["product", "pair"])
def test_other_entities_too(shop: feast.FeatureStore, entity: str) -> None:
    catalog = CATALOG.of(entity)
    keys = list(catalog.entity.join_keys)
    rows = [
        ([each] if isinstance(each, str) else list(each), at)
        for at in TIMES
        for each in IDS[entity]
    ]
    frame = pd.DataFrame(
        {
            **{key: [parts[i] for parts, _ in rows] for i, key in reversed([*enumerate(keys)])},
            "event_timestamp": pd.to_datetime([at for _, at in rows], unit="us", utc=True),
        }
    )
    refs = [f"{view.name}:{feature.name}" for view, feature in catalog.features()]
    found = shop.get_historical_features(frame, refs, full_feature_names=True).to_arrow()
    for (parts, at), row in zip(rows, found.to_pylist(), strict=True):
        key = parts if len(parts) > 1 else parts[0]
        for ref, (value, _) in expected(entity, key, at).items():
            assert is_same(row[ref.replace(":", "__")], value), (ref, parts, at)


def test_what_was_served_is_what_is_replayed(
    shop: feast.FeatureStore, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store)
    refs = [*CUSTOMER_REFS, "popularity:heat", "taste:seen", "taste:dearest"]
    row = {"customer_id": "ada", "product_id": "p2", "category": "shoes"}
    for at in (END, END + 20 * MINUTE, END + 31 * MINUTE, END + 4 * DAY):
        monkeypatch.setattr(serving, "now_us", lambda at=at: at)
        online = shop.get_online_features(refs, [row]).to_dict()
        frame = pd.DataFrame([{**row, "event_timestamp": pd.Timestamp(at, unit="us", tz="UTC")}])
        replayed = shop.get_historical_features(frame, refs).to_arrow().to_pylist()[0]
        for ref in refs:
            name = ref.split(":")[1]
            assert is_same(replayed[name], online[name][0]), (ref, at)


def test_ordinary_views_in_the_same_call_are_as_without_ours(shop: feast.FeatureStore) -> None:
    ids, times = _people()
    mixed = ["history:all_events", "profile:score", "taste:seen"]
    frame = _frame(ids, times, category=["shoes"] * len(ids))
    together = shop.get_historical_features(frame, mixed).to_arrow()
    assert together.column_names[-3:] == ["all_events", "score", "seen"]
    assert together["customer_id"].to_pylist() == ids
    alone = shop.get_historical_features(frame, ["profile:score"]).to_arrow().to_pylist()
    by_row = {(row["customer_id"], row["event_timestamp"]): row["score"] for row in alone}
    assert set(by_row.values()) == {1, 2, 3, None}
    for row in together.to_pylist():
        assert row["score"] == by_row[row["customer_id"], row["event_timestamp"]]
    assert together["score"].type == together["all_events"].type == pa.int64()
    as_frame = shop.get_historical_features(frame, mixed).to_df()
    assert as_frame["score"].dtype == as_frame["all_events"].dtype == "float64"  # for the nulls


def test_a_service_with_full_names(shop: feast.FeatureStore) -> None:
    service = shop.get_feature_service("ranking")
    found = shop.get_historical_features(
        _frame(["ada"], [START]), service, full_feature_names=True
    ).to_arrow()
    values = {"visit__events": 1, "history__total": 0.0, "history__all_events": 1}
    row = found.to_pylist()[0]
    assert {name: row[name] for name in values} == values
    assert row["visit__trail"] == ["shoes"]


@pytest.mark.filterwarnings("ignore:On demand feature view is an experimental:RuntimeWarning")
def test_an_on_demand_view_over_both_and_a_saved_data_set(
    shop: feast.FeatureStore, tmp_path: Path
) -> None:
    def transform(inputs: dict[str, Any]) -> dict[str, Any]:
        pairs = zip(inputs["all_events"], inputs["score"], strict=True)
        return {"weight": [float(n * s) if n and s else -1.0 for n, s in pairs]}

    udf: Any = transform  # Feast wants a function that is no callable object
    view = feast.OnDemandFeatureView(
        name="weighing",
        sources=[shop.get_feature_view("history"), shop.get_feature_view("profile")],
        schema=[feast.Field(name="weight", dtype=Float64)],
        feature_transformation=PythonTransformation(udf=udf, udf_string="transform"),
        mode="python",
    )
    shop.apply([view])
    path = tmp_path / "saved.parquet"
    try:
        job = shop.get_historical_features(
            _frame(["ada", "bob", "nobody", "ada"], [END, START, END, START]),
            ["weighing:weight", "history:all_events", "profile:score"],
        )
        storage = SavedDatasetFileStorage(path=str(path))
        job.persist(storage)
        with pytest.raises(SavedDatasetLocationAlreadyExists):
            job.persist(storage)
        job.persist(storage, allow_overwrite=True)
        assert job.to_df()["weight"].tolist() == [8.0, -1.0, -1.0, 1.0]
    finally:
        shop.registry.delete_feature_view("weighing", shop.project)
    assert pq.read_table(path)["weight"].to_pylist() == [8.0, -1.0, -1.0, 1.0]
    assert job.metadata.keys == ["customer_id"]
    assert job.metadata.min_event_timestamp == pd.Timestamp(START, unit="us", tz="UTC")


@pytest.mark.filterwarnings("ignore:On demand feature view is an experimental:RuntimeWarning")
def test_an_on_demand_view_that_another_process_applied(
    embedded_store: str, archive: Path, tmp_path: Path
) -> None:
    def transform(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"twice": [2.0 * n for n in inputs["all_events"]]}

    asking = apply(CATALOG, tmp_path, embedded_store, archive=archive)
    assert not asking.list_on_demand_feature_views(allow_cache=True)
    elsewhere = apply(CATALOG, tmp_path, embedded_store, archive=archive)
    udf: Any = transform
    view = feast.OnDemandFeatureView(
        name="doubling",
        sources=[elsewhere.get_feature_view("history")],
        schema=[feast.Field(name="twice", dtype=Float64)],
        feature_transformation=PythonTransformation(udf=udf, udf_string="transform"),
        mode="python",
    )
    elsewhere.apply([view])
    frame = _frame(["ada"], [END])
    found = asking.get_historical_features(frame, ["doubling:twice", "history:all_events"])
    row = found.to_df().to_dict("records")[0]
    assert row["twice"] == 2.0 * row["all_events"] > 0


def test_a_join_key_map_asks_of_other_people(shop: feast.FeatureStore) -> None:
    def mapped(view: str) -> Any:
        named = shop.get_feature_view(view).with_name(f"partner_{view}")
        return named.with_join_key_map({"customer_id": "partner_id"})

    own = shop.get_feature_view("history").with_name("own")
    service = feast.FeatureService(
        name="couple", features=[own, mapped("history"), mapped("profile")]
    )
    shop.apply([service])
    frame = _frame(["ada", "bob"], [END, END], partner_id=["bob", "nobody"])
    found = shop.get_historical_features(frame, service, full_feature_names=True).to_arrow()
    shop.delete_feature_service("couple")
    assert found["own__all_events"].to_pylist() == [4, 2]
    assert found["partner_history__all_events"].to_pylist() == [2, None]
    assert found["partner_profile__score"].to_pylist() == [3, None]


def _refusals(shop: feast.FeatureStore) -> list[Callable[[], Any]]:
    offline: Any = shop._get_provider().offline_store
    view = shop.get_feature_view("history")
    source, now = view.batch_source, pd.Timestamp.now("UTC").to_pydatetime()
    table = pa.table({"customer_id": ["ada"]})
    pulled = (["customer_id"], ["all_events"], "event_timestamp")
    return [
        lambda: shop.get_historical_features(features=["history:total"], start_date=now),
        lambda: offline.pull_latest_from_table_or_query(
            shop.config, source, *pulled, None, now, now
        ),
        lambda: offline.pull_all_from_table_or_query(shop.config, source, *pulled),
        lambda: offline.offline_write_batch(shop.config, view, table, None),
        lambda: shop.write_to_offline_store("history", pd.DataFrame(), allow_registry_cache=False),
    ]


@pytest.mark.parametrize(
    ("which", "reason"),
    [
        (0, "give an entity frame of keys and times"),
        (1, "there is nothing to materialize"),
        (2, "ask get_historical_features"),
        (3, "publish the events instead"),
    ],
)
def test_what_has_no_meaning_is_refused_and_says_what_to_do(
    shop: feast.FeatureStore, which: int, reason: str
) -> None:
    with pytest.raises(ComputedViewError, match=reason) as refused:
        _refusals(shop)[which]()
    assert refused.value.http_status_code() == 400


def test_the_log_of_a_service_is_refused(shop: feast.FeatureStore, tmp_path: Path) -> None:
    from feast.feature_logging import LoggingConfig
    from feast.infra.offline_stores.file_source import FileLoggingDestination

    service = feast.FeatureService(
        name="logged",
        features=[shop.get_feature_view("history")],
        logging_config=LoggingConfig(destination=FileLoggingDestination(path=str(tmp_path))),
    )
    shop.apply([service])
    with pytest.raises(ComputedViewError, match="the archive of training examples"):
        shop.write_logged_features(pa.table({"customer_id": ["ada"]}), service)
    shop.delete_feature_service("logged")


def test_without_an_archive_it_says_what_is_missing(
    shop: feast.FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop.config.offline_store, "archive_path", None)
    job = shop.get_historical_features(_frame(["ada"], [END]), ["history:total"])
    with pytest.raises(ComputedViewError, match="set archive_path of the offline store"):
        job.to_df()


def test_a_query_that_duckdb_refuses(shop: feast.FeatureStore) -> None:
    with pytest.raises(EntityFrameError, match=r"query failed: .*no_such_table"):
        shop.get_historical_features("SELECT * FROM no_such_table", ["history:total"])
