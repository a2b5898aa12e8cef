"""One typed declaration of features: the only place where a feature is defined.

A `FeatureView` says what is computed from the events of one schema for one entity. The kernels'
plan, the packed row, the Feast objects and the documentation are all made from it. A bad
declaration fails when it is written, naming the feature and the reason.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .derived_checks import check_sources
from .durations import Duration, check_microseconds, microseconds
from .errors import DeclarationError
from .events import EventSchema
from .expressions import Compare, IsIn, leaves
from .kinds import (
    MAX_K,
    MAX_TILES,
    MAX_VOCABULARY,
    Feature,
    Window,
    check_feature,
)
from .ordered import ordered
from .texts import check_texts

__all__ = [
    "MAX_K",
    "MAX_TILES",
    "MAX_VOCABULARY",
    "Entity",
    "Feature",
    "FeatureView",
    "Window",
    "check_feature",
    "customer",
]


_KEYS_OF_OURS = frozenset({"shard", "model"})


class Entity(msgspec.Struct, frozen=True):
    """What a row describes: the customer, or whatever else events carry the name of.

    Parameters
    ----------
    name
        An identifier.
    join_keys
        The columns of an event that name what the row describes: ``customer_id``, ``channel``,
        ``type`` or a string property; several make a composite entity. An event without one of
        them does not count for the entity.
    description
        For people.

    Raises
    ------
    DeclarationError
        If a name is no identifier, or a key stands twice.

    Examples
    --------
    >>> Entity("product", ["product_id"]).join_keys
    ('product_id',)
    """

    name: str = "customer"
    join_keys: Sequence[str] = ("customer_id",)
    description: str = ""

    def __post_init__(self) -> None:
        keys = self.join_keys
        keys = () if isinstance(keys, str) else ordered(str(self.name), "join_keys", keys)
        msgspec.structs.force_setattr(self, "join_keys", keys)
        for word in (self.name, *keys):
            if not isinstance(word, str) or not word.isidentifier():
                raise DeclarationError(repr(word), "an entity's names must be identifiers")
        if self.name in _KEYS_OF_OURS:
            raise DeclarationError(self.name, "the store has other keys of that name")
        if not keys or len(set(keys)) != len(keys):
            raise DeclarationError(self.name, "an entity needs one or more different join keys")
        check_texts(self.name, self)
        if keys == ("customer_id",) and self.name != "customer":
            raise DeclarationError(self.name, "the entity of customer_id is `customer`")

    @property
    def is_customer(self) -> bool:
        """Is it the entity that the log is in order of?"""
        return self.join_keys == ("customer_id",)


customer = Entity()
"""The entity that the log is in order of: sessions, lateness and duplicates are a customer's."""


class FeatureView(msgspec.Struct, frozen=True, kw_only=True):
    """Features of one entity over one event schema, sharing a session gap and a ttl.

    Parameters
    ----------
    name
        An identifier, unique in its catalog.
    source
        The schema of the events.
    features
        What `nextbest.features.aggregations` makes; names are unique in the view.
    entity
        Default `customer`.
    session_gap
        A session ends after this long without an event. Default ``"30m"``.
    ttl
        Values of a customer whose last event is older read as expired. Default: never.

    Raises
    ------
    DeclarationError
        Naming the view, the feature and the reason.

    Examples
    --------
    >>> from nextbest.features import aggregations as agg, EventSchema, FeatureView, event
    >>> shop = EventSchema("shop", types=("view", "cart"), properties={"value": float})
    >>> visits = FeatureView(
    ...     name="visits",
    ...     source=shop,
    ...     features=[
    ...         agg.count("events", window="session"),
    ...         agg.count("carts_1h", where=event.type == "cart", window="1h"),
    ...     ],
    ... )
    >>> [str(f.window) for f in visits.features]
    ['session', '1h (hop 5m)']
    >>> FeatureView(name="v", source=shop, features=[agg.sum("s", of="price", window="1h")])
    Traceback (most recent call last):
        ...
    nextbest.features.errors.DeclarationError: v:s: no property 'price' in schema 'shop'
    """

    name: str
    source: EventSchema
    features: Sequence[Feature]
    entity: Entity = customer
    session_gap: Duration | int = "30m"
    ttl: Duration | int | None = None
    description: str = ""
    owner: str = ""
    tags: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise DeclarationError(repr(self.name), "a view's name must be an identifier")
        check_texts(self.name, self)
        for field in ("session_gap", "ttl"):
            value = getattr(self, field)
            if value is None and field == "ttl":
                continue
            try:
                is_us = isinstance(value, int)
                us = check_microseconds(value) if is_us else microseconds(value)
            except ValueError as error:
                raise DeclarationError(self.name, f"{field}: {error}") from None
            msgspec.structs.force_setattr(self, field, us)
        if isinstance(self.features, Feature):
            raise DeclarationError(self.name, "features must be a sequence of features")
        features = tuple(self.features)
        if not features:
            raise DeclarationError(self.name, "a view needs at least one feature")
        seen: dict[str, Feature] = {}
        for feature in features:
            where = f"{self.name}:{feature.name}"
            if feature.name in seen:
                raise DeclarationError(where, "the name stands twice in the view")
            _check_columns(where, feature, self.source)
            seen[feature.name] = check_sources(where, feature, seen, self.name)
        msgspec.structs.force_setattr(self, "features", tuple(seen.values()))

    @property
    def gap_us(self) -> int:
        """The session gap, microseconds."""
        assert isinstance(self.session_gap, int)
        return self.session_gap

    @property
    def ttl_us(self) -> int:
        """The time to live in microseconds; 0 means for ever."""
        assert self.ttl is None or isinstance(self.ttl, int)
        return self.ttl or 0


def _check_columns(where: str, feature: Feature, schema: EventSchema) -> None:
    def known(column: str) -> None:
        if not schema.has(column):
            raise DeclarationError(where, f"no property {column!r} in schema {schema.name!r}")

    if isinstance(feature.of, str):
        known(feature.of)
        if schema.is_numeric(feature.of) == bool(feature.of_words):
            raise DeclarationError(
                where,
                f"{feature.aggregation} of {feature.of!r}: a vocabulary goes with strings, "
                "and only with them",
            )
    if feature.by is not None:
        known(feature.by)
        if schema.is_numeric(feature.by):
            raise DeclarationError(where, f"by={feature.by!r} must be a string column")
        if feature.by == "type":
            _check_types(where, feature.key_words, schema)
    for leaf in leaves(feature.where) if feature.where is not None else ():
        known(leaf.column)
        numeric = schema.is_numeric(leaf.column)
        if isinstance(leaf, IsIn) and numeric:
            raise DeclarationError(where, f"isin needs a string column, not {leaf.column!r}")
        if isinstance(leaf, IsIn) and leaf.column == "type":
            _check_types(where, leaf.values, schema)
        if isinstance(leaf, Compare):
            if isinstance(leaf.value, str) == numeric:
                raise DeclarationError(where, f"{leaf.column!r} compared with {leaf.value!r}")
            if not numeric and leaf.operator not in ("==", "!="):
                raise DeclarationError(where, f"strings have no order: {leaf.column!r}")
            if leaf.column == "type":
                _check_types(where, (str(leaf.value),), schema)
            if schema.properties.get(leaf.column) == "bool" and leaf.value not in (0, 1):
                raise DeclarationError(where, f"{leaf.column!r} compared with {leaf.value!r}")


def _check_types(where: str, types: Sequence[str], schema: EventSchema) -> None:
    for word in types:
        if word not in schema.types:
            raise DeclarationError(where, f"no event type {word!r} in schema {schema.name!r}")
