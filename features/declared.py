"""Declarations in the online store, for those who read rows without the module that made them."""

from __future__ import annotations

from .catalog import Catalog
from .catalog_codec import encode_catalog
from .plan import Plan

CATALOGS = b"nextbest:catalogs"
"""The key of a hash: every catalog that a worker computes, by its name."""


def schema_key(catalog: Catalog, schema_id: int) -> bytes:
    """Return the key under which a declaration of one entity is kept.

    Parameters
    ----------
    catalog
        Of one entity.
    schema_id
        As in the head of the rows.

    Examples
    --------
    >>> from nextbest.features import EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> views = FeatureView(name="v", source=shop, features=[agg.count("n")])
    >>> schema_key(Catalog(name="demo", views=[views]), 0xBEEF)
    b'nextbest:demo:customer:schema:0000beef'
    """
    return f"nextbest:{catalog.name}:{catalog.entity.name}:schema:{schema_id:08x}".encode()


def declare_commands(catalog: Catalog) -> list[tuple[bytes, ...]]:
    """Return the commands that tell a store of a catalog and of each entity's rows.

    They say the same however often they are executed.

    Examples
    --------
    >>> from nextbest.features import EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> views = FeatureView(name="v", source=shop, features=[agg.count("n")])
    >>> [command[:2] for command in declare_commands(Catalog(name="demo", views=[views]))][0]
    (b'HSET', b'nextbest:catalogs')
    """
    whole = (b"HSET", CATALOGS, catalog.name.encode(), encode_catalog(catalog))
    commands: list[tuple[bytes, ...]] = [whole]
    for entity in catalog.entities:
        own = catalog.of(entity.name)
        key = schema_key(own, Plan.compile(own).schema_id)
        commands.append((b"SET", key, encode_catalog(own)))
    return commands
