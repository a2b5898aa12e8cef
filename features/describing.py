"""Declarations in words, and what changed between two of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from .catalog import Catalog
from .declaration import Feature, FeatureView
from .durations import describe
from .expressions import And, AnyPredicate, Compare, IsIn, Not, Or, Present
from .kinds import FROM_FEATURES

Change = Literal["added", "removed", "changed", "reworded"]

_TEXTS = frozenset({"description", "owner", "tags"})
_SHOWN_WORDS = 6


def filter_text(predicate: AnyPredicate) -> str:
    """Write a filter as it is declared.

    >>> from nextbest.features import event
    >>> filter_text((event.type == "cart") & ~(event.value > 10) | event.brand.present())
    "event.type == 'cart' & ~(event.value > 10) | event.brand.present()"
    """
    match predicate:
        case And(left=left, right=right):
            return " & ".join(_operand(side, inside_and=True) for side in (left, right))
        case Or(left=left, right=right):
            return " | ".join(_operand(side, inside_and=False) for side in (left, right))
        case Not(operand=Present(column=column)):
            return f"~event.{column}.present()"
        case Not(operand=operand):
            return f"~({filter_text(operand)})"
        case Present(column=column):
            return f"event.{column}.present()"
        case IsIn(column=column, values=values):
            return f"event.{column}.isin({list(values)})"
        case Compare(column=column, operator=operator, value=value):
            return f"event.{column} {operator} {value!r}"


def _operand(predicate: AnyPredicate, *, inside_and: bool) -> str:
    text = filter_text(predicate)
    return f"({text})" if inside_and and isinstance(predicate, Or) else text


def facts(view: FeatureView, feature: Feature) -> dict[str, str]:
    """Return all that a feature's declaration says, name by name; what it leaves out is left out.

    Examples
    --------
    >>> from nextbest.features import EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> view = FeatureView(name="v", source=shop, features=[agg.count("n", window="1h")])
    >>> facts(view, view.features[0])["window"]
    '1h (hop 5m)'
    """
    found = {
        "entity": f"{view.entity.name} ({', '.join(view.entity.join_keys)})",
        "aggregation": feature.aggregation,
        "type": _type(feature),
    }
    for name in msgspec.structs.fields(feature):
        value = getattr(feature, name.name)
        if name.name in found or name.name in ("name", "tags") or value in (None, (), 0, ""):
            continue
        found[name.name] = _text(value)
    if "session" in feature.window.kind:
        found["session gap"] = describe(view.gap_us)
    if view.ttl_us:
        found["ttl"] = describe(view.ttl_us)
    if view.owner and "owner" not in found:
        found["owner"] = view.owner
    tags = {**view.tags, **feature.tags}
    if tags:
        found["tags"] = ", ".join(f"{tag}={value}" for tag, value in tags.items())
    return found


class Difference(NamedTuple):
    """What became of one feature, or of what a catalog's features share.

    ``added`` and ``removed`` speak for themselves; ``changed``: the meaning is another, so that
    its history must be computed anew; ``reworded``: texts, tags or the time to live.
    """

    change: Change
    feature: str
    details: tuple[str, ...] = ()


def differences(old: Catalog, new: Catalog) -> list[Difference]:
    """Compare two catalogs feature by feature, in the order of the new one; removed ones last.

    What concerns all rows of a catalog comes behind them, under the catalog's name.

    Examples
    --------
    >>> from nextbest.features import EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> def made(window):
    ...     view = FeatureView(name="v", source=shop, features=[agg.count("n", window=window)])
    ...     return Catalog(name="demo", views=[view])
    >>> differences(made("1h"), made("2h"))
    [Difference(change='changed', feature='v:n', details=('window: 1h (hop 5m) → 2h (hop 10m)',))]
    """
    before = {f"{view.name}:{f.name}": (view, f) for view, f in old.features()}
    after = {f"{view.name}:{f.name}": (view, f) for view, f in new.features()}
    shared = tuple(_shared(old, new))
    return [
        *(found for name in after for found in _compared(name, before.get(name), after[name])),
        *(Difference("removed", name) for name in before if name not in after),
        *([Difference("changed", new.name, shared)] if shared else []),
    ]


def _shared(old: Catalog, new: Catalog) -> Iterator[str]:
    """Say what makes other rows although no feature says so."""
    if old.lateness_us != new.lateness_us:
        yield f"lateness: {describe(old.lateness_us)} → {describe(new.lateness_us)}"
    before = {view.name: view for view in old.views}
    for view in new.views:
        gap = before.get(view.name, view).gap_us
        if gap != view.gap_us:
            yield f"session gap of {view.name}: {describe(gap)} → {describe(view.gap_us)}"
    for entity in new.entities:
        was, now = _kept(old, entity.name), _kept(new, entity.name)
        first = tuple(name for name in was if name in now)
        then = tuple(name for name in now if name in was)
        if first != then:
            yield f"order of {entity.name}: {_text(first)} → {_text(then)}"


def _kept(catalog: Catalog, entity: str) -> list[str]:
    """Name the features of an entity that its rows keep something for, in order."""
    return [
        f"{view.name}:{feature.name}"
        for view, feature in catalog.features()
        if view.entity.name == entity and feature.aggregation not in FROM_FEATURES
    ]


def _compared(
    name: str, before: tuple[FeatureView, Feature] | None, after: tuple[FeatureView, Feature]
) -> Iterator[Difference]:
    if before is None:
        yield Difference("added", name)
        return
    old, new = facts(*before), facts(*after)
    words = tuple(
        f"{word}: {old.get(word, 'none')} → {new.get(word, 'none')}"
        for word in dict.fromkeys((*old, *new))
        if old.get(word) != new.get(word)
    )
    # What is too long to be shown whole, and filters that read alike, may differ all the same.
    words += tuple(
        f"{field.name}: differs"
        for field in msgspec.structs.fields(after[1])
        if field.name not in _TEXTS
        and old.get(field.name) == new.get(field.name)
        and getattr(before[1], field.name) != getattr(after[1], field.name)
    )
    if words:
        own = {word.partition(":")[0] for word in words}
        yield Difference("reworded" if own <= {*_TEXTS, "ttl"} else "changed", name, words)


def _type(feature: Feature) -> str:
    if not feature.is_vector:
        return feature.dtype
    return f"{feature.dtype} x {len(feature.columns)}"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        shown = ", ".join(map(str, value[:_SHOWN_WORDS]))
        more = len(value) - _SHOWN_WORDS
        return f"{shown} and {more} more" if more > 0 else shown
    if isinstance(value, AnyPredicate):
        return filter_text(value)
    return str(value)
