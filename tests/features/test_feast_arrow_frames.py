"""Entity frames whose columns are Arrow's give the same features as those of pandas."""

from __future__ import annotations

from typing import Any

import feast
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast.types import Int64

from nextbest.features.feast_plugin.entity_frame import EntityFrame
from nextbest.features.feast_plugin.errors import EntityFrameError
from nextbest.features.feast_plugin.repo import apply
from tests.features.feast_cases import CATALOG, DAY, END, START, make_archive

# ibis, which Feast joins with, still calls DuckDB by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
REFS = ["history:all_events", "crm:score"]
IDS = ["bob", "ada", "nobody", "ada", "bob"]
TIMES = [END, START + DAY, END, START, None]
ANSWER = {"all_events": [2, 3, None, 1, None], "score": [3, 1, None, 1, None]}


@pytest.fixture(scope="module")
def shop(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> feast.FeatureStore:
    """Feast's store with an ordinary view beside ours."""
    archive = make_archive(tmp_path_factory.mktemp("archive"), embedded_store)
    directory = tmp_path_factory.mktemp("feast")
    store = apply(CATALOG, directory, embedded_store, archive=archive)
    scores = {
        "customer_id": ["ada", "bob"],
        "score": [1, 3],
        "event_timestamp": pa.array([START, START], pa.timestamp("us", "UTC")),
    }
    pq.write_table(pa.table(scores), directory / "scores.parquet")
    source = feast.FileSource(
        path=str(directory / "scores.parquet"), timestamp_field="event_timestamp"
    )
    crm = feast.FeatureView(
        name="crm",
        entities=[store.get_entity("customer")],
        schema=[feast.Field(name="score", dtype=Int64)],
        source=source,
    )
    store.apply([crm])
    return store


def _frame(times: Any, **others: Any) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": IDS, "event_timestamp": times, **others})


def _times(unit: str, zone: str | None) -> pd.Series[Any]:
    whole: Any = pa.array(TIMES, pa.timestamp("us"))
    made = whole.cast(pa.timestamp(unit), safe=False)
    if zone is not None:
        made = made.cast(pa.timestamp(unit, "UTC")).cast(pa.timestamp(unit, zone))
    return pd.Series(made, dtype=pd.ArrowDtype(made.type))


@pytest.mark.parametrize("unit", ["us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kolkata"])
def test_times_of_arrow(shop: feast.FeatureStore, unit: str, zone: str | None) -> None:
    frame = _frame(_times(unit, zone))
    kept = frame.copy(deep=True)
    found = shop.get_historical_features(frame, REFS).to_arrow()
    pd.testing.assert_frame_equal(frame, kept)
    assert found["event_timestamp"].type == pa.timestamp("us", "UTC")
    assert found["event_timestamp"].cast(pa.int64()).to_pylist() == TIMES
    assert {name: found[name].to_pylist() for name in ANSWER} == ANSWER


def test_a_frame_whose_columns_are_all_arrows(shop: feast.FeatureStore) -> None:
    frame = _frame(_times("us", "UTC"), n=range(5)).convert_dtypes(dtype_backend="pyarrow")
    frame = frame.rename(columns={"event_timestamp": "when"})
    assert {type(kind) for kind in frame.dtypes} == {pd.ArrowDtype}
    found = shop.get_historical_features(frame, REFS).to_arrow()
    assert found.column_names == ["customer_id", "when", "n", *ANSWER]
    assert {name: found[name].to_pylist() for name in ANSWER} == ANSWER


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64(), pa.string()], ids=str)
def test_dates_and_texts_of_arrow(kind: pa.DataType) -> None:
    days = pa.array([0, None, 20_000], pa.int32()).cast(pa.date32())
    frame = pd.DataFrame({"event_timestamp": pd.Series(days.cast(kind), dtype=pd.ArrowDtype(kind))})
    assert EntityFrame.of(frame).at.to_pylist() == [0, None, 20_000 * DAY]


def test_what_is_of_arrow_and_no_times() -> None:
    frame = _frame(pd.Series(range(5), dtype="int64[pyarrow]"))
    with pytest.raises(EntityFrameError, match=r"holds int64\[pyarrow\], no times"):
        EntityFrame.of(frame)
