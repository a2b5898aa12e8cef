"""An id that UTF-8 has no bytes for, asked for through the real Feast SDK."""

from __future__ import annotations

import asyncio
from typing import Any

import feast
import pandas as pd
import pytest
import redis

from nextbest.features import SettingsError
from nextbest.features.feast_plugin.entity_frame import EntityFrame
from nextbest.features.feast_plugin.errors import EntityFrameError, IdError
from nextbest.features.feast_plugin.repo import apply
from tests.features.feast_cases import CATALOG, publish

BAD = "ada\ud800"
SAYS = "an id is no text: 'utf-8' codec can't encode"


@pytest.fixture(scope="module")
def shop(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> feast.FeatureStore:
    return apply(CATALOG, tmp_path_factory.mktemp("feast"), embedded_store)


@pytest.mark.parametrize("is_direct", [True, False], ids=["fast", "feast"])
@pytest.mark.parametrize(
    ("refs", "row"),
    [
        (["history:all_events"], {"customer_id": BAD}),
        (["taste:seen"], {"customer_id": "ada", "category": BAD}),
    ],
    ids=["one", "pair"],
)
def test_an_id_that_is_no_text(
    shop: feast.FeatureStore,
    store: redis.Redis,
    refs: list[str],
    row: dict[str, str],
    is_direct: bool,
) -> None:
    publish(store)
    settings = {"include_feature_view_version_metadata": not is_direct}
    rows = [dict.fromkeys(row, "ada"), row]

    async def ask(rows: list[dict[str, str]]) -> Any:
        try:
            answer = await shop.get_online_features_async(refs, rows, **settings)
            return answer.to_dict()
        finally:
            await shop.close()

    with pytest.raises(IdError, match=SAYS) as refused:
        shop.get_online_features(refs, rows, **settings)
    assert refused.value.http_status_code() == 400
    assert isinstance(refused.value, SettingsError)
    with pytest.raises(IdError, match=SAYS):
        asyncio.run(ask(rows))
    good = rows[:1]
    assert shop.get_online_features(refs, good, **settings).to_dict() == asyncio.run(ask(good))


def test_what_fails_in_an_on_demand_view_is_no_ids_fault(
    shop: feast.FeatureStore, store: redis.Redis
) -> None:
    publish(store)

    def encode(inputs: dict[str, Any]) -> dict[str, Any]:
        raise UnicodeEncodeError("utf-8", "x", 0, 1, "none of the ids")

    view = feast.OnDemandFeatureView(
        name="encoded",
        sources=[shop.get_feature_view("history")],
        schema=[feast.Field(name="made", dtype=feast.types.Int64)],
        mode="python",
        feature_transformation=feast.transformation.python_transformation.PythonTransformation(
            udf=encode, udf_string="encode"
        ),
    )
    shop.registry.apply_feature_view(view, shop.project)
    shop.refresh_registry()
    with pytest.raises(UnicodeEncodeError, match="none of the ids"):
        shop.get_online_features(["encoded:made"], [{"customer_id": "ada"}])


def test_an_entity_frame_of_no_text() -> None:
    frame = pd.DataFrame(
        {"customer_id": ["ada", BAD], "event_timestamp": pd.Timestamp(0, tz="UTC")}
    )
    with pytest.raises(EntityFrameError, match="cannot be read: 'utf-8' codec can't encode"):
        EntityFrame.of(frame)
