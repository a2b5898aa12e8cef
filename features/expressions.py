"""Filters over the columns of an event, written as Python comparisons.

`event` stands for the event: ``event.type == "cart"``, ``event.value > 10``,
``(event.type == "search") & (event.results == 0)``. Two-valued logic: a comparison with a
missing property is false, whatever the operator; ``~`` inverts.

>>> (event.type == "search") & (event.results == 0)
And(left=Compare(column='type', operator='==', value='search'), \
right=Compare(column='results', operator='==', value=0))
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from typing import Literal, NoReturn, TypeAlias, cast

import msgspec

_GREATEST = sys.float_info.max

Scalar = str | float | int | bool
Operator = Literal["==", "!=", "<", "<=", ">", ">="]


class Predicate(msgspec.Struct, frozen=True, tag=True):
    """A filter; combine with ``&``, ``|`` and ``~``."""

    def __and__(self, other: AnyPredicate) -> And:
        return And(left=cast(AnyPredicate, self), right=_filter(other))

    def __or__(self, other: AnyPredicate) -> Or:
        return Or(left=cast(AnyPredicate, self), right=_filter(other))

    def __invert__(self) -> Not:
        return Not(operand=cast(AnyPredicate, self))

    def __bool__(self) -> bool:
        raise TypeError("combine filters with & | ~ and parentheses, not with and/or/not/in")


class Compare(Predicate, frozen=True, tag=True):
    """``column <operator> value``."""

    column: str
    operator: Operator
    value: Scalar


class IsIn(Predicate, frozen=True, tag=True):
    """``column`` is one of ``values`` (strings)."""

    column: str
    values: tuple[str, ...]


class Present(Predicate, frozen=True, tag=True):
    """The event carries ``column``."""

    column: str


class And(Predicate, frozen=True, tag=True):
    """Both hold."""

    left: AnyPredicate
    right: AnyPredicate


class Or(Predicate, frozen=True, tag=True):
    """At least one holds."""

    left: AnyPredicate
    right: AnyPredicate


class Not(Predicate, frozen=True, tag=True):
    """The operand does not hold."""

    operand: AnyPredicate


AnyPredicate: TypeAlias = Compare | IsIn | Present | And | Or | Not


def _filter(other: object) -> AnyPredicate:
    if isinstance(other, Column):
        other._refuse()
    if not isinstance(other, Predicate):
        raise TypeError(f"{other!r} is no filter, compare a column with it")
    return cast(AnyPredicate, other)


class Column:
    """One column of the event: ``type``, ``channel`` or a declared property."""

    __slots__ = ("name",)
    __hash__ = None  # type: ignore[assignment]  # == makes a filter, so a column has no hash

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"event.{self.name}"

    def __eq__(self, value: object) -> Compare:  # type: ignore[override]  # a filter, not a bool
        return self._compare("==", value)

    def __ne__(self, value: object) -> Compare:  # type: ignore[override]  # a filter, not a bool
        return self._compare("!=", value)

    def __lt__(self, value: float) -> Compare:
        return self._compare("<", value)

    def __le__(self, value: float) -> Compare:
        return self._compare("<=", value)

    def __gt__(self, value: float) -> Compare:
        return self._compare(">", value)

    def __ge__(self, value: float) -> Compare:
        return self._compare(">=", value)

    def __and__(self, other: object) -> NoReturn:
        self._refuse()

    def __invert__(self) -> NoReturn:
        self._refuse()

    def __bool__(self) -> NoReturn:
        self._refuse()

    __or__ = __and__

    def isin(self, values: Collection[str]) -> IsIn:
        """Is the column one of these strings?"""
        if isinstance(values, str) or not all(isinstance(value, str) for value in values):
            raise TypeError(f"{self!r}.isin needs a sequence of strings, not {values!r}")
        # A set's own order differs from process to process, and so would the id of the schema.
        return IsIn(
            self.name, tuple(sorted(values) if isinstance(values, set | frozenset) else values)
        )

    def present(self) -> Present:
        """Does the event carry the column?"""
        return Present(self.name)

    def _refuse(self) -> NoReturn:
        raise TypeError(f"{self!r} is no filter, compare it: ({self!r} == True)")

    def _compare(self, operator: Operator, value: object) -> Compare:
        if not isinstance(value, str | float | int | bool):
            raise TypeError(f"cannot compare {self!r} with {value!r}")
        if isinstance(value, int | float) and not -_GREATEST <= value <= _GREATEST:
            shown = value if isinstance(value, float) else "an integer that no float64 holds"
            raise ValueError(f"{self!r} compared with {shown}, which no property can be")
        return Compare(self.name, operator, value)


class _Event:
    """Attribute or item access gives a `Column`."""

    def __getattr__(self, name: str) -> Column:
        if name.startswith("__"):
            raise AttributeError(name)
        return Column(name)

    def __getitem__(self, name: str) -> Column:
        return Column(name)


event = _Event()
"""The event in a filter."""


def depth(predicate: Predicate) -> int:
    """Return how many predicates lie one inside another, without going as deep itself.

    >>> depth((event.type == "cart") & ~(event.value > 10))
    3
    """
    deepest, level = 0, [predicate]
    while level:
        deepest += 1
        inner: list[Predicate] = []
        for one in level:
            match one:
                case And(left=left, right=right) | Or(left=left, right=right):
                    inner += (left, right)
                case Not(operand=operand):
                    inner.append(operand)
        level = inner
    return deepest


def leaves(predicate: Predicate) -> Iterator[Compare | IsIn | Present]:
    """Yield the comparisons that a filter is made of, from left to right."""
    match predicate:
        case And(left=left, right=right) | Or(left=left, right=right):
            yield from leaves(left)
            yield from leaves(right)
        case Not(operand=operand):
            yield from leaves(operand)
        case Compare() | IsIn() | Present():
            yield predicate
