"""Catalogs of several entities, their services, and catalogs as bytes."""

from __future__ import annotations

import zlib

import pytest

from nextbest.features import (
    Catalog,
    Entity,
    EventSchema,
    FeatureService,
    FeatureView,
)
from nextbest.features import aggregations as agg
from nextbest.features.catalog_codec import decode_catalog, encode_catalog
from nextbest.features.declaration import Feature
from nextbest.features.errors import DeclarationError, StateError
from nextbest.features.plan import Plan

SHOP = EventSchema("shop", types=("view",), properties={"word": str})


def view(name: str, entity: Entity, *features: Feature) -> FeatureView:
    return FeatureView(name=name, source=SHOP, entity=entity, features=features)


def test_a_catalog_of_several_entities() -> None:
    product = Entity("product", ["word"])
    pair = Entity("pair", ["customer_id", "word"])
    whole = Catalog(
        name="c",
        views=[
            view("v", Entity(), agg.count("f"), agg.count("g", window="session")),
            view("w", product, agg.count("f")),
            view("x", pair, agg.count("f")),
        ],
        services=[FeatureService(name="s", features=["w:f", "v"])],
    )
    assert [entity.name for entity in whole.entities] == ["customer", "product", "pair"]
    assert whole.of("pair").columns == ("x:f",)
    assert whole.of("product").entity == product
    refs = whole.service("s").features
    assert [f"{v.name}:{f.name}" for v, f in whole.select(refs)] == ["w:f", "v:f", "v:g"]
    assert decode_catalog(encode_catalog(whole)) == whole
    with pytest.raises(DeclarationError, match="c: no feature service 't'; there are: s"):
        whole.service("t")
    with pytest.raises(DeclarationError, match="c: no view is of the entity 'shelf'"):
        whole.of("shelf")
    with pytest.raises(DeclarationError, match="compile one entity at a time: customer, product"):
        Plan.compile(whole)


@pytest.mark.parametrize(
    "data",
    [b"", b"nonsense", zlib.compress(b"{}"), zlib.compress(b"[" * 99), zlib.compress(b"{}")[:-1]],
    ids=["empty", "nonsense", "no catalog", "nested", "cut off"],
)
def test_a_stored_catalog_that_is_damaged(data: bytes) -> None:
    with pytest.raises(StateError, match="a stored catalog"):
        decode_catalog(data)


def test_a_stored_catalog_that_would_fill_the_memory() -> None:
    with pytest.raises(StateError, match="more than 16777216 bytes"):
        decode_catalog(zlib.compress(b" " * (17 << 20)))
