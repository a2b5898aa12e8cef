"""The shop of the README: replace it with yours."""

from nextbest.features import (
    Catalog,
    Entity,
    EventSchema,
    FeatureService,
    FeatureView,
    event,
    feature,
)
from nextbest.features import aggregations as agg

CATEGORIES = ["shoes", "hats"]

shop = EventSchema(
    "shop",
    types=["visit", "view", "cart", "purchase", "leave"],
    properties={"category": str, "value": float, "device": str},
)

visits = FeatureView(
    name="visits",
    source=shop,
    session_gap="30m",
    features=[
        agg.count("views", where=event.type == "view", window="session"),
        agg.evidence("hesitates", where=event.type == "cart", window="1h"),
        agg.sum("spend_30d", of="value", where=event.type == "purchase", window="30d"),
        agg.decayed("affinity", by="category", vocabulary=CATEGORIES, half_life="7d"),
        agg.time_since("since_purchase", where=event.type == "purchase"),
        agg.derived("spend_a_view", (feature.spend_30d / feature.views).fill(0.0)),
        agg.top_k("favourites", "affinity", k=1),
    ],
)

popular = FeatureView(
    name="popular",
    source=shop,
    entity=Entity("category", ["category"]),
    features=[agg.count("views_1d", where=event.type == "view", window="1d")],
)

catalog = Catalog(
    name="shop",
    views=[visits, popular],
    services=[FeatureService(name="offers", features=["visits:affinity", "visits:favourites"])],
)
