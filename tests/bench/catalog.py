"""The catalog that the benchmarks compute: 40 features of a shop's visitors."""

from __future__ import annotations

from nextbest.features import Catalog, EventSchema, FeatureView, event
from nextbest.features import aggregations as agg

CATEGORIES = tuple(f"category-{i:02d}" for i in range(30))
TYPES = ("view", "cart", "search", "purchase")

shop = EventSchema(
    "shop",
    types=TYPES,
    properties={"category": str, "value": float, "results": int},
)

view, cart, purchase = event.type == "view", event.type == "cart", event.type == "purchase"

_session = [
    agg.count("s_events", window="session"),
    agg.count("s_views", where=view, window="session"),
    agg.count("s_carts", where=cart, window="session"),
    agg.count("s_purchases", where=purchase, window="session"),
    agg.sum("s_spend", of="value", where=purchase, window="session"),
    agg.max("s_max_value", of="value", window="session"),
    agg.min("s_min_value", of="value", window="session"),
    agg.last("s_last_value", of="value", window="session"),
    agg.distinct("s_categories", of="category", vocabulary=CATEGORIES, window="session"),
    agg.evidence("s_dead_end", where=(event.type == "search") & (event.results == 0)),
]
_windows = [
    feature
    for width in ("1h", "1d", "7d", "30d")
    for feature in (
        agg.count(f"events_{width}", window=width),
        agg.count(f"purchases_{width}", where=purchase, window=width),
        agg.sum(f"spend_{width}", of="value", where=purchase, window=width),
        agg.max(f"max_value_{width}", of="value", where=purchase, window=width),
    )
]
_decayed = [
    feature
    for half_life in ("1d", "7d", "30d")
    for feature in (
        agg.decayed(f"recency_{half_life}", half_life=half_life),
        agg.decayed(f"money_{half_life}", of="value", where=purchase, half_life=half_life),
    )
]
_affinity = [
    agg.decayed("affinity", by="category", vocabulary=CATEGORIES, half_life="7d", where=view),
    agg.decayed("bought", by="category", vocabulary=CATEGORIES, half_life="30d", where=purchase),
]
_lifetime = [
    agg.count("events"),
    agg.sum("spend", of="value", where=purchase),
    agg.first("first_value", of="value", where=purchase),
    agg.last("last_value", of="value", where=purchase),
    agg.time_since("since_last_event"),
    agg.time_since("since_last_purchase", where=purchase),
]

catalog = Catalog(
    name="bench",
    views=[
        FeatureView(
            name="visitor",
            source=shop,
            features=[*_session, *_windows, *_decayed, *_affinity, *_lifetime],
        )
    ],
)
