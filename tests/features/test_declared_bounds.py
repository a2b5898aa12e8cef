"""Durations and numbers that no row could hold are refused when they are written."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from nextbest.features import Catalog, EventSchema, FeatureView, event
from nextbest.features import aggregations as agg
from nextbest.features.catalog_codec import decode_catalog, encode_catalog
from nextbest.features.declaration import Feature, Window
from nextbest.features.durations import MAX_DURATION, microseconds
from nextbest.features.errors import DeclarationError
from nextbest.features.events import MAX_TIMESTAMP
from nextbest.features.kinds import MAX_CONDITIONS
from tests.laws.driver import Kernels

SHOP = EventSchema("shop", types=("view",), properties={"value": float, "word": str})


def view(*features: Feature, **rest: Any) -> FeatureView:
    return FeatureView(name="v", source=SHOP, features=features or [agg.count("n")], **rest)


def any_of(n: int) -> Feature:
    words = [event.word == f"w{i}" for i in range(n)]
    return agg.count("f", where=functools.reduce(operator.or_, words))


def sliding(width: int, hop: int) -> Feature:
    return agg.count("f", window=Window("sliding", width, hop))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda: view(ttl=timedelta.max),
            f"v: ttl: {timedelta.max!r} is longer than 833999d",
        ),
        (lambda: view(ttl=2**56 + 1), f"v: ttl: {2**56 + 1} microseconds are longer than 833999d"),
        (lambda: view(session_gap=10**30), f"v: session_gap: {10**30} microseconds are longer "),
        (lambda: view(session_gap="99999999w"), "v: session_gap: '99999999w' is longer than"),
        (lambda: view(session_gap=None), "v: session_gap: None is not a duration"),
        (lambda: view(session_gap=True), "v: session_gap: True is not a positive duration"),
        (lambda: agg.decayed("f", half_life="2000000d"), "f: half_life: '2000000d' is longer than"),
        (lambda: agg.count("f", window="200000000d"), "f: window: '200000000d' is longer than"),
        (lambda: sliding(0, 0), "f: width: 0 is not a positive duration"),
        (lambda: sliding(12, 0), "f: hop: 0 is not a positive duration"),
        (lambda: sliding(2**60, 2**59), f"f: width: {2**60} microseconds are longer than 833999d"),
        (
            lambda: agg.decayed("f", of=10**400, half_life="1d"),
            "f: of is an integer that no float64 holds",
        ),
        (
            lambda: any_of(MAX_CONDITIONS + 1),
            f"f: the filter is more than {MAX_CONDITIONS} conditions deep: isin takes many words",
        ),
        (lambda: any_of(100_000), "f: the filter is more than"),
    ],
)
def test_what_no_row_could_hold(made: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        made()
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("value", [10**400, -(10**400), float("inf"), float("nan")])
def test_what_no_property_can_be(value: float) -> None:
    with pytest.raises(ValueError, match="which no property can be"):
        _ = event.value > value


def test_the_most_works() -> None:
    most = timedelta(microseconds=MAX_DURATION)
    assert microseconds(most) == MAX_DURATION
    catalog = Catalog(
        name="most",
        views=[
            view(
                any_of(MAX_CONDITIONS),
                agg.decayed("d", half_life=most),
                agg.count("w", window=most, hop=most),
                agg.count("s", window="session"),
                session_gap=most,
                ttl=most,
            )
        ],
    )
    assert decode_catalog(encode_catalog(catalog)) == catalog
    kernels = Kernels(catalog)
    kernels.apply([{"event_id": "1", "event_timestamp": MAX_TIMESTAMP, "customer_id": "a",
                    "type": "view", "properties": {"word": "w1"}}])  # fmt: skip
    assert kernels.state.read(["a"], MAX_TIMESTAMP).values[0] == pytest.approx(np.ones(4))
