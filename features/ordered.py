"""Sequences in which the order means something: a set is refused where one is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from .errors import DeclarationError

_T = TypeVar("_T")


def ordered(where: str, name: str, given: Iterable[_T]) -> tuple[_T, ...]:
    """Return what was given, in its order.

    Raises
    ------
    DeclarationError
        If it is a set: its order, and so the meaning of a row, would differ from process to
        process.

    Examples
    --------
    >>> ordered("v:f", "vocabulary", ["shoes", "hats"])
    ('shoes', 'hats')
    >>> ordered("v:f", "vocabulary", {"shoes"})
    Traceback (most recent call last):
        ...
    nextbest.features.errors.DeclarationError: v:f: vocabulary: a set has no order: give a list
    """
    if isinstance(given, set | frozenset):
        raise DeclarationError(where, f"{name}: a set has no order: give a list")
    return tuple(given)
