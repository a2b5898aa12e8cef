"""A set has another order in every process: refused where order means something, else sorted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nextbest.features import Entity, EventSchema, FeatureService, event
from nextbest.features import aggregations as agg
from nextbest.features.declaration import Feature, Window, check_feature
from nextbest.features.errors import DeclarationError
from nextbest.features.expressions import IsIn

WORDS = {"shoes", "hats", "bags"}
UNORDERED: Any = WORDS
BARE = Feature(name="n", aggregation="count", window=Window("lifetime"), by="category",
               vocabulary=UNORDERED)  # fmt: skip


@pytest.mark.parametrize("kind", [set, frozenset])
def test_a_filter_of_a_set_is_the_same_in_every_process(kind: Callable[[Any], Any]) -> None:
    assert event.category.isin(kind(WORDS)) == IsIn("category", ("bags", "hats", "shoes"))
    assert event.category.isin(["shoes", "hats"]) == IsIn("category", ("shoes", "hats"))


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda: agg.count("n", by="category", vocabulary=UNORDERED), "n: vocabulary"),
        (lambda: agg.count("n", by="category", vocabulary=frozenset(WORDS)), "n: vocabulary"),
        (
            lambda: agg.last("n", of="brand", vocabulary=["x"], by="category", keys=UNORDERED),
            "n: keys",
        ),
        (lambda: EventSchema("shop", types=UNORDERED), "shop: types"),
        (lambda: Entity("shelf", UNORDERED), "shelf: join_keys"),
        (lambda: FeatureService(name="s", features=UNORDERED), "s: features"),
        (lambda: check_feature(BARE), "n: vocabulary"),
    ],
)
def test_a_set_is_refused_where_order_means_something(made: Callable[[], Any], name: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        made()
    assert str(raised.value) == f"{name}: a set has no order: give a list"
