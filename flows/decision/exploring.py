"""Exploration of a strategy: which of the eligible actions is offered, by exact chances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...learners.kernels import arbitrate, squarecb
from ...learners.policies import Budget, ControlGroup, EpsilonGreedy, Greedy, Policy, SquareCB
from ...learners.policies.explorers import Explorer
from .ids import draw_of, seed_of
from .strategy import Exploration, Strategy

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_METHODS = {
    "squarecb": arbitrate.SQUARECB,
    "epsilon": arbitrate.EPSILON,
    "greedy": arbitrate.GREEDY,
}


class Pick(NamedTuple):
    """An action of an answer: its place, the exact chance of its choice, and the draw that chose.

    The chance is given the actions before it.
    """

    place: int
    propensity: float
    draw: float


class Exploring:
    """Chooses actions for the answers of one strategy; a function of its arguments alone.

    Scores are made relative to the best one's magnitude (`arbitrate.relative`), rank by rank, so
    that a strategy in cents explores as one in euros does. What SquareCB calls t is the number of
    outcomes that were learned, at least 1.

    Parameters
    ----------
    strategy
        Its name gives the seed of the draws; `exploration` and `control` the policy.
    """

    def __init__(self, strategy: Strategy) -> None:
        self.arms = tuple(strategy.actions)
        self.seed = seed_of(strategy.name)
        self.policy = _policy(strategy, self.seed)
        self._wanted = strategy.exploration
        self._method = _METHODS[self._wanted.method]
        self._known = -1, 0.0
        self._floor, self._share = self.policy.floor, self._wanted.budget
        group = self.policy.control
        names = () if group is None else group.fixed
        self.fixed: I64 = np.array([self.arms.index(n) for n in names if n in self.arms], np.int64)
        """Places of the arms that the control group gets, the first that is eligible."""

    @property
    def version(self) -> str:
        """Eight hexadecimal digits, which change with any setting."""
        return self.policy.version

    def control(self, customer: str) -> bool:
        """Return whether a customer is in the control group: always or never."""
        group = self.policy.control
        return group is not None and group.holds(customer)

    def controls(self, customers: Sequence[str]) -> list[bool]:
        """Return what `control` does, of each of many customers."""
        group = self.policy.control
        return [False] * len(customers) if group is None else group.holds_many(customers)

    def settings(self, clock: int) -> tuple[int, float, float, float, int]:
        """Return what `arbitrate.rank` takes: method, strength, floor, share and seed."""
        return self._method, self._strength(clock), self._floor, self._share, self.seed

    def choose(
        self,
        scores: F64,
        eligible: Bools,
        wanted: int,
        *,
        control: str | None,
        clock: int,
        decision_id: str,
    ) -> list[Pick]:
        """Choose up to ``wanted`` actions, rank by rank, none of them twice.

        Parameters
        ----------
        scores, eligible
            float64[K] and bool[K] of all actions.
        control
            The customer, if they are in the control group.
        clock
            How many outcomes were learned.
        """
        strength = self._strength(clock)
        relatives, chances = np.empty(len(scores)), np.empty(len(scores))
        left = eligible
        chosen: list[int] = []
        picks: list[Pick] = []
        for rank in range(wanted):
            if chosen:
                left = left.copy()
                left[chosen[-1]] = False
            draw = draw_of(self.seed, decision_id, rank)
            if control is not None:
                place = self._by_lot(left, draw, chances)
            else:
                place = arbitrate.pick(
                    scores, left, self._method, strength, self._floor, self._share, draw,
                    relatives, chances,
                )  # fmt: skip
            if place < 0:
                break
            chosen.append(place)
            picks.append(Pick(place, float(chances[place]), draw))
        return picks

    def propensities(self, scores: F64, eligible: Bools, *, control: str | None, clock: int) -> F64:
        """Return the probability that each action is the first of an answer, float64[K].

        All are 0 where none is eligible.

        Parameters
        ----------
        scores, eligible, control, clock
            As of `choose`.
        """
        relatives, chances = np.empty(len(scores)), np.zeros(len(scores))
        if control is not None:
            self._by_lot(eligible, 0.0, chances)
        else:
            arbitrate.pick(
                scores, eligible, self._method, self._strength(clock), self._floor, self._share,
                0.0, relatives, chances,
            )  # fmt: skip
        return chances

    def _strength(self, clock: int) -> float:
        wanted = self._wanted
        if wanted.method != "squarecb":
            return wanted.epsilon
        known, strength = self._known
        if known != clock:
            strength = float(wanted.gamma * max(clock, 1) ** wanted.exponent)
            self._known = clock, strength  # it changes with the models only
        return strength

    def _by_lot(self, left: Bools, draw: float, chances: F64) -> int:
        """Choose for a customer of the control group, as the policy does."""
        group = self.policy.control
        if group is None or not left.any():
            return -1
        group.write(self.arms, left, chances)
        return squarecb.sample(chances, draw)


def _policy(strategy: Strategy, seed: int) -> Policy:
    wanted, control = strategy.exploration, strategy.control
    group = None
    if control.share > 0.0:
        salt = control.salt or strategy.name
        group = ControlGroup(control.share, salt, control.actions)
    return Policy(
        _explorer(wanted),
        floor=wanted.floor,
        budget=Budget(wanted.budget) if wanted.budget < 1.0 else None,
        control=group,
        seed=seed,
    )


def _explorer(wanted: Exploration) -> Explorer:
    match wanted.method:
        case "squarecb":
            return SquareCB(wanted.gamma, wanted.exponent, scale=1.0)
        case "epsilon":
            return EpsilonGreedy(wanted.epsilon)
        case "greedy":
            return Greedy()
