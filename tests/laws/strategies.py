"""Random declarations and random streams, dense in the cases where features go wrong.

Generic random data hardly ever bridges two sessions, hits a tile boundary exactly or repeats an
event after sixteen others, so the steps and delays here are drawn mostly around the session gaps,
the hops and the allowed lateness of the catalog at hand.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from nextbest.features import Catalog, Entity, EventSchema, FeatureView, customer, event
from nextbest.features import aggregations as agg
from nextbest.features.declaration import Feature
from nextbest.features.expressions import AnyPredicate

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = 1_767_225_600 * SECOND

Row = dict[str, Any]
"""One event, as the naive twin takes it."""

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
CUSTOMERS = ("ada", "bob", "çelik")
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
    "first": agg.first,
    "last": agg.last,
    "last_k": agg.last_k,
}
_KEYED = ("count", "time_since", "sum", "mean", "min", "max")
_NUMERIC = ("value", "quantity", "gift")


def make_feature(
    name: str,
    kind: str,
    *,
    window: tuple[str, str | None],
    where: AnyPredicate | None,
    of: str,
    by: str | None,
    k: int,
    half_life: str,
) -> Feature:
    """Make a feature from one choice for each thing that any aggregation needs."""
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
    if kind == "evidence":
        given["where"] = event.type != "purchase" if where is None else where
        return agg.evidence(name, **given)
    if kind == "distinct":
        column = by or "brand"
        return agg.distinct(name, of=column, vocabulary=VOCABULARIES[column], **given)
    if kind not in ("count", "time_since"):
        given["of"] = of
    if by is not None and kind in _KEYED:
        given |= {"by": by, "vocabulary": KEYS[by]}
    elif by is not None and kind in ("first", "last", "last_k"):
        given |= {"of": by, "vocabulary": VOCABULARIES[by]}
    if kind == "last_k":
        given["k"] = k
    return _PLAIN[kind](name, **given)


AGGREGATIONS = (*_PLAIN, "distinct", "decayed", "evidence")


@st.composite
def views(
    draw: st.DrawFn,
    name: str,
    gap: str,
    entity: Entity = customer,
    windows: Sequence[tuple[str, str | None]] = WINDOWS,
) -> FeatureView:
    """A view of one to six features and perhaps a ratio of two of them."""
    kinds = draw(st.lists(st.sampled_from(AGGREGATIONS), min_size=1, max_size=6))
    features = [
        make_feature(
            f"f{number}",
            kind,
            window=draw(st.sampled_from(windows)),
            where=draw(st.sampled_from(FILTERS)),
            of=draw(st.sampled_from(_NUMERIC)),
            by=draw(st.sampled_from((None, None, "category", "channel", "type", "brand"))),
            k=draw(st.sampled_from((1, 2, 5))),
            half_life=draw(st.sampled_from(HALF_LIVES)),
        )
        for number, kind in enumerate(kinds)
    ]
    single = [f.name for f in features if not f.is_vector and f.dtype != "string"]
    if single and draw(st.sampled_from((True, False))):
        pair = st.sampled_from(single)
        features.append(agg.ratio("quotient", draw(pair), draw(pair)))
    ttl = draw(st.sampled_from((None, None, "2h", "10d")))
    return FeatureView(
        name=name, source=SCHEMA, features=features, entity=entity, session_gap=gap, ttl=ttl
    )


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """One or two views with gaps of their own; lateness is the least gap, less, or none."""
    gaps = draw(st.lists(st.sampled_from(GAPS), min_size=1, max_size=2))
    made = [draw(views(f"v{number}", gap)) for number, gap in enumerate(gaps)]
    lateness = draw(st.sampled_from((None, None, None, "5m", 0)))
    return Catalog(name="drawn", views=made, lateness=lateness)


def full_catalog() -> Catalog:
    """Every aggregation over every kind of window, filtered and keyed by turns."""
    windows = (("lifetime", None), ("session", None), ("last_session", None), *SLIDING[:5:2])
    keys = (None, "category", None, "brand", None, "channel")
    features = [
        make_feature(
            f"{kind}_{window[0]}",
            kind,
            window=window,
            where=FILTERS[(3 * column + row) % len(FILTERS)] if (row + column) % 3 else None,
            of=_NUMERIC[(row + column) % 3],
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
    first = FeatureView(name="first", source=SCHEMA, features=features, session_gap="30m")
    second = FeatureView(
        name="second",
        source=SCHEMA,
        features=[
            agg.count("events", window="session"),
            agg.sum("total", of="value", window="session"),
            agg.last_k("latest", of="value", k=3, window="last_session"),
            agg.last("type", of="type", vocabulary=SCHEMA.types, window="session"),
        ],
        session_gap="47m",
        ttl="3h",
    )
    return Catalog(name="full", views=(first, second))


@dataclass(frozen=True)
class Move:
    """One event, relative to the customer's event before it."""

    customer: int
    step: int
    """Microseconds after the event before; negative: on (or beside) a tile boundary."""
    delay: int
    """Microseconds between the event's time and its arrival."""
    again: int
    """How many arrivals later the event is sent a second time; 0 for never."""
    kind: str
    channel: str | None
    properties: dict[str, Any]


_VALUES = (None, 0.0, -0.0, 0.1, 1.0, 2.5, -2.5, 1e-3, -7.25, 12345.678, 1e12)
_BRANDS = (None, *BRANDS[::13], BRANDS[63], BRANDS[64], BRANDS[129], "unheard of")
_PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "value": st.sampled_from(_VALUES),
        "quantity": st.sampled_from((None, 0, 1, 2, 3, -4, 2**53)),
        "gift": st.sampled_from((None, True, False)),
        "category": st.sampled_from((None, *CATEGORIES, "unheard of")),
        "brand": st.sampled_from(_BRANDS),
    },
)


