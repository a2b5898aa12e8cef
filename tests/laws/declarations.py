"""Random declarations: every aggregation, window, filter and key, and formulas over them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from nextbest.features import (
    Catalog,
    Entity,
    EventSchema,
    FeatureView,
    customer,
    event,
    feature,
    maximum,
    minimum,
)
from nextbest.features import aggregations as agg
from nextbest.features.declaration import Feature
from nextbest.features.derived import Formula
from nextbest.features.expressions import AnyPredicate

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = 1_767_225_600 * SECOND

SCHEMA = EventSchema(
    "shop",
    types=("view", "cart", "purchase", "search"),
    properties={
        "value": float,
        "quantity": int,
        "gift": bool,
        "category": str,
        "brand": str,
    },
)
CATEGORIES = ("shoes", "hats", "", "büch")
BRANDS = tuple(f"brand-{i}" for i in range(130))
"""More words than two 64-bit masks hold."""
VOCABULARIES: dict[str, tuple[str, ...]] = {
    "type": ("cart", "view"),
    "channel": ("web", "app", ""),
    "category": CATEGORIES,
    "brand": BRANDS,
}
KEYS = VOCABULARIES | {"brand": (*BRANDS[60:66], BRANDS[0], BRANDS[129])}
"""Words that features are keyed by: a row has only so much room."""
FILTERS: tuple[AnyPredicate | None, ...] = (
    None,
    event.type == "cart",
    event.type != "view",
    event.channel == "web",
    event.channel != "web",
    event.channel == "",
    event.category != "shoes",
    event.category == "never sent",
    event.category.isin(["hats", "", "never sent"]),
    event.value > 0,
    event.value != 2.5,
    event.value <= 2.5,
    event.quantity >= 2,
    event.quantity == 2.0,
    event.gift == True,  # noqa: E712  # a filter, not a truth value
    event.gift < 1,
    event.value.present(),
    ~event.channel.present(),
    ~(event.value > 1),
    (event.type == "search") & (event.quantity == 0),
    (event.type == "cart") | ~(event.gift != False),  # noqa: E712  # a filter
    ~((event.value < 1) | event.brand.isin(BRANDS[60:70])) & (event.type != "search"),
)
SLIDING: tuple[tuple[str, str | None], ...] = (
    ("1h", None),
    ("1d", None),
    ("30d", None),
    ("7m", "7m"),
    ("21m", "7m"),
    ("20s", "1s"),
    ("30m", "10m"),
    ("7s", "7s"),
)
WINDOWS: tuple[tuple[str, str | None], ...] = (
    ("lifetime", None),
    ("session", None),
    ("last_session", None),
    *SLIDING,
)
HALF_LIVES = ("1s", "10m", "1h", "7d")
GAPS = ("30m", "10m", "47m", "1h")

_PLAIN: dict[str, Callable[..., Feature]] = {
    "count": agg.count,
    "time_since": agg.time_since,
    "sum": agg.sum,
    "mean": agg.mean,
    "min": agg.min,
    "max": agg.max,
    "evidence": agg.evidence,
    "first": agg.first,
    "last": agg.last,
    "last_k": agg.last_k,
    "distinct": agg.distinct,
}
_VALUELESS = ("count", "time_since", "evidence")
_OF_WORDS = ("first", "last", "last_k", "distinct")
_NUMERIC = ("value", "quantity", "gift")
AGGREGATIONS = (*_PLAIN, "decayed")


def make_feature(
    name: str,
    kind: str,
    *,
    window: tuple[str, str | None],
    where: AnyPredicate | None,
    of: str,
    words: str | None,
    by: str | None,
    k: int,
    half_life: str,
) -> Feature:
    """Make a feature from one choice for each thing that any aggregation needs.

    ``words`` is a string column that takes the place of ``of`` where it can.
    """
    if kind == "decayed":
        return agg.decayed(
            name,
            of=-1.5 if of == "gift" else of,
            half_life=half_life,
            where=where,
            by=by,
            vocabulary=KEYS[by] if by else (),
        )
    width, hop = window
    given: dict[str, Any] = {"window": width, "hop": hop, "where": where}
    if kind == "evidence" and where is None:
        given["where"] = event.type != "purchase"
    if kind == "distinct":
        words = words or "brand"
    is_word = words is not None and kind in _OF_WORDS
    if is_word and words is not None:
        given |= {"of": words, "vocabulary": VOCABULARIES[words]}
    elif kind not in _VALUELESS:
        given["of"] = of
    if kind == "last_k":
        given["k"] = k
    elif by is not None:
        given |= {"by": by, "keys" if is_word else "vocabulary": KEYS[by]}
    return _PLAIN[kind](name, **given)


def numbers_of(features: Sequence[Feature]) -> list[str]:
    """Names of the numbers that formulas can read."""
    return [column for f in features if f.dtype != "string" for column in f.columns]


_PAIRS: tuple[Callable[[Formula, Any], Formula], ...] = (
    operator.add, operator.sub, operator.mul, operator.truediv, minimum, maximum,
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
)  # fmt: skip
_CONSTANTS = st.sampled_from((0, 1, -1, 2.5, 1e-3, 1e12, -7.25))


def formulas(refs: Sequence[str]) -> st.SearchStrategy[Formula]:
    """Formulas over these numbers."""

    def larger(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
        pair = st.sampled_from(_PAIRS)
        return st.one_of(
            st.builds(lambda make, a, b: make(a, b), pair, inner, inner),
            st.builds(lambda make, a, b: make(a, b), pair, inner, _CONSTANTS),
            st.builds(lambda make, a, b: make(b, a), pair, inner, _CONSTANTS),
            st.builds(operator.neg, inner),
            st.builds(abs, inner),
            st.builds(Formula.log1p, inner),
            st.builds(Formula.fill, inner, _CONSTANTS),
            st.builds(lambda a, lo: a.clip(lo, lo + 3), inner, _CONSTANTS),
        )

    return st.recursive(st.sampled_from(refs).map(feature.__getitem__), larger, max_leaves=5)


@st.composite
def plain_features(
    draw: st.DrawFn, windows: Sequence[tuple[str, str | None]] = WINDOWS, prefix: str = "f"
) -> list[Feature]:
    """One to six features of events."""
    kinds = draw(st.lists(st.sampled_from(AGGREGATIONS), min_size=1, max_size=6))
    return [
        make_feature(
            f"{prefix}{number}",
            kind,
            window=draw(st.sampled_from(windows)),
            where=draw(st.sampled_from(FILTERS)),
            of=draw(st.sampled_from(_NUMERIC)),
            words=draw(st.sampled_from((None, "category", "type", "brand"))),
            by=draw(st.sampled_from((None, None, "category", "channel", "type", "brand"))),
            k=draw(st.sampled_from((1, 2, 5))),
            half_life=draw(st.sampled_from(HALF_LIVES)),
        )
        for number, kind in enumerate(kinds)
    ]


@st.composite
def features_of_features(
    draw: st.DrawFn, features: Sequence[Feature], others: Sequence[str], prefix: str = "d"
) -> list[Feature]:
    """Perhaps a ratio, formulas and a top_k over features of the view, and other views' numbers."""
    made: list[Feature] = []
    single = [f.name for f in features if not f.is_vector and f.dtype != "string"]
    if single and draw(st.booleans()):
        pair = st.sampled_from(single)
        made.append(agg.ratio(f"{prefix}_quotient", draw(pair), draw(pair)))
    ranked = [f for f in features if f.by is not None and f.dtype != "string"]
    if ranked and draw(st.booleans()):
        source = draw(st.sampled_from(ranked))
        k = draw(st.integers(1, min(5, len(source.key_words))))
        made.append(agg.top_k(f"{prefix}_top", source.name, k=k))
    for number in range(draw(st.integers(0, 2))):
        refs = [*numbers_of([*features, *made]), *others]
        if refs:
            made.append(agg.derived(f"{prefix}{number}", draw(formulas(refs))))
    return made


