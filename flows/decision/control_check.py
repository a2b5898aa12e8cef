"""A log against its own truth: what its control group earned, and what the rest foretells of it.

Whether a customer is in the control group is a matter of their id alone. So what the decisions of
all others say of the policy that the group has, by their propensities, is to be what the group
really earned. Where it is not, propensities or rewards are not what they seem, and what the log
says of any other policy is as doubtful.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from ...learners.off_policy import Sample, overlap, snips
from ...learners.policies import ControlGroup
from .record import Record
from .strategy import Strategy

LEAST = 30
"""Decisions of either part that a check needs."""
ERRORS = 4.0
"""How many standard errors the two may be apart."""


class Check(NamedTuple):
    """What the control group says of a log.

    Attributes
    ----------
    earned, error, decisions
        By the control group: the mean, its standard error, and from how many.
    foretold, foretold_error, effective
        By the rest of the log of the same policy, and how many decisions of it they are worth.
    others
        What the rest of the log earned.
    said
        ``agrees``, ``differs``, or ``too few`` to say.
    """

    earned: float
    error: float
    decisions: int
    foretold: float
    foretold_error: float
    effective: float
    others: float
    said: Literal["agrees", "differs", "too few"]


def chance_by_lot(record: Record, strategy: Strategy) -> float:
    """Return the chance that the control group's policy chooses what was offered first.

    Parameters
    ----------
    record
        A decision with offers, the first of which was eligible.
    strategy
        The version that decided.
    """
    control = strategy.control
    group = ControlGroup(control.share, control.salt or strategy.name, control.actions)
    chances = np.empty(len(record.eligible))
    group.write(record.eligible, np.ones(len(chances), np.bool_), chances)
    return float(chances[record.eligible.index(record.offers[0].action)])


class ControlCheck:
    """Takes in decisions, then compares."""

    def __init__(self) -> None:
        self._group: list[float] = []
        self._rest: list[tuple[float, float, float]] = []

    def take(self, record: Record, strategy: Strategy, worth: float) -> None:
        """Take in a decision that the version ``strategy`` made, and what it was worth."""
        if not strategy.control.share > 0.0:
            return
        if record.control:
            self._group.append(worth)
        else:
            by_lot = chance_by_lot(record, strategy)
            self._rest.append((worth, record.offers[0].propensity, by_lot))

    def finish(self) -> Check | None:
        """Compare; None: there was no control group."""
        n = len(self._group)
        if not n or not self._rest:
            return None
        group = np.array(self._group)
        worths, logged, by_lot = np.array(self._rest).T
        sample = Sample(worths, logged, by_lot)
        effective = overlap(sample).effective
        error = float(group.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
        if n < LEAST or effective < LEAST:
            return Check(
                float(group.mean()), error, n, math.nan, math.inf, effective,
                float(worths.mean()), "too few",
            )  # fmt: skip
        found = snips(sample)
        apart = abs(found.value - float(group.mean()))
        allowed = ERRORS * math.hypot(error, found.standard_error)
        return Check(
            float(group.mean()), error, n, found.value, found.standard_error, effective,
            float(worths.mean()), "agrees" if apart <= allowed else "differs",
        )  # fmt: skip
