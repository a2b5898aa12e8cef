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
from ..services import FeatureService
from .source import CATALOG_TAG, ORDER_TAG, RESERVED_TAGS, SCHEMA_TAG, EventSource

_SCALARS: dict[str, PrimitiveFeastType] = {"int64": Int64, "float64": Float64, "string": String}


def feast_objects(catalog: Catalog) -> list[Any]:
    """Make the Feast objects of a catalog, for ``store.apply(...)``.

    Parameters
    ----------
    catalog
        Each entity becomes an ``Entity``; a composite one several, since those of Feast have one
        join key: that of the catalog with this key alone, or one of the key's name. Each view
        becomes a ``FeatureView`` with ``online=False``, since nothing is ever materialised into
        it; each service a ``FeatureService``, and all features one of the catalog's name, unless
        a service of that name is declared. Features are ``Int64``, ``Float64`` or ``String``. One
        with a value for each key is an array in the order of its vocabulary (tag
        ``nextbest.keys``), a ``last_k`` an array of at most k values, newest first.

    Raises
    ------
    DeclarationError
        If a tag begins with ``nextbest.`` or a feature is named like a join key.

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
    entities = _entities(catalog)
    source = EventSource(
        name=f"{catalog.name}_events",
        declaration=encode_catalog(catalog),
        description=f"Events of the stream {catalog.source.name!r}",
    )
    schemas = {e.name: schema_tag(Plan.compile(catalog.of(e.name))) for e in catalog.entities}
    keys = frozenset(key for entity in catalog.entities for key in entity.join_keys)
    views = {
        view.name: feast.FeatureView(
            name=view.name,
            entities=[entities[view.entity.name, key] for key in view.entity.join_keys],
            schema=[
                *(feast.Field(name=key, dtype=String) for key in view.entity.join_keys),
                *(_field(view, feature, keys) for feature in view.features),
            ],
            source=source,
            ttl=timedelta(microseconds=view.ttl_us),
            online=False,
            description=view.description,
            owner=view.owner,
            tags={
                **_users(view.name, view.tags),
                CATALOG_TAG: catalog.name,
                SCHEMA_TAG: schemas[view.entity.name],
            },
        )
        for view in catalog.views
    }
    services = [_service(catalog, service, views) for service in catalog.services]
    if catalog.name not in {service.name for service in services}:
        all_features = feast.FeatureService(
            name=catalog.name,
            features=[*views.values()],
            description=f"All features of the catalog {catalog.name!r}",
            tags={CATALOG_TAG: catalog.name},
        )
        services.append(all_features)
    unique = {entity.name: entity for entity in entities.values()}
    return [*unique.values(), *views.values(), *services]


def named_objects(catalog: Catalog) -> dict[str, Any]:
    """Return `feast_objects` by the names that a module can give them, for ``feast apply``."""
    return {f"{type(o).__name__}_{o.name}": o for o in feast_objects(catalog)}


def schema_tag(plan: Plan) -> str:
    """Return what the tag ``nextbest.schema`` of a plan's views says."""
    return f"{plan.schema_id:08x}"


def _entities(catalog: Catalog) -> dict[tuple[str, str], Any]:
    """Make a Feast entity for each join key: by the name of our entity, and the key."""
    found: dict[tuple[str, str], Any] = {}
    alone: dict[str, Any] = {}
    for entity in catalog.entities:
        if len(entity.join_keys) == 1:
            (key,) = entity.join_keys
            made = _entity(entity.name, key, entity.description)
            alone.setdefault(key, made)
            found[entity.name, key] = made
    taken = {entity.name for entity in catalog.entities}
    for entity in catalog.entities:
        for key in entity.join_keys if len(entity.join_keys) > 1 else ():
            if key not in alone:
                # Another entity may have the name of this key.
                name = key if key not in taken else f"{entity.name}_{key}"
                alone[key] = _entity(name, key, "")
            found[entity.name, key] = alone[key]
    return found


def _entity(name: str, join_key: str, description: str) -> Any:
    return feast.Entity(
        name=name, join_keys=[join_key], value_type=ValueType.STRING, description=description
    )


def _service(catalog: Catalog, service: FeatureService, views: dict[str, Any]) -> Any:
    chosen: dict[str, list[str]] = {}
    refs = []
    for view, feature in catalog.select(service.features):
        chosen.setdefault(view.name, []).append(feature.name)
        refs.append(f"{view.name}:{feature.name}")
    return feast.FeatureService(
        name=service.name,
        features=[views[name][features] for name, features in chosen.items()],
        description=service.description,
        owner=service.owner,
        tags={
            **_users(service.name, service.tags),
            CATALOG_TAG: catalog.name,
            # Feast keeps the features of a view together, wherever they stand in the service.
            ORDER_TAG: msgspec.json.encode(refs).decode(),
        },
    )


def _field(view: FeatureView, feature: Feature, keys: frozenset[str]) -> feast.Field:
    where = f"{view.name}:{feature.name}"
    if feature.name in keys:
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
