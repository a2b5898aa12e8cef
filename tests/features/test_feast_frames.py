"""Entity frames of every form give the same features as plain ones, in their own order."""

from __future__ import annotations

import datetime as dt
import inspect
from pathlib import Path
from typing import Any

import feast
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast.errors import EntityTimestampInferenceException
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore
from pydantic import ValidationError

from nextbest.features.declaration import Feature
from nextbest.features.feast_plugin.entity_frame import EntityFrame
from nextbest.features.feast_plugin.errors import ComputedViewError, EntityFrameError
from nextbest.features.feast_plugin.history import to_arrow
from nextbest.features.feast_plugin.offline_store import (
    NextbestOfflineStore,
    NextbestOfflineStoreConfig,
)
from nextbest.features.feast_plugin.repo import apply
from nextbest.features.kernels.read import EXPIRED, MISSING, PRESENT
from nextbest.features.state import empty_rows
from tests.features.feast_cases import (
    CATALOG,
    DAY,
    END,
    START,
    TASTE,
    VISIT,
    make_archive,
)

REFS = ["history:all_events", "visit:trail"]
IDS = ["bob", "ada", "nobody", "ada", "bob"]
TIMES = [END, START + DAY, END, START, END]
COUNTS = [2, 3, None, 1, 2]


@pytest.fixture(scope="module")
def shop(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> feast.FeatureStore:
    archive = make_archive(tmp_path_factory.mktemp("archive"), embedded_store)
    return apply(CATALOG, tmp_path_factory.mktemp("feast"), embedded_store, archive=archive)


def _ask(shop: feast.FeatureStore, frame: Any, **options: Any) -> pa.Table:
    return shop.get_historical_features(frame, REFS, **options).to_arrow()


UTC = pd.Series(pd.to_datetime(TIMES, unit="us", utc=True))
NAIVE = UTC.dt.tz_localize(None)


@pytest.mark.parametrize(
    "times",
    [
        UTC,
        NAIVE,
        UTC.dt.tz_convert("Asia/Kolkata"),
        UTC.dt.as_unit("ns"),
        UTC.map(lambda t: t.isoformat()),
        UTC.map(lambda t: t.isoformat()).astype("string"),
        pd.Series([t.to_pydatetime() for t in UTC], dtype=object),
        pd.Series([t.to_pydatetime() for t in NAIVE], dtype=object),
    ],
    ids=["utc", "naive", "zone", "ns", "text", "string", "objects", "naive objects"],
)
def test_times_of_every_type(shop: feast.FeatureStore, times: Any) -> None:
    frame = pd.DataFrame({"customer_id": IDS, "event_timestamp": times})
    kept = frame.copy(deep=True)
    found = _ask(shop, frame)
    pd.testing.assert_frame_equal(frame, kept)
    assert found["event_timestamp"].type == pa.timestamp("us", "UTC")
    assert found["event_timestamp"].cast(pa.int64()).to_pylist() == TIMES
    assert found["customer_id"].to_pylist() == IDS
    assert found["all_events"].to_pylist() == COUNTS


def test_coarse_times(shop: feast.FeatureStore) -> None:
    times = UTC.dt.as_unit("s") + pd.Timedelta(seconds=1)
    frame = pd.DataFrame({"customer_id": IDS, "event_timestamp": times.dt.as_unit("ms")})
    assert _ask(shop, frame)["all_events"].to_pylist() == COUNTS


@pytest.mark.parametrize("kind", ["string", "category", "string[pyarrow]"])
def test_keys_of_every_type(shop: feast.FeatureStore, kind: str) -> None:
    frame = pd.DataFrame({"customer_id": pd.Series(IDS, dtype=kind), "event_timestamp": UTC})
    assert _ask(shop, frame)["all_events"].to_pylist() == COUNTS


def test_other_columns_stay_and_the_time_may_have_another_name(shop: feast.FeatureStore) -> None:
    frame = pd.DataFrame(
        {
            "label": [0.5, None, 1.0, 2.0, 3.0],
            "when": [*UTC],
            "customer_id": IDS,
            "note": pd.array([1, None, 3, 4, 5], dtype="Int64"),
        },
        index=[9, 9, 3, 1, 0],
    )
    found = _ask(shop, frame)
    assert found.column_names == ["label", "when", "customer_id", "note", "all_events", "trail"]
    assert found["label"].to_pylist() == [0.5, None, 1.0, 2.0, 3.0]
    assert found["note"].to_pylist() == [1, None, 3, 4, 5]
    assert found["all_events"].to_pylist() == COUNTS


def test_rows_without_a_time_or_a_key_have_no_features(shop: feast.FeatureStore) -> None:
    times = UTC.copy()
    times[0] = pd.NaT
    frame = pd.DataFrame({"customer_id": ["bob", None, *IDS[2:]], "event_timestamp": times})
    found = _ask(shop, frame)
    assert found["all_events"].to_pylist() == [None, None, *COUNTS[2:]]
    assert found["trail"].to_pylist() == [None, None, None, ["shoes"], ["shoes"]]


@pytest.mark.parametrize("ids", [[], [None, None]], ids=["no rows", "no keys"])
def test_nothing_to_replay(shop: feast.FeatureStore, ids: list[Any]) -> None:
    frame = pd.DataFrame(
        {"customer_id": ids, "event_timestamp": pd.to_datetime([END] * len(ids), utc=True)}
    )
    found = _ask(shop, frame)
    assert found["all_events"].to_pylist() == [None] * len(ids)
    assert found["all_events"].type == pa.int64()
    assert found["trail"].type == pa.list_(pa.string())


def test_a_query_instead_of_a_frame(shop: feast.FeatureStore) -> None:
    found = _ask(
        shop,
        f"SELECT 'ada' AS customer_id, make_timestamp({END}) AS event_timestamp, 7 AS n",
    )
    assert found.to_pylist()[0]["all_events"] == 4
    assert found["n"].to_pylist() == [7]


@pytest.mark.filterwarnings("ignore:Could not infer format:UserWarning")
@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ({"customer_id": IDS, "event_timestamp": UTC, "trail": IDS}, "'trail' is a column of"),
        ({"customer": IDS, "event_timestamp": UTC}, "visit|history needs the column 'customer_id'"),
        ({"customer_id": IDS, "event_timestamp": TIMES}, "'event_timestamp' .* holds int64"),
        ({"customer_id": IDS, "event_timestamp": ["soon"] * 5}, "'event_timestamp' of the entity"),
        ({"customer_id": IDS, "event_timestamp": UTC, "__nextbest_row": IDS}, "is reserved"),
        (
            {"customer_id": IDS, "event_timestamp": UTC, "mix": [1, "a", None, {}, 2]},
            "the entity frame cannot be read: .*mix",
        ),
    ],
    ids=["a feature's name", "no key", "numbers", "no times", "reserved", "mixed"],
)
def test_frames_that_cannot_be_used(
    shop: feast.FeatureStore, frame: dict[str, Any], reason: str
) -> None:
    with pytest.raises(EntityFrameError, match=reason) as refused:
        _ask(shop, pd.DataFrame(frame))
    assert refused.value.http_status_code() == 400


