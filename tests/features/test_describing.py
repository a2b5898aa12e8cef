"""What differs between two declarations is named wherever their rows differ."""

from __future__ import annotations

from typing import Any

import pytest

from nextbest.features import Catalog, Entity, EventSchema, FeatureView, event
from nextbest.features import aggregations as agg
from nextbest.features.describing import Difference, differences
from nextbest.features.plans import Plans

SHOP = EventSchema("shop", types=("view",), properties={"value": float, "word": str})
WORDS = [f"w{i}" for i in range(9)]
COUNT, SUM = agg.count("n"), agg.sum("s", of="value")
RATIO = agg.ratio("r", "s", "n")


def view(name: str = "v", *features: Any, **rest: Any) -> FeatureView:
    return FeatureView(name=name, source=SHOP, features=features or [COUNT, SUM, RATIO], **rest)


def made(*views: FeatureView, **rest: Any) -> Catalog:
    return Catalog(name="shop", views=views or [view()], **rest)


def keyed(words: list[str]) -> Catalog:
    return made(view("v", agg.count("k", by="word", vocabulary=words)))


def joined(right: bool) -> Catalog:
    a, b, c = (event.value > x for x in (1, 2, 3))
    return made(view("v", agg.count("k", where=a | (b | c) if right else (a | b) | c)))


SHELF = view("w", entity=Entity("shelf", ["word"]))


@pytest.mark.parametrize(
    ("old", "new", "name", "detail"),
    [
        (made(), made(lateness="10m"), "shop", "lateness: 30m → 10m"),
        (
            made(),
            made(view(session_gap="1h"), lateness="30m"),
            "shop",
            "session gap of v: 30m → 1h",
        ),
        (
            made(),
            made(view("v", SUM, COUNT, RATIO)),
            "shop",
            "order of customer: v:n, v:s → v:s, v:n",
        ),
        (
            made(view(), view("u", COUNT), SHELF),
            made(SHELF, view("u", COUNT), view()),
            "shop",
            "order of customer: v:n, v:s, u:n → u:n, v:n, v:s",
        ),
        (keyed(WORDS), keyed([*WORDS[:8], "other"]), "v:k", "vocabulary: differs"),
        (joined(True), joined(False), "v:k", "where: differs"),
    ],
)
def test_whatever_makes_other_rows_is_named(
    old: Catalog, new: Catalog, name: str, detail: str
) -> None:
    assert Plans.compile(old).schema_id != Plans.compile(new).schema_id
    assert differences(old, new) == [Difference("changed", name, (detail,))]


def test_what_makes_the_same_rows_is_not() -> None:
    old, new = made(view(), SHELF), made(SHELF, view("v", COUNT, SUM, RATIO))
    assert Plans.compile(old).schema_id == Plans.compile(new).schema_id
    assert differences(old, new) == []
