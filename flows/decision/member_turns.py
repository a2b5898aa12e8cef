"""Whose turn a decision is, where a fleet decides: and those of one member made together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from .asked import Asked
from .models import Models

_T = TypeVar("_T")


class Turn(NamedTuple):
    """Whose models decide, and the name that is logged: empty where there is no fleet."""

    models: Models
    member: str


def turn_of(models: Models, customer: str, at: int) -> Turn:
    """Return the turn of a customer, who is not in the control group, at a time."""
    chosen = models.of(customer, at)
    return Turn(chosen, chosen.member)


def shares(turns: Sequence[Turn], asked: Asked) -> Iterator[tuple[Models, Sequence[int], Asked]]:
    """Return some decisions by whose models make them: their places, and what is asked."""
    places: dict[int, list[int]] = {}
    for i, turn in enumerate(turns):
        places.setdefault(id(turn.models), []).append(i)
    for own in places.values():
        some = asked if len(own) == len(turns) else asked.at_places(own)
        yield turns[own[0]].models, own, some


def in_order(parts: Sequence[tuple[Sequence[int], Sequence[_T]]]) -> list[_T]:
    """Return what was made of each share, in the order that was asked.

    Examples
    --------
    >>> in_order([([0, 2], ["a", "c"]), ([1], ["b"])])
    ['a', 'b', 'c']
    """
    if len(parts) == 1:
        return list(parts[0][1])
    found = {i: one for places, made in parts for i, one in zip(places, made, strict=True)}
    return [found[i] for i in range(len(found))]