def test_a_column_that_stands_twice_and_one_of_numbers(shop: feast.FeatureStore) -> None:
    twice = pd.DataFrame(
        [["ada", "bob", UTC[0]]], columns=["customer_id"] * 2 + ["event_timestamp"]
    )
    with pytest.raises(EntityFrameError, match="'customer_id' stands twice"):
        EntityFrame.of(twice)
    with pytest.raises(EntityFrameError, match="not Table"):
        EntityFrame.of(pa.table({"customer_id": ["ada"]}))
    numbers = pd.DataFrame({"customer_id": [1, 2], "event_timestamp": UTC[:2]})
    with pytest.raises(ComputedViewError, match="keyed by strings; 'customer_id' holds int64"):
        _ask(shop, numbers)
    with pytest.raises(EntityTimestampInferenceException):
        _ask(shop, pd.DataFrame({"customer_id": IDS}))


def test_a_taken_name_may_be_asked_for_in_full(shop: feast.FeatureStore) -> None:
    frame = pd.DataFrame({"customer_id": IDS, "event_timestamp": UTC, "trail": IDS})
    found = _ask(shop, frame, full_feature_names=True)
    assert found["trail"].to_pylist() == IDS
    assert found["visit__trail"].to_pylist()[3] == ["shoes"]


def test_the_bounds_of_a_frame() -> None:
    at = pd.Series([pd.NaT, UTC[0], UTC[3]])
    frame = EntityFrame.of(pd.DataFrame({"event_timestamp": at}))
    assert frame.bounds == (UTC[3].to_pydatetime(), UTC[0].to_pydatetime())
    assert frame.bounds[0] is not None
    assert frame.bounds[0].utcoffset() == dt.timedelta(0)
    assert EntityFrame.of(pd.DataFrame({"event_timestamp": at[:1]})).bounds == (None, None)


def test_gaps_in_arrays_are_those_of_a_lookup() -> None:
    features: dict[str, Feature] = {f.name: f for f in VISIT.features}
    rows = empty_rows(4, 3)
    rows.state[:] = [[PRESENT] * 3, [PRESENT, MISSING, MISSING], [EXPIRED] * 3, [MISSING] * 3]
    rows.values[:] = [[0, 1, 2], [2, np.nan, np.nan], [np.nan] * 3, [np.nan] * 3]
    words = to_arrow(features["trail"], rows, 0, ragged=True)
    assert words.to_pylist() == [[*VISIT.features[2].vocabulary], ['naïve, "odd"'], None, None]
    means = to_arrow(features["mean_by_category"], rows, 0, ragged=False).to_pylist()
    assert str(means) == "[[0.0, 1.0, 2.0], [2.0, nan, nan], None, None]"
    assert to_arrow(TASTE.features[0], rows, 0, ragged=False).to_pylist() == [0, 2, None, None]


@pytest.mark.parametrize("options", [{"threads": 0}, {"memory_bytes": -1}, {"archive": "x"}])
def test_options_that_cannot_be_used(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        NextbestOfflineStoreConfig(**options)


def test_the_options_of_a_replay(shop: feast.FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    options = shop.config.offline_store
    assert isinstance(options, NextbestOfflineStoreConfig)
    assert Path(options.archive_path or "").is_absolute()
    monkeypatch.setattr(options, "threads", 1)
    monkeypatch.setattr(options, "memory_bytes", 1 << 24)
    frame = pd.DataFrame({"customer_id": IDS, "event_timestamp": UTC})
    assert _ask(shop, frame)["all_events"].to_pylist() == COUNTS


@pytest.mark.parametrize(
    "method",
    [
        "pull_latest_from_table_or_query",
        "pull_all_from_table_or_query",
        "offline_write_batch",
        "write_logged_features",
        "get_historical_features",
    ],
)
def test_feasts_methods_are_those_that_the_store_overrides(method: str) -> None:
    ours, theirs = (
        [(p.name, p.default) for p in inspect.signature(getattr(store, method)).parameters.values()]
        for store in (NextbestOfflineStore, DuckDBOfflineStore)
    )
    if method == "get_historical_features":
        assert (ours.pop()[0], theirs.pop()[0]) == ("options", "filter_by_created_timestamp")
    assert ours == theirs
