"""What the chaos is about: a shop's features, and an offer that learns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nextbest.features import Catalog, EventSchema, FeatureView, event
from nextbest.features import aggregations as agg
from nextbest.flows.decisions import DecisionPoint

ARMS = ("tea", "milk", "bread", "salt")

shop = EventSchema(
    "shop",
    types=("visit", "view", "buy", "leave"),
    properties={"category": str, "value": float},
)
_bought = event.type == "buy"
catalog = Catalog(
    name="chaos",
    views=[
        FeatureView(
            name="v",
            source=shop,
            session_gap="30m",
            features=[
                agg.count("n"),
                agg.count("views", where=event.type == "view", window="session"),
                agg.sum("visit_spend", of="value", where=_bought, window="session"),
                agg.sum("spend_7d", of="value", where=_bought, window="7d"),
                agg.max("most_1d", of="value", window="1d"),
                agg.last("last_value", of="value"),
                agg.last_k("last_bought", of="value", k=3, where=_bought),
                agg.decayed("affinity", by="category", vocabulary=ARMS, half_life="7d"),
                agg.time_since("since_bought", where=_bought),
            ],
        )
    ],
)
_AFFINITY = [catalog.columns.index(f"v:affinity[{arm}]") for arm in ARMS]


def _affinity(row: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.log1p(np.nan_to_num(row[_AFFINITY]))[:, None]


offer = DecisionPoint(
    name="offer",
    trigger="visit",
    arms=ARMS,
    contexts=("channel",),
    action_features=_affinity,
    action_feature_names=("affinity",),
    reward_type="buy",
    reward_property="category",
    close_type="leave",
)
