"""A bad declaration fails when it is written, naming what and why; a good one says its shape."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from nextbest.features import (
    Catalog,
    Entity,
    EventSchema,
    FeatureService,
    FeatureView,
    event,
)
from nextbest.features import aggregations as agg
from nextbest.features.declaration import MAX_VOCABULARY, Feature, check_feature
from nextbest.features.durations import describe, microseconds
from nextbest.features.errors import DeclarationError, NextbestError

SHOP = EventSchema(
    "shop", types=("view", "cart"), properties={"value": float, "count": int, "word": str}
)
MINUTE = 60_000_000


def view(*features: Feature, **rest: Any) -> FeatureView:
    fields: dict[str, Any] = {"name": "v", "source": SHOP, "features": features} | rest
    return FeatureView(**fields)


def catalog(*views: FeatureView, **rest: Any) -> Catalog:
    fields: dict[str, Any] = {"name": "c", "views": views} | rest
    return Catalog(**fields)


def serving(*features: str) -> FeatureService:
    return FeatureService(name="s", features=features)


def schema(**rest: Any) -> EventSchema:
    fields: dict[str, Any] = {"name": "shop", "types": ("view",)} | rest
    return EventSchema(**fields)


TYPES = "shop: types must be distinct, non-empty names of at most 64 characters"
NO_PROPERTY = "v:f: no property 'price' in schema 'shop'"
VOCABULARY = "a vocabulary goes with strings, and only with them"

BAD: list[tuple[Callable[[], object], str]] = [
    # schemas
    (lambda: schema(name="my shop"), "'my shop': a stream's name must be an identifier"),
    (lambda: schema(types=()), TYPES),
    (lambda: schema(types=("a", "a")), TYPES),
    (lambda: schema(types=("a", "")), TYPES),
    (lambda: schema(types=("a" * 65,)), TYPES),
    (lambda: schema(types=("a", 1)), TYPES),
    (
        lambda: schema(properties={"customer_id": str}),
        "shop: property 'customer_id' has a reserved name",
    ),
    (
        lambda: schema(properties={"properties": str}),
        "shop: property 'properties' has a reserved name",
    ),
    (lambda: schema(properties={"a b": str}), "shop: property 'a b' is not an identifier"),
    (lambda: schema(properties={"class": str}), "shop: property 'class' is not an identifier"),
    (lambda: schema(properties={"_a": str}), "shop: property '_a' is not an identifier"),
    (
        lambda: schema(properties={"a": "decimal"}),
        "shop: property 'a' is 'decimal', not float, int, bool or str",
    ),
    (
        lambda: schema(properties={"a": bytes}),
        "shop: property 'a' is <class 'bytes'>, not float, int, bool or str",
    ),
    # what a feature says by itself
    (lambda: agg.count("a b"), "'a b': a feature's name must be an identifier"),
    (lambda: agg.count("__a"), "'__a': a feature's name must be an identifier"),
    (
        lambda: agg.count("f", window="soon"),
        "f: window: 'soon' is not a duration such as '30m', '1h' or '7d'",
    ),
    (lambda: agg.count("f", window="0s"), "f: window: '0s' is not a positive duration"),
    (
        lambda: agg.count("f", window=timedelta(seconds=-1)),
        "f: window: datetime.timedelta(days=-1, seconds=86399) is not a positive duration",
    ),
    (
        lambda: agg.count("f", window="7us"),
        "f: window: '7us' does not divide into 12 hops: give one",
    ),
    (
        lambda: agg.count("f", window="1h", hop="x"),
        "f: window: 'x' is not a duration such as '30m', '1h' or '7d'",
    ),
    (lambda: agg.count("f", window="session", hop="5m"), "f: a session window has no hop"),
    (lambda: agg.count("f", hop="5m"), "f: a lifetime window has no hop"),
    (
        lambda: agg.count("f", window="1h", hop="7m"),
        "f: the hop must divide the window into 1 to 1024 tiles",
    ),
    (
        lambda: agg.count("f", window="1h", hop="2h"),
        "f: the hop must divide the window into 1 to 1024 tiles",
    ),
    (
        lambda: agg.count("f", window="1d", hop="1s"),
        "f: the hop must divide the window into 1 to 1024 tiles",
    ),
    (
        lambda: agg.sum("f", of=None),  # type: ignore[arg-type]  # the mistake
        "f: sum needs `of`, the property that it aggregates",
    ),
    (
        lambda: agg.last_k("f", of=None, k=2),  # type: ignore[arg-type]  # the mistake
        "f: last_k needs `of`, the property that it aggregates",
    ),
    (
        lambda: agg.decayed("f", of=float("nan"), half_life="1d"),
        "f: of=nan is not a finite number",
    ),
    (
        lambda: agg.decayed("f", of=1e301, half_life="1d"),
        "f: of=1e+301 is not a finite number",
    ),
    (
        lambda: agg.decayed("f", half_life="1y"),
        "f: half_life: '1y' is not a duration such as '30m', '1h' or '7d'",
    ),
    (lambda: agg.count("f", by="word"), "f: `by` and distinct need a bounded `vocabulary`"),
    (
        lambda: agg.distinct("f", of="word", vocabulary=[]),
        "f: `by` and distinct need a bounded `vocabulary`",
    ),
    (
        lambda: agg.count("f", by="word", vocabulary=["a", "a"]),
        "f: the vocabulary must be distinct strings",
    ),
    (
        lambda: agg.count("f", by="word", vocabulary=[1, 2]),  # type: ignore[list-item]  # the mistake
        "f: the vocabulary must be distinct strings",
    ),
    (
        lambda: agg.count("f", by="word", vocabulary=[str(i) for i in range(MAX_VOCABULARY + 1)]),
        "f: a vocabulary has at most 4096 words",
    ),
    (lambda: agg.last_k("f", of="value", k=0), "f: k must be 1 to 64, not 0"),
    (lambda: agg.last_k("f", of="value", k=65), "f: k must be 1 to 64, not 65"),
    # a feature in its view
    (lambda: view(name="a-b"), "'a-b': a view's name must be an identifier"),
    (lambda: view(), "v: a view needs at least one feature"),
    (lambda: view(agg.count("f"), agg.count("f")), "v:f: the name stands twice in the view"),
    (
        lambda: view(agg.count("f"), session_gap="0m"),
        "v: session_gap: '0m' is not a positive duration",
    ),
    (
        lambda: view(agg.count("f"), ttl="long"),
        "v: ttl: 'long' is not a duration such as '30m', '1h' or '7d'",
    ),
    (lambda: view(agg.sum("f", of="price")), NO_PROPERTY),
    (lambda: view(agg.count("f", where=event.price > 1)), NO_PROPERTY),
    (lambda: view(agg.count("f", where=event.price.present())), NO_PROPERTY),
    (lambda: view(agg.count("f", where=~((event.price > 1) | (event.value > 1)))), NO_PROPERTY),
    (lambda: view(agg.count("f", by="price", vocabulary=["a"])), NO_PROPERTY),
    (lambda: view(agg.sum("f", of="word")), f"v:f: sum of 'word': {VOCABULARY}"),
    (lambda: view(agg.last("f", of="word")), f"v:f: last of 'word': {VOCABULARY}"),
    (
        lambda: view(agg.last("f", of="value", vocabulary=["a"])),
        f"v:f: last of 'value': {VOCABULARY}",
    ),
    (
        lambda: view(agg.distinct("f", of="count", vocabulary=["1"])),
        f"v:f: distinct of 'count': {VOCABULARY}",
    ),
    (
        lambda: view(agg.count("f", by="count", vocabulary=["1"])),
        "v:f: by='count' must be a string column",
    ),
    (
        lambda: view(agg.count("f", where=event.count.isin(["1"]))),
        "v:f: isin needs a string column, not 'count'",
    ),
    (
        lambda: view(agg.count("f", where=event.word == 1)),
        "v:f: 'word' compared with 1",
    ),
    (
        lambda: view(agg.count("f", where=event.value == "1")),
        "v:f: 'value' compared with '1'",
    ),
    (
        lambda: view(agg.count("f", where=event.word > "a")),  # type: ignore[operator]  # the mistake
        "v:f: strings have no order: 'word'",
    ),
    (
        lambda: view(agg.count("f", where=event.type == "buy")),
        "v:f: no event type 'buy' in schema 'shop'",
    ),
    (
        lambda: view(agg.ratio("f", "a", "b")),
        "v:f: ratio of 'a', which must be declared before it",
    ),
    (
        lambda: view(agg.count("a"), agg.ratio("f", "a", "b"), agg.count("b")),
        "v:f: ratio of 'b', which must be declared before it",
    ),
    (
        lambda: view(agg.count("a", by="word", vocabulary=["x"]), agg.ratio("f", "a", "a")),
        "v:f: ratio of 'a', which is not one number",
    ),
    (
        lambda: view(agg.last("a", of="word", vocabulary=["x"]), agg.ratio("f", "a", "a")),
        "v:f: ratio of 'a', which is not one number",
    ),
    # entities and catalogs
    (lambda: Entity("a b"), "'a b': an entity's names must be identifiers"),
    (lambda: Entity("shop", "shop_id"), "shop: an entity needs one or more different join keys"),
    (lambda: Entity("shop", ()), "shop: an entity needs one or more different join keys"),
    (lambda: Entity("shop", ("a", "a")), "shop: an entity needs one or more different join keys"),
    (lambda: Entity("shop", ("a-b",)), "'a-b': an entity's names must be identifiers"),
    (lambda: Entity("shard", ["word"]), "shard: the store has other keys of that name"),
    (lambda: Entity("person"), "person: the entity of customer_id is `customer`"),
    (lambda: catalog(name="a.b"), "'a.b': a catalog's name must be an identifier"),
    (lambda: catalog(), "c: a catalog needs at least one view"),
    (
        lambda: catalog(view(agg.count("f")), view(agg.count("g"))),
        "c: two views have the same name",
    ),
    (
        lambda: catalog(
            view(agg.count("f")), view(agg.count("f"), name="w", source=schema(name="other"))
        ),
        "c:w: the views of a catalog share one source",
    ),
    (
        lambda: catalog(
            view(agg.count("f"), entity=Entity("x", ["word"])),
            view(agg.count("f"), name="w", entity=Entity("x", ["channel"])),
        ),
        "c:w: the entity 'x' is declared in two ways",
    ),
    (
        lambda: catalog(view(agg.count("f"), entity=Entity("x", ["customer_id", "value"]))),
        "c:v: join key 'value' of 'x' is no string that events carry",
    ),
    (
        lambda: catalog(view(agg.count("f"), entity=Entity("x", ["nothing"]))),
        "c:v: join key 'nothing' of 'x' is no string that events carry",
    ),
    (
        lambda: catalog(view(agg.count("f", window="session"), entity=Entity("x", ["word"]))),
        "c:v:f: session of 'x': sessions are a customer's",
    ),
    # services
    (
        lambda: FeatureService(name="a b", features=["v"]),
        "'a b': a service's name must be an identifier",
    ),
    (
        lambda: FeatureService(name="s", features="v"),
        "s: a service needs features: 'view:feature' or 'view'",
    ),
    (
        lambda: FeatureService(name="s", features=["v", "v"]),
        "s: a feature stands twice in the service",
    ),
    (
        lambda: catalog(view(agg.count("f")), services=[serving("v:f"), serving("v")]),
        "c: two services have the same name",
    ),
    (
        lambda: catalog(view(agg.count("f")), services=[serving("v:g")]),
        "c:s: no feature 'v:g' in 'c'",
    ),
    (
        lambda: catalog(view(agg.count("f")), services=[serving("w")]),
        "c:s: no feature 'w' in 'c'",
    ),
    (
        lambda: catalog(view(agg.count("f")), services=[serving("v", "v:f")]),
        "c:s: 'v:f' is chosen twice",
    ),
    (
        lambda: catalog(view(agg.count("f")), lateness="late"),
        "c: lateness: 'late' is not a duration such as '30m', '1h' or '7d'",
    ),
    (
        lambda: catalog(view(agg.count("f")), lateness="31m"),
        "c: lateness must not be negative or exceed a session gap",
    ),
]


@pytest.mark.parametrize(("declare", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_declaration(declare: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare()
    assert str(caught.value) == message
    assert f"{caught.value.where}: {caught.value.reason}" == message
    assert isinstance(caught.value, NextbestError)
    assert isinstance(caught.value, ValueError)


def test_a_half_life_only_where_it_belongs() -> None:
    decay = agg.decayed("f", half_life="1d").window
    with pytest.raises(DeclarationError, match=r"^f: a half-life belongs to decayed features"):
        check_feature(Feature(name="f", aggregation="count", window=decay))


@pytest.mark.parametrize(
    ("feature", "columns", "dtype", "window"),
    [
        (agg.count("f"), ("f",), "int64", "lifetime"),
        (agg.sum("f", of="value", window="30d"), ("f",), "float64", "30d (hop 60h)"),
        (agg.mean("f", of="value", window="1h", hop="1m"), ("f",), "float64", "1h (hop 1m)"),
        (agg.last_k("f", of="value", k=2), ("f[0]", "f[1]"), "float64", "lifetime"),
        (
            agg.last_k("f", of="word", k=1, vocabulary=["a"]),
            ("f[0]",),
            "string",
            "lifetime",
        ),
        (agg.last("f", of="word", vocabulary=["a", "b"]), ("f",), "string", "lifetime"),
        (
            agg.decayed("f", by="word", vocabulary=["a", "b"], half_life="7d"),
            ("f[a]", "f[b]"),
            "float64",
            "half-life 1w",
        ),
        (agg.evidence("f", where=event.type == "cart"), ("f",), "int64", "session"),
        (
            agg.evidence("f", where=event.value > 0, by="word", vocabulary=["a"]),
            ("f[a]",),
            "int64",
            "session",
        ),
        (
            agg.first("f", of="value", by="word", vocabulary=["a"], window="1h"),
            ("f[a]",),
            "float64",
            "1h (hop 5m)",
        ),
        (
            agg.last("f", of="word", vocabulary=["a"], by="channel", keys=["b", "c"]),
            ("f[b]", "f[c]"),
            "string",
            "lifetime",
        ),
        (
            agg.distinct("f", of="word", vocabulary=["a"], by="channel", keys=["b", "c"]),
            ("f[b]", "f[c]"),
            "int64",
            "lifetime",
        ),
        (agg.time_since("f", window="last_session"), ("f",), "float64", "last_session"),
        (agg.ratio("f", "a", "b"), ("f",), "float64", "lifetime"),
    ],
)
def test_what_a_feature_says(
    feature: Feature, columns: tuple[str, ...], dtype: str, window: str
) -> None:
    assert feature.columns == columns
    assert feature.dtype == dtype
    assert str(feature.window) == window
    assert feature.is_vector == columns[0].endswith("]")


def test_a_catalog_in_declared_order() -> None:
    first = view(agg.count("b"), agg.count("a"), session_gap="30m")
    second = view(agg.last_k("x", of="value", k=2), name="w", session_gap="20m", ttl="1d")
    both = catalog(first, second)
    assert both.columns == ("v:b", "v:a", "w:x[0]", "w:x[1]")
    assert both.lateness_us == 20 * MINUTE
    assert (first.ttl_us, second.ttl_us) == (0, 24 * 60 * MINUTE)
    assert catalog(first, second, lateness=0).lateness_us == 0
    assert catalog(first, second, lateness=timedelta(minutes=1)).lateness_us == MINUTE


@pytest.mark.parametrize("us", [1, 999, 1_000, MINUTE, 90 * MINUTE, 7 * 24 * 60 * MINUTE])
def test_durations_are_read_as_written(us: int) -> None:
    assert microseconds(describe(us)) == us
    assert microseconds(timedelta(microseconds=us)) == us
