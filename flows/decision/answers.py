"""What is answered to many customers, in columns: what a dry run needs, and no more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple, Self


class Answers(NamedTuple):
    """The answers to n customers: what `Engine.decide_many` says of them, but for the records.

    Attributes
    ----------
    actions
        The names of the strategy's actions.
    sizes
        How many offers each answer has.
    places, scores, propensities
        Of all offers, one answer after the other: which action, and as of `Offer`.
    control, explored
        Of each answer: whether the customer is in the control group; else, whether an offer had not
        the best score of those that were left for its rank.
    """

    actions: tuple[str, ...]
    sizes: list[int]
    places: list[int]
    scores: list[float]
    propensities: list[float]
    control: list[bool]
    explored: list[bool]

    @classmethod
    def joined(cls, actions: tuple[str, ...], parts: Iterable[Self]) -> Self:
        """Return the answers of several parts in one.

        Examples
        --------
        >>> one = Answers(("tea",), [1], [0], [0.5], [1.0], [False], [False])
        >>> Answers.joined(("tea",), [one, one]).offers()
        [[('tea', 0.5, 1.0)], [('tea', 0.5, 1.0)]]
        """
        found = cls(actions, [], [], [], [], [], [])
        for part in parts:
            for mine, own in zip(found[1:], part[1:], strict=True):
                mine += own  # type: ignore[operator]  # all are lists
        return found

    @classmethod
    def scattered(
        cls, actions: tuple[str, ...], parts: Iterable[tuple[Sequence[int], Self]]
    ) -> Self:
        """Return the answers of several parts in one, each answer at the place that it has there.

        Examples
        --------
        >>> tea = Answers(("tea", "mate"), [1], [0], [0.5], [1.0], [False], [False])
        >>> mate = Answers(("tea", "mate"), [1], [1], [0.2], [1.0], [False], [True])
        >>> Answers.scattered(("tea", "mate"), [([1], tea), ([0], mate)]).offers()
        [[('mate', 0.2, 1.0)], [('tea', 0.5, 1.0)]]
        """
        each: dict[int, Self] = {}
        for places, part in parts:
            ends = pairwise(accumulate(part.sizes, initial=0))
            for i, (place, (a, b)) in enumerate(zip(places, ends, strict=True)):
                each[place] = cls(
                    actions, [b - a], part.places[a:b], part.scores[a:b], part.propensities[a:b],
                    [part.control[i]], [part.explored[i]],
                )  # fmt: skip
        return cls.joined(actions, (each[place] for place in sorted(each)))

    def offers(self) -> list[list[tuple[str, float, float]]]:
        """Return each answer's actions, with their scores and propensities."""
        names = map(self.actions.__getitem__, self.places)
        every = list(zip(names, self.scores, self.propensities, strict=True))
        return [every[a:b] for a, b in pairwise(accumulate(self.sizes, initial=0))]
