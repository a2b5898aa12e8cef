"""Checks of features of other features: that these are there, come first, and are numbers."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .derived import check_expression, operands, split_ref
from .errors import DeclarationError
from .kinds import Feature


def check_sources(where: str, feature: Feature, seen: Mapping[str, Feature], view: str) -> Feature:
    """Check that a feature's sources in its own view come before it; return the whole feature.

    Parameters
    ----------
    where
        What the feature is called in errors.
    feature
        Any feature.
    seen
        The features of the view that are declared before it.
    view
        The name of the view.

    Raises
    ------
    DeclarationError
        Naming the feature and what it cannot read.
    """
    for name in (feature.numerator, feature.denominator):
        if name is None:
            continue
        if name not in seen:
            raise DeclarationError(where, f"ratio of {name!r}, which must be declared before it")
        other = seen[name]
        if other.is_vector or other.dtype == "string":
            raise DeclarationError(where, f"ratio of {name!r}, which is not one number")
    if feature.aggregation == "derived":
        check_expression(where, feature.expression)
        assert feature.expression is not None
        for ref in operands(feature.expression):
            other_view, name, _ = split_ref(ref)
            if other_view is None or other_view == view:
                check_operand(where, ref, seen.get(name))
    if feature.aggregation == "top_k":
        return _with_words(where, feature, seen)
    return feature


def check_operand(where: str, ref: str, source: Feature | None) -> None:
    """Check that what a formula reads is one number.

    Raises
    ------
    DeclarationError
        Naming the feature and what it reads.
    """
    _, name, key = split_ref(ref)
    if source is None:
        raise DeclarationError(where, f"reads {ref!r}, which must be declared before it")
    if source.dtype == "string":
        raise DeclarationError(where, f"reads {ref!r}, which is a string, not a number")
    if key is None and source.is_vector:
        example = f'feature["{ref}[{source.columns[0][len(name) + 1 : -1]}]"]'
        raise DeclarationError(where, f"reads {ref!r}, a vector: name an element, as {example}")
    if key is not None and (not source.is_vector or f"{name}[{key}]" not in source.columns):
        raise DeclarationError(where, f"reads {ref!r}, and {name!r} has no such element")


def _with_words(where: str, feature: Feature, seen: Mapping[str, Feature]) -> Feature:
    """Return a top_k with the words of the feature that it ranks."""
    (name,) = operands(feature.expression) if feature.expression is not None else ("",)
    source = seen.get(name)
    if source is None:
        raise DeclarationError(where, f"top_k of {name!r}, which must be declared before it")
    if source.by is None or source.dtype == "string":
        raise DeclarationError(where, f"top_k of {name!r}, which has not one number for each word")
    words = source.key_words
    if feature.vocabulary not in ((), words):
        raise DeclarationError(where, f"top_k has the words of {name!r}, and no others")
    if feature.k > len(words):
        raise DeclarationError(
            where, f"top_k of {name!r}: k={feature.k}, but there are {len(words)} words"
        )
    return msgspec.structs.replace(feature, vocabulary=words)
