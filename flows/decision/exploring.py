"""Exploration of a strategy: which of the eligible actions is offered, by exact chances."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...learners.base import Belief
from ...learners.kernels import arbitrate
from ...learners.policies import Budget, ControlGroup, EpsilonGreedy, Greedy, Policy, SquareCB
from ...learners.policies.explorers import Explorer
from .ids import draw_of, seed_of
from .strategy import Exploration, Strategy

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

Narrow = Callable[[list[int]], Bools]
"""From the actions that are offered already, in order, to those that may still be: bool[K]."""


class Pick(NamedTuple):
    """An action of an answer: its place, the exact chance of its choice, and the draw that chose.

    The chance is given the actions before it; `best` says whether no eligible one had a higher
    score.
    """

    place: int
    propensity: float
    draw: float
    best: bool


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
        self._none = np.zeros(len(self.arms))

    @property
    def version(self) -> str:
        """Eight hexadecimal digits, which change with any setting."""
        return self.policy.version

    def control(self, customer: str) -> bool:
        """Return whether a customer is in the control group: always or never."""
        group = self.policy.control
        return group is not None and group.holds(customer)

    def choose(
        self,
        scores: F64,
        eligible: Bools,
        wanted: int,
        *,
        customer: str,
        clock: int,
        decision_id: str,
        narrow: Narrow | None = None,
    ) -> list[Pick]:
        """Choose up to ``wanted`` actions, rank by rank, none of them twice.

        Parameters
        ----------
        scores, eligible
            float64[K] and bool[K] of all actions.
        clock
            How many outcomes were learned.
        narrow
            What may still be offered beside those that are chosen; None: all but them.
        """
        left = eligible
        chosen: list[int] = []
        picks: list[Pick] = []
        for rank in range(min(wanted, int(np.count_nonzero(eligible)))):
            if chosen:
                left = left.copy()
                left[chosen[-1]] = False
                if narrow is not None:
                    left &= narrow(chosen)
                if not left.any():
                    break
            relative = np.empty(len(scores))
            arbitrate.relative(scores, left, relative)
            draw = draw_of(self.seed, decision_id, rank)
            pull = self.policy.choose(
                Belief(relative, self._none, relative),
                left,
                max(clock, 1),
                customer=customer,
                arms=self.arms,
                draw=draw,
            )
            chosen.append(pull.arm)
            picks.append(Pick(pull.arm, pull.propensity, draw, bool(relative[pull.arm] == 1.0)))
        return picks


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