@st.composite
def views(
    draw: st.DrawFn,
    name: str,
    gap: str,
    others: Sequence[str] = (),
    entity: Entity = customer,
    windows: Sequence[tuple[str, str | None]] = WINDOWS,
) -> FeatureView:
    """A view of one to six features and perhaps some that are made of them, or of others."""
    features = draw(plain_features(windows))
    features += draw(features_of_features(features, others))
    ttl = draw(st.sampled_from((None, None, "2h", "10d")))
    return FeatureView(
        name=name, source=SCHEMA, features=features, entity=entity, session_gap=gap, ttl=ttl
    )


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """One or two views with gaps of their own; lateness is the least gap, less, or none."""
    gaps = draw(st.lists(st.sampled_from(GAPS), min_size=1, max_size=2))
    made: list[FeatureView] = []
    for number, gap in enumerate(gaps):
        others = [f"{v.name}:{column}" for v in made for column in numbers_of(v.features)]
        made.append(draw(views(f"v{number}", gap, others)))
    lateness = draw(st.sampled_from((None, None, None, "5m", 0)))
    return Catalog(name="drawn", views=made, lateness=lateness)


def full_catalog() -> Catalog:
    """Every aggregation over every kind of window, filtered and keyed by turns."""
    windows = (("lifetime", None), ("session", None), ("last_session", None), *SLIDING[:5:2])
    keys = (None, "category", None, "brand", None, "channel")
    words = (None, "category", "brand", None, "type")
    features = [
        make_feature(
            f"{kind}_{window[0]}",
            kind,
            window=window,
            where=FILTERS[(3 * column + row) % len(FILTERS)] if (row + column) % 3 else None,
            of=_NUMERIC[(row + column) % 3],
            words=words[(row + column) % len(words)],
            by=keys[(row + column) % len(keys)],
            k=1 + (row + column) % 4,
            half_life=HALF_LIVES[column % len(HALF_LIVES)],
        )
        for row, kind in enumerate(AGGREGATIONS)
        for column, window in enumerate(windows)
    ]
    single = [f.name for f in features if not f.is_vector and f.dtype != "string"]
    features += [
        agg.ratio(f"ratio_{number}", single[number], single[-number - 1]) for number in range(5)
    ]
    ranked = [f for f in features if f.by is not None and f.dtype != "string"]
    features += [agg.top_k(f"top_{f.name}", f.name, k=3) for f in ranked[::4]]
    several = numbers_of(features)
    features += [
        agg.derived(f"derived_{number}", make(feature[several[-number - 2]], feature[ref]))
        for number, (make, ref) in enumerate(zip(_PAIRS, several[::7], strict=False))
    ]
    first = FeatureView(name="first", source=SCHEMA, features=features, session_gap="30m")
    second = FeatureView(
        name="second",
        source=SCHEMA,
        features=[
            agg.count("events", window="session"),
            agg.sum("total", of="value", window="session"),
            agg.last_k("latest", of="value", k=3, window="last_session"),
            agg.last("type", of="type", vocabulary=SCHEMA.types, window="session"),
            agg.derived("share", (feature.total / feature["first:sum_lifetime"]).clip(-2, 2)),
            agg.derived("logged", abs(feature["latest[1]"]).log1p().fill(-1.0) - feature.share),
        ],
        session_gap="47m",
        ttl="3h",
    )
    return Catalog(name="full", views=(first, second))
