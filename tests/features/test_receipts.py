"""Receipts come back as they were given; anything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.features.declaration import Entity
from nextbest.features.entity_keys import key_text
from nextbest.features.errors import EventError, SettingsError
from nextbest.features.receipts import Receipt


@settings(deadline=None)  # the first example compiles a kernel
@given(st.integers(0, 99_999), st.integers(0, 2**63 - 1), st.text(max_size=20))
def test_a_receipt_survives_the_app(partition: int, position: int, customer: str) -> None:
    receipt = Receipt.of(partition, position, customer)
    assert Receipt.parse(str(receipt)) == receipt
    assert receipt.is_of(customer)
    assert not receipt.is_of(customer + "x")


@pytest.mark.parametrize(
    "text",
    ["", "1", "1-2-3", "1-" + "f" * 16 + "-" + "0" * 16, "-1-2-" + "0" * 16, "٣-1-" + "0" * 16],
)
def test_what_is_no_receipt(text: str) -> None:
    with pytest.raises(EventError, match="is not a receipt"):
        Receipt.parse(text)


@given(st.lists(st.tuples(st.text(), st.text()), min_size=2, max_size=2, unique=True))
def test_no_two_composite_keys_are_equal(keys: list[tuple[str, str]]) -> None:
    pair = Entity("pair", ["customer_id", "category"])
    assert key_text(pair, keys[0]) != key_text(pair, keys[1])


def test_a_key_of_another_shape() -> None:
    pair = Entity("pair", ["customer_id", "category"])
    with pytest.raises(SettingsError, match="pair is found by the strings customer_id, category"):
        key_text(pair, "ann")
    with pytest.raises(SettingsError, match="customer is found by the strings customer_id"):
        key_text(Entity(), ("ann", "ben"))
