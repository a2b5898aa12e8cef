"""Random streams, dense in the cases where features go wrong; with the random declarations.

Generic random data hardly ever bridges two sessions, hits a tile boundary exactly or repeats an
event after sixteen others, so the steps and delays here are drawn mostly around the session gaps,
the hops and the allowed lateness of the catalog at hand.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from nextbest.features import Catalog
from tests.laws.declarations import (
    AGGREGATIONS,
    BRANDS,
    CATEGORIES,
    DAY,
    EPOCH,
    HOUR,
    MINUTE,
    SCHEMA,
    SECOND,
    catalogs,
    full_catalog,
    views,
)

__all__ = [
    "AGGREGATIONS", "BRANDS", "CATEGORIES", "DAY", "EPOCH", "HOUR", "MINUTE", "SCHEMA", "SECOND",
    "catalogs", "full_catalog", "views",
]  # fmt: skip

Row = dict[str, Any]
"""One event, as the naive twin takes it."""
CUSTOMERS = ("ada", "bob", "çelik")


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