def hops(catalog: Catalog) -> list[int]:
    """The hops of the catalog's sliding windows, or one that stands for them."""
    found = {f.window.hop for _, f in catalog.features() if f.window.hop}
    return sorted(found) or [5 * MINUTE]


def steps(catalog: Catalog) -> st.SearchStrategy[int]:
    """Times from one event of a customer to the next."""
    gap = st.sampled_from(sorted({view.gap_us for view in catalog.views}))
    exact = st.tuples(gap, st.sampled_from((-1, 0, 1))).map(sum)
    around = st.integers(500 * SECOND, 1_801 * SECOND)
    boundary = st.integers(-3 * len(hops(catalog)), -1)
    short = st.sampled_from((0, 0, 1, SECOND, 20 * SECOND))
    long = st.sampled_from((2 * HOUR, 25 * HOUR, 8 * DAY, 33 * DAY, 400 * DAY))
    return st.one_of(around, around, around, exact, exact, boundary, boundary, short, short, long)


def delays(catalog: Catalog, *, late: bool) -> st.SearchStrategy[int]:
    """How long events take to arrive; within the lateness unless ``late``."""
    most = catalog.lateness_us
    within = st.integers(most // 2, most)
    none = st.just(0)
    if not late:
        return st.one_of(none, within, within, st.just(most))
    beyond = st.sampled_from((most + 1, 2 * most + SECOND, 3 * HOUR, 26 * HOUR, 31 * DAY))
    return st.one_of(none, none, within, within, within, st.just(most), beyond)


def moves(
    catalog: Catalog, *, late: bool = True, again: bool = True, most: int = 45
) -> st.SearchStrategy[list[Move]]:
    """A stream before its arrival order is worked out."""
    repeat = st.sampled_from((0, 0, 0, 0, 1, 2, 15, 16, 17, 18, 40)) if again else st.just(0)
    return st.lists(
        st.builds(
            Move,
            customer=st.sampled_from((0, 0, 0, 1, 2)),
            step=steps(catalog),
            delay=delays(catalog, late=late),
            again=repeat,
            kind=st.sampled_from(SCHEMA.types),
            channel=st.sampled_from((None, "", "web", "app", "unheard of")),
            properties=_PROPERTIES,
        ),
        min_size=1,
        max_size=most,
    )


starts = st.sampled_from((EPOCH, EPOCH, EPOCH + 123_456_789, 1, 2**40 + 1))
"""Times of the first event: today's, and near 0, where tile indexes are negative."""


def timestamps(catalog: Catalog, stream: Sequence[Move], start: int) -> list[int]:
    """Event time of every move."""
    latest: dict[int, int] = {}
    widths = hops(catalog)
    times = []
    for move in stream:
        now = latest.get(move.customer, start)
        if move.step >= 0:
            now += move.step
        else:
            index, offset = divmod(-move.step - 1, 3)
            now = (now // widths[index] + 1) * widths[index] + offset - 1
        latest[move.customer] = now
        times.append(now)
    return times


def arrivals(
    catalog: Catalog, stream: Sequence[Move], start: int, delayed: Sequence[int] | None = None
) -> list[Row]:
    """Events in arrival order; ``delayed`` replaces the delays of the moves."""
    times = timestamps(catalog, stream, start)
    waits = [move.delay for move in stream] if delayed is None else delayed
    numbers: dict[int, int] = {}
    rows: list[Row] = []
    for move, time in zip(stream, times, strict=True):
        number = numbers[move.customer] = numbers.get(move.customer, 0) + 1
        rows.append(
            {
                "event_id": f"e{number}",  # another customer's may be the same
                "event_timestamp": time,
                "customer_id": CUSTOMERS[move.customer],
                "type": move.kind,
                "channel": move.channel,
                "properties": move.properties,
            }
        )
    order = sorted(range(len(rows)), key=lambda i: (times[i] + waits[i], i))
    sent = [(place, 0, rows[i]) for place, i in enumerate(order)]
    sent += [(p + stream[i].again, 1, rows[i]) for p, i in enumerate(order) if stream[i].again]
    return [row for _, _, row in sorted(sent, key=lambda item: item[:2])]


def long_stream(catalog: Catalog, seed: int, length: int) -> list[Row]:
    """A seeded stream that is longer than hypothesis would draw."""
    source = random.Random(seed)
    most = catalog.lateness_us
    gaps = [view.gap_us for view in catalog.views]
    stream = [
        Move(
            customer=source.choice((0, 0, 1, 2)),
            step=source.choice(
                (
                    source.randint(500 * SECOND, 1_801 * SECOND),
                    source.randint(500 * SECOND, 1_801 * SECOND),
                    source.choice(gaps) + source.choice((-1, 0, 1)),
                    -source.randint(1, 3 * len(hops(catalog))),
                    source.choice((0, 1, 20 * SECOND)),
                    source.choice((0, SECOND, 2 * HOUR, 25 * HOUR)),
                )
            ),
            delay=source.choice((0, source.randint(most // 2, most), source.randint(0, 3 * most))),
            again=source.choice((0, 0, 0, 0, 0, 1, 16, 30, 60)),
            kind=source.choice(SCHEMA.types),
            channel=source.choice((None, "", "web", "app")),
            properties={
                "value": source.choice(_VALUES),
                "quantity": source.choice((None, 0, 1, 2, 3)),
                "gift": source.choice((None, True, False)),
                "category": source.choice((None, *CATEGORIES)),
                "brand": source.choice((*BRANDS, "unheard of")),
            },
        )
        for _ in range(length)
    ]
    return arrivals(catalog, stream, EPOCH)
