"""What the served catalog declares: a number, a word, a session, keys, the last three; two kinds
of things besides customers."""

from __future__ import annotations

from nextbest.features import Catalog, Entity, EventSchema, FeatureService, FeatureView, event
from nextbest.features import aggregations as agg

CATEGORIES = ["tea", "coffee", 'the "best"']

shop = EventSchema(
    "shop",
    types=("view", "purchase"),
    properties={"value": float, "category": str, "count": int, "gift": bool},
)
visits = FeatureView(
    name="visits",
    source=shop,
    features=[
        agg.count("events", description="events ever"),
        agg.sum("spend", of="value", where=event.type == "purchase"),
        agg.last("category", of="category", vocabulary=CATEGORIES),
        agg.count("views", where=event.type == "view", window="session"),
        agg.count("by_category", by="category", vocabulary=CATEGORIES),
        agg.last_k("last_values", of="value", k=3),
    ],
)
pair = Entity("pair", ["customer_id", "category"])
pairs = FeatureView(
    name="pairs", source=shop, entity=pair, features=[agg.count("n"), agg.sum("s", of="value")]
)
ranking = FeatureService(name="ranking", features=["visits:spend", "visits:by_category"])
catalog = Catalog(name="shop", views=[visits, pairs], services=[ranking])
customers = Catalog(name="plain", views=[visits], services=[ranking])
