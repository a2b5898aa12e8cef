"""One typed declaration of features: the only place where a feature is defined.

A `FeatureView` says what is computed from the events of one schema for one entity. The kernels'
plan, the packed row, the Feast objects and the documentation are all made from it. A bad
declaration fails when it is written, naming the feature and the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from .durations import Duration, describe, microseconds
from .errors import DeclarationError
from .events import EventSchema
from .expressions import AnyPredicate, Compare, IsIn, Predicate, leaves

Aggregation = Literal[
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "first",
    "last",
    "last_k",
    "distinct",
    "decayed",
    "time_since",
    "evidence",
    "ratio",
]
WindowKind = Literal["lifetime", "session", "last_session", "sliding", "decay"]

MAX_VOCABULARY = 4096
MAX_TILES = 1024
MAX_K = 64

_NEEDS_OF = frozenset({"sum", "mean", "min", "max", "first", "last", "last_k", "distinct"})
_INTEGERS = frozenset({"count", "distinct", "evidence"})


def _reads_words(kind: Aggregation) -> bool:
    """Say whether the aggregation itself takes a vocabulary."""
    return kind in ("first", "last", "last_k", "distinct")


class Window(msgspec.Struct, frozen=True):
    """Over which of a customer's events a feature looks.

    ``width`` and ``hop`` (sliding) and ``half_life`` (decay) are in microseconds, else 0.
    """

    kind: WindowKind
    width: int = 0
    hop: int = 0
    half_life: int = 0

    def __str__(self) -> str:
        if self.kind == "sliding":
            return f"{describe(self.width)} (hop {describe(self.hop)})"
        if self.kind == "decay":
            return f"half-life {describe(self.half_life)}"
        return self.kind


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One feature. Made by the functions of `nextbest.features.aggregations`."""

    name: str
    aggregation: Aggregation
    window: Window
    of: str | float | None = None
    where: AnyPredicate | None = None
    by: str | None = None
    vocabulary: tuple[str, ...] = ()
    k: int = 0
    numerator: str | None = None
    denominator: str | None = None
    description: str = ""
    tags: dict[str, str] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the numbers that the feature reads as: one, or one a key, or ``k``."""
        if self.by is not None:
            return tuple(f"{self.name}[{key}]" for key in self.vocabulary)
        if self.aggregation == "last_k":
            return tuple(f"{self.name}[{rank}]" for rank in range(self.k))
        return (self.name,)

    @property
    def is_vector(self) -> bool:
        """Does the feature read as several numbers (keyed, or the last k)?"""
        return self.by is not None or self.aggregation == "last_k"

    @property
    def is_categorical(self) -> bool:
        """Is a value a position in ``vocabulary`` (first, last, last_k of a string)?"""
        return self.aggregation in ("first", "last", "last_k") and bool(self.vocabulary)

    @property
    def dtype(self) -> Literal["int64", "float64", "string"]:
        """The type of one value."""
        if self.aggregation in _INTEGERS:
            return "int64"
        return "string" if self.is_categorical else "float64"


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
        keys = () if isinstance(self.join_keys, str) else tuple(self.join_keys)
        msgspec.structs.force_setattr(self, "join_keys", keys)
        for word in (self.name, *keys):
            if not isinstance(word, str) or not word.isidentifier():
                raise DeclarationError(repr(word), "an entity's names must be identifiers")
        if not keys or len(set(keys)) != len(keys):
            raise DeclarationError(self.name, "an entity needs one or more different join keys")
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
        for field in ("session_gap", "ttl"):
            value = getattr(self, field)
            if value is not None and not isinstance(value, int):
                try:
                    msgspec.structs.force_setattr(self, field, microseconds(value))
                except ValueError as error:
                    raise DeclarationError(self.name, f"{field}: {error}") from None
            elif value is not None and (isinstance(value, bool) or value <= 0):
                raise DeclarationError(self.name, f"{field}: {value!r} is not a positive duration")
        if isinstance(self.features, Feature):
            raise DeclarationError(self.name, "features must be a sequence of features")
        features = tuple(self.features)
        msgspec.structs.force_setattr(self, "features", features)
        if not features:
            raise DeclarationError(self.name, "a view needs at least one feature")
        seen: dict[str, Feature] = {}
        for feature in features:
            where = f"{self.name}:{feature.name}"
            if feature.name in seen:
                raise DeclarationError(where, "the name stands twice in the view")
            _check_columns(where, feature, self.source)
            _check_ratio(where, feature, seen)
            seen[feature.name] = feature

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
        wants_string = bool(feature.vocabulary) and feature.by is None
        if schema.is_numeric(feature.of) == wants_string:
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
            _check_types(where, feature.vocabulary, schema)
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


def _check_ratio(where: str, feature: Feature, seen: dict[str, Feature]) -> None:
    for name in (feature.numerator, feature.denominator):
        if name is None:
            continue
        if name not in seen:
            raise DeclarationError(where, f"ratio of {name!r}, which must be declared before it")
        other = seen[name]
        if other.is_vector or other.dtype == "string":
            raise DeclarationError(where, f"ratio of {name!r}, which is not one number")


def check_feature(feature: Feature) -> Feature:
    """Check what a feature says by itself; return it.

    Raises
    ------
    DeclarationError
        Naming the feature and the reason.
    """
    name, kind = feature.name, feature.aggregation
    window = feature.window
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("__"):
        raise DeclarationError(repr(name), "a feature's name must be an identifier")
    if kind in _NEEDS_OF and feature.of is None:
        raise DeclarationError(name, f"{kind} needs `of`, the property that it aggregates")
    if feature.where is not None and not isinstance(feature.where, Predicate):
        raise DeclarationError(
            name, f"where must be a filter such as event.type == 'cart', not {feature.where!r}"
        )
    if kind == "evidence" and feature.where is None:
        raise DeclarationError(name, "evidence needs `where`, the signal that it counts")
    if kind in _NEEDS_OF and not isinstance(feature.of, str):
        raise DeclarationError(name, f"of={feature.of!r} is not the name of a property")
    if feature.vocabulary and feature.by is None and not _reads_words(kind):
        raise DeclarationError(name, f"a vocabulary means nothing to {kind} without `by`")
    if isinstance(feature.of, float) and not -1e300 < feature.of < 1e300:
        raise DeclarationError(name, f"of={feature.of} is not a finite number")
    if feature.by is not None and kind in ("distinct", "last_k", "ratio"):
        raise DeclarationError(name, f"{kind} cannot be keyed `by`")
    needs_vocabulary = feature.by is not None or kind == "distinct"
    if needs_vocabulary and not feature.vocabulary:
        raise DeclarationError(name, "`by` and distinct need a bounded `vocabulary`")
    if len(set(feature.vocabulary)) != len(feature.vocabulary) or not all(
        isinstance(word, str) for word in feature.vocabulary
    ):
        raise DeclarationError(name, "the vocabulary must be distinct strings")
    if len(feature.vocabulary) > MAX_VOCABULARY:
        raise DeclarationError(name, f"a vocabulary has at most {MAX_VOCABULARY} words")
    if (window.kind == "decay") != (kind == "decayed"):
        raise DeclarationError(name, "a half-life belongs to decayed features, and only to them")
    if window.kind == "sliding":
        tiles, rest = divmod(window.width, window.hop)
        if rest or not 1 <= tiles <= MAX_TILES:
            raise DeclarationError(
                name, f"the hop must divide the window into 1 to {MAX_TILES} tiles"
            )
    if kind == "last_k" and not (isinstance(feature.k, int) and 1 <= feature.k <= MAX_K):
        raise DeclarationError(name, f"k must be 1 to {MAX_K}, not {feature.k!r}")
    return feature
