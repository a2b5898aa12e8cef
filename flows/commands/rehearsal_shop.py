"""The made-up shop of a rehearsal: something of every kind that has a kernel of its own."""

from __future__ import annotations

from ...features import Catalog, Entity, EventSchema, FeatureView, event, feature
from ...features import aggregations as agg

WORDS = ("one", "two", "three")

source = EventSchema(
    "rehearsal",
    types=("visit", "view", "cart", "purchase"),
    properties={"word": str, "value": float, "count": int, "flag": bool},
)
_bought = event.type == "purchase"
_dear = (event.type == "purchase") & (event.value > 10.0)

customers = FeatureView(
    name="all",
    source=source,
    session_gap="30m",
    features=[
        agg.count("views", where=event.type == "view", window="session"),
        agg.count("carts", where=event.type == "cart", window="1h"),
        agg.count("by_word", by="word", vocabulary=WORDS),
        agg.count("of_day", by="word", vocabulary=WORDS, window="1d"),
        agg.sum("spend", of="value", where=_bought, window="30d"),
        agg.mean("basket", of="value", where=_dear),
        agg.min("least", of="value", window="7d"),
        agg.max("most", of="count", window="last_session"),
        agg.first("first", of="word", vocabulary=WORDS),
        agg.last("last", of="word", vocabulary=WORDS),
        agg.last_k("latest", of="value", k=3),
        agg.distinct("words", of="word", vocabulary=WORDS, window="7d"),
        agg.decayed("affinity", by="word", vocabulary=WORDS, half_life="7d"),
        agg.time_since("since", where=_bought),
        agg.evidence("hesitates", where=event.type == "cart", window="1h"),
        agg.derived("a_view", (feature.spend / feature.views).fill(0.0)),
        agg.top_k("favourites", "affinity", k=2),
    ],
)
others = FeatureView(
    name="popular",
    source=source,
    entity=Entity("word", ["word"]),
    features=[
        agg.count("views", where=event.type == "view", window="1d"),
        agg.decayed("heat", half_life="1h"),
        agg.max("dearest", of="value", window="1d"),
    ],
)
catalog = Catalog(name="rehearsal", views=[customers, others])

STRATEGY = """\
name: rehearsal
objectives:
  conversion: {event: purchase, where: event.word == action.word, window: 1s}
  refusal: {response: refuse, window: 1s, weight: -0.1}
channels:
  web: {}
  push: {direction: outbound, caps: [{most: 1, per: 1d}], otherwise: [mail]}
  mail: {direction: outbound}
actions:
  first: {channels: [web, push, mail], value: 2, tags: {word: one}, eligible: all.views > 0}
  second: {channels: [web, push, mail], value: 1, tags: {word: two}, caps: [{most: 3, per: 1d}]}
  third: {channels: [web], value: 1, cost: 0.1, tags: {word: three}}
caps: [{most: 5, per: 1d}]
cool_downs: [{after: refuse, pause: 14d}]
triggers:
  abandoned: {event: view, when: all.carts > 0, channel: push}
model:
  contexts: {device: context.device}
  numbers: {spent: log1p(all.spend ?? 0)}
  action_features: {liked: "all.affinity[action.word] ?? 0"}
  segments: {group: context.device}
fallback: [third]
"""
