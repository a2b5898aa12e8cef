"""From a catalog to the Feast objects that describe it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import feast
import msgspec
from feast.types import Array, ComplexFeastType, Float64, Int64, PrimitiveFeastType, String
from feast.value_type import ValueType

from ..catalog import Catalog
from ..catalog_codec import encode_catalog
from ..declaration import Feature, FeatureView
from ..errors import DeclarationError
from ..plan import Plan
from .source import CATALOG_TAG, RESERVED_TAGS, SCHEMA_TAG, EventSource

_SCALARS: dict[str, PrimitiveFeastType] = {"int64": Int64, "float64": Float64, "string": String}


def feast_objects(catalog: Catalog) -> list[Any]:
    """Make the Feast objects of a catalog, for ``store.apply(...)``.

    Parameters
    ----------
    catalog
        Its entity becomes an ``Entity``; each view a ``FeatureView`` with ``online=False``, since
        nothing is ever materialised into it; all of them one ``FeatureService`` with the
        catalog's name. Features are ``Int64``, ``Float64`` or ``String``. A feature with one value
        a key is an array in the order of its vocabulary (tag ``nextbest.keys``), a ``last_k`` an
        array of at most k values, newest first.

    Raises
    ------
    DeclarationError
        If a tag begins with ``nextbest.`` or a feature is named like the join key.

    Examples
    --------
    >>> from nextbest.features import Catalog, EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> v = FeatureView(name="visits", source=shop, features=[agg.count("n")], ttl="7d")
    >>> made = feast_objects(Catalog(name="demo", views=[v]))
    >>> [type(o).__name__ for o in made]
    ['Entity', 'FeatureView', 'FeatureService']
    >>> made[1].ttl, made[1].online, {f.name: str(f.dtype) for f in made[1].features}
    (datetime.timedelta(days=7), False, {'n': 'Int64'})
    """
    ours = {CATALOG_TAG: catalog.name, SCHEMA_TAG: schema_tag(Plan.compile(catalog))}
    entity = feast.Entity(
        name=catalog.entity.name,
        join_keys=list(catalog.entity.join_keys),
        value_type=ValueType.STRING,
        description=catalog.entity.description,
    )
    source = EventSource(
        name=f"{catalog.name}_events",
        declaration=encode_catalog(catalog),
        description=f"Events of the stream {catalog.source.name!r}",
    )
    views: list[Any] = [
        feast.FeatureView(
            name=view.name,
            entities=[entity],
            schema=[
                *(feast.Field(name=key, dtype=String) for key in view.entity.join_keys),
                *(_field(view, feature) for feature in view.features),
            ],
            source=source,
            ttl=timedelta(microseconds=view.ttl_us),
            online=False,
            description=view.description,
            owner=view.owner,
            tags={**_users(view.name, view.tags), **ours},
        )
        for view in catalog.views
    ]
    service = feast.FeatureService(
        name=catalog.name,
        features=views,
        description=f"All features of the catalog {catalog.name!r}",
        tags=ours,
    )
    return [entity, *views, service]


def named_objects(catalog: Catalog) -> dict[str, Any]:
    """Return `feast_objects` by the names that a module can give them, for ``feast apply``."""
    return {f"{type(o).__name__}_{o.name}": o for o in feast_objects(catalog)}


def schema_tag(plan: Plan) -> str:
    """Return what the tag ``nextbest.schema`` of a plan's views says."""
    return f"{plan.schema_id:08x}"


def _field(view: FeatureView, feature: Feature) -> feast.Field:
    where = f"{view.name}:{feature.name}"
    if feature.name in view.entity.join_keys:
        raise DeclarationError(where, "a feature cannot be named like a join key in Feast")
    tags = {
        **_users(where, feature.tags),
        "nextbest.aggregation": feature.aggregation,
        "nextbest.window": str(feature.window),
    }
    if feature.by is not None:
        tags["nextbest.keys"] = msgspec.json.encode(feature.key_words).decode()
    return feast.Field(
        name=feature.name, dtype=_dtype(feature), description=feature.description, tags=tags
    )


def _dtype(feature: Feature) -> PrimitiveFeastType | ComplexFeastType:
    scalar = _SCALARS[feature.dtype]
    return Array(scalar) if feature.is_vector else scalar


def _users(where: str, tags: dict[str, str]) -> dict[str, str]:
    for tag in tags:
        if tag.startswith(RESERVED_TAGS):
            raise DeclarationError(where, f"tag {tag!r}: {RESERVED_TAGS}* is reserved")
    return tags
