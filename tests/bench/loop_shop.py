"""The shop of ``learn-to-serve`` and ``same-visit``: what its services and worker run with."""

from __future__ import annotations

from nextbest.features import Catalog, EventSchema, FeatureView, event
from nextbest.features import aggregations as agg

CATEGORIES = tuple(f"category-{number:02d}" for number in range(20))
shop = EventSchema(
    "shop", types=("view", "search", "cart", "purchase"),
    properties={"category": str, "value": float},
)  # fmt: skip
catalog = Catalog(
    name="visits",
    views=[
        FeatureView(
            name="visit",
            source=shop,
            features=[
                agg.count("carts", where=event.type == "cart", window="session"),
                agg.count("views", where=event.type == "view", window="session"),
                agg.last("category", of="category", vocabulary=CATEGORIES, window="session"),
                agg.sum("spend", of="value", where=event.type == "purchase", window="30d"),
            ],
        )
    ],
)

TEXT = """
name: visits
objectives:
  like: {response: like, value: value, range: [0, 1], window: 1h}
  buy: {response: buy, window: 1h}
channels: {web: {}, visit: {}, watch: {}}
actions:
  watched: {channels: [watch], value: {like: 1, buy: 0}}
  basket: {channels: [web, visit]}
  similar: {channels: [web, visit]}
  newest: {channels: [web, visit]}
  home: {channels: [web, visit]}
boosts:
  - {when: visit.carts == context.carts, times: 8, actions: [basket]}
  - {when: visit.views == context.views, times: 4, actions: [similar]}
  - {when: visit.category == context.category, times: 2, actions: [newest]}
model:
  contexts: {page: context.page, category: visit.category, hour: now.hour}
  numbers: {spend: log1p(visit.spend) / 10}
  segments: {region: context.region}
exploration: {method: greedy}
"""
"""`like` is taught by one customer at a time, who is watched; `buy` by all others."""

RANKED = ["basket", "similar", "newest", "home"]
"""The order of those who put something in their cart and then looked at two things."""
