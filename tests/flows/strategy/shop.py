"""The shop of the README, and its strategy."""

from __future__ import annotations

from pathlib import Path

from nextbest.features import Catalog, Entity, EventSchema, FeatureView, event, feature
from nextbest.features import aggregations as agg

CATEGORIES = ["shoes", "hats"]
START = 1_767_225_600_000_000  # 2026-01-01, a Thursday
HOUR = 3_600_000_000

shop = EventSchema(
    "shop",
    types=["visit", "view", "cart", "purchase", "leave"],
    properties={"category": str, "value": float, "device": str, "member": bool},
)
visits = FeatureView(
    name="visits",
    source=shop,
    features=[
        agg.count("views", where=event.type == "view", window="session"),
        agg.evidence("hesitates", where=event.type == "cart", window="1h"),
        agg.sum("spend_30d", of="value", where=event.type == "purchase", window="30d"),
        agg.decayed("affinity", by="category", vocabulary=CATEGORIES, half_life="7d"),
        agg.time_since("since_purchase", where=event.type == "purchase"),
        agg.last("recent", of="category", vocabulary=CATEGORIES),
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
catalog = Catalog(name="shop", views=[visits, popular])
COLUMNS = catalog.of("customer").columns
EXAMPLE = (Path(__file__).parent / "shop.yaml").read_text()

LEAST = """
name: offers
objectives:
  buy: {response: convert}
channels:
  web: {}
  email: {direction: outbound}
actions:
  shoes: {channels: [web, email], tags: {category: shoes}}
  hats: {channels: [web], tags: {category: hats}}
"""
"""A strategy that says little; tests add to it."""
