"""What views, services and entities say for people is text: a stored catalog must be readable."""

from __future__ import annotations

from typing import Any

import pytest

from nextbest.features import Catalog, Entity, EventSchema, FeatureService, FeatureView
from nextbest.features import aggregations as agg
from nextbest.features.catalog_codec import decode_catalog, encode_catalog
from nextbest.features.errors import DeclarationError

SHOP = EventSchema("shop", types=("view",), properties={"word": str})


def view(**rest: Any) -> FeatureView:
    return FeatureView(name="x", source=SHOP, features=[agg.count("n")], **rest)


def service(**rest: Any) -> FeatureService:
    return FeatureService(name="x", features=["x"], **rest)


@pytest.mark.parametrize("made", [view, service])
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"description": None}, "description=None is not a text"),
        ({"owner": 3}, "owner=3 is not a text"),
        ({"tags": {"a": 1}}, "tags must be texts by texts, not {'a': 1}"),
        ({"tags": None}, "tags must be texts by texts, not None"),
    ],
)
def test_what_is_no_text_is_refused(made: Any, said: dict[str, Any], reason: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        made(**said)
    assert str(raised.value) == f"x: {reason}"


def test_so_is_that_of_an_entity() -> None:
    with pytest.raises(DeclarationError, match="x: description=None is not a text"):
        Entity("x", ["word"], None)  # type: ignore[arg-type]  # the mistake


def test_texts_are_kept() -> None:
    words: dict[str, Any] = {"description": "Why.", "owner": "ann", "tags": {"a": "b"}}
    catalog = Catalog(name="c", views=[view(**words)], services=[service(**words)])
    assert decode_catalog(encode_catalog(catalog)) == catalog
