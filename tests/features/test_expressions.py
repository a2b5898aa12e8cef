"""Filters: what Python's operators make, and what they refuse."""

from __future__ import annotations

import operator
from typing import Any

import msgspec
import pytest

from nextbest.features import event
from nextbest.features.expressions import (
    And,
    AnyPredicate,
    Compare,
    IsIn,
    Not,
    Or,
    Present,
    Scalar,
    leaves,
)

CART = Compare("type", "==", "cart")
DEAR = Compare("value", ">", 10)


@pytest.mark.parametrize(
    ("written", "made"),
    [
        (event.type == "cart", CART),
        (event.type != "cart", Compare("type", "!=", "cart")),
        (event.value < 10, Compare("value", "<", 10)),
        (event.value <= 10, Compare("value", "<=", 10)),
        (event.value > 10, DEAR),
        (event.value >= 10, Compare("value", ">=", 10)),
        (10 < event.value, DEAR),  # noqa: SIM300  # the reflected operator
        (event["type"] == "cart", CART),
        (event.good == True, Compare("good", "==", True)),  # noqa: E712  # makes a filter
        (event.type.isin(["cart", "view"]), IsIn("type", ("cart", "view"))),
        (event.value.present(), Present("value")),
        ((event.type == "cart") & (event.value > 10), And(CART, DEAR)),
        ((event.type == "cart") | (event.value > 10), Or(CART, DEAR)),
        (~(event.type == "cart"), Not(CART)),
    ],
)
def test_what_operators_make(written: AnyPredicate, made: AnyPredicate) -> None:
    assert written == made


def test_leaves_from_left_to_right() -> None:
    predicate = ~((event.type == "cart") & event.value.present()) | event.type.isin(["view"])
    assert list(leaves(predicate)) == [CART, Present("value"), IsIn("type", ("view",))]


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: (event.type == "cart") and (event.value > 10),
        lambda: (event.type == "cart") or (event.value > 10),
        lambda: not (event.type == "cart"),  # noqa: SIM201  # the misuse
        lambda: 1 < event.value < 10,
        lambda: event.type in ["cart", "view"],
        lambda: bool(event.type == "cart"),
    ],
)
def test_words_in_place_of_operators(misuse: Any) -> None:
    with pytest.raises(TypeError) as caught:
        misuse()
    assert str(caught.value) == (
        "combine filters with & | ~ and parentheses, not with and/or/not/in"
    )


@pytest.mark.parametrize("value", [None, [1], event.value])
def test_what_a_column_is_not_compared_with(value: Any) -> None:
    with pytest.raises(TypeError) as caught:
        event.type == value  # noqa: B015  # raises
    assert str(caught.value) == f"cannot compare event.type with {value!r}"


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: (event.type == "cart") & event.flag,
        lambda: (event.type == "cart") | event.flag,
        lambda: event.flag & (event.type == "cart"),
        lambda: event.flag | (event.type == "cart"),
        lambda: event.flag and (event.type == "cart"),
        lambda: ~event.flag,
    ],
)
def test_a_column_is_no_filter(misuse: Any) -> None:
    with pytest.raises(TypeError) as caught:
        misuse()
    assert str(caught.value) == "event.flag is no filter, compare it: (event.flag == True)"


@pytest.mark.parametrize("other", ["cart", True, None])
def test_what_is_not_combined_with_a_filter(other: Any) -> None:
    for combine in (operator.and_, operator.or_):
        with pytest.raises(TypeError) as caught:
            combine(event.type == "cart", other)
        assert str(caught.value) == f"{other!r} is no filter, compare a column with it"


def test_parentheses_forgotten() -> None:
    """``a == 1 & b == 2`` is ``a == (1 & b) == 2`` to Python."""
    with pytest.raises(TypeError, match="unsupported operand"):
        event.value == 1 & event.type == "cart"  # type: ignore[operator, comparison-overlap]  # noqa: B015  # raises


def test_a_column_has_no_hash() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(event.type)


def test_dunder_lookups_find_nothing() -> None:
    assert not hasattr(event, "__array__")


@pytest.mark.parametrize("value", ["cart", 1, 1.5, True])
def test_a_filter_survives_json(value: Scalar) -> None:
    predicate = And(Not(Compare("value", "==", value)), Or(IsIn("type", ("a",)), Present("b")))
    text = msgspec.json.encode(predicate)
    again = msgspec.json.decode(text, type=AnyPredicate)
    assert again == predicate
    [compare] = [leaf for leaf in leaves(again) if isinstance(leaf, Compare)]
    assert type(compare.value) is type(value)
