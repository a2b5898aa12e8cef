"""What attribution is given and what follows from it, and how an offer's state is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from .goals import Fields, Goal
from .loop_events import LoopEvent
from .open_decisions import Came, Credit, Open, Refused, Told
from .record import FAIL, UNDELIVERED


class Seen(msgspec.Struct, frozen=True):
    """An accepted event of a type that an objective names.

    Attributes
    ----------
    event_id, at, customer, position
        Of the event.
    fields
        Type, channel and properties by name.
    """

    event_id: str
    at: int
    customer: str
    position: int
    fields: Fields


@dataclass
class Counts:
    """What became of the loop's events; `learned` are credits that were not told before."""

    decisions: int = 0
    outcomes: int = 0
    duplicates: int = 0
    refused: int = 0
    responses: int = 0
    silences: int = 0
    repaired: int = 0
    withdrawn: int = 0


class Earned(NamedTuple):
    """How what is known of an offer's reward changed.

    Attributes
    ----------
    objective, policy
        For what, and how the decision's offers were chosen.
    reward
        More than was known before; negative, if it was corrected downwards or withdrawn.
    offers
        1: nothing was known before; -1: nothing is now; else 0.
    """

    objective: str
    policy: str
    reward: float
    offers: int


@dataclass
class Attributed:
    """What follows from some events.

    Attributes
    ----------
    credits, refused
        In order.
    accepted
        The loop's events that are neither refused nor duplicates.
    earned
        By the credits.
    """

    credits: list[Credit] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    accepted: list[LoopEvent] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    earned: list[Earned] = field(default_factory=list)


def failed(decision: Open) -> set[int]:
    """Return which offers never reached the customer."""
    return {
        came.offer
        for place, came in enumerate(decision.came)
        if came.response in (FAIL, UNDELIVERED) and came.root == place
    }


def credited(decision: Open, rank: int, goal: str, event: Seen, worth: float) -> bool:
    """Keep an event that a decision is credited with, if it is the earliest so far."""
    for came in decision.came:
        if not came.response and came.offer == rank and goal in came.counts:
            if (came.at, came.position) <= (event.at, event.position):
                return False
            came.id, came.at, came.position = event.event_id, event.at, event.position
            came.counts[goal] = worth
            return True
    root = len(decision.came)
    decision.came.append(
        Came(event.event_id, event.at, event.position, rank, "", {goal: worth}, root)
    )
    return True


def add(out: Attributed, goal: Goal, decision: Open, rank: int, before: Told | None) -> None:
    """Add what an objective is told now of an offer, and was told before."""
    now = decision.offers[rank].told[goal.name]
    out.credits.append(_credit_of(goal, decision, rank, now))
    _count(out.counts, before, now)
    (reward, known), (former, was_known) = _earned(now), _earned(before)
    out.earned.append(Earned(goal.name, decision.policy, reward - former, known - was_known))


def _credit_of(goal: Goal, decision: Open, rank: int, told: Told) -> Credit:
    offer = decision.offers[rank]
    return Credit(
        goal.name, f"{decision.id}/{rank}", told.time, told.position, decision.customer,
        offer.action, told.reward, told.silence, told.withdrawn, told.revision, decision.inputs,
        offer.features, decision.member, offer.chances.get(goal.name),
    )  # fmt: skip


def _earned(told: Told | None) -> tuple[float, int]:
    """Return the reward, and of how many offers it is."""
    return (0.0, 0) if told is None or told.withdrawn else (told.reward, 1)


def _count(counts: Counts, before: Told | None, now: Told) -> None:
    if now.withdrawn:
        counts.withdrawn += 1
    elif now.silence:
        counts.silences += 1
    elif before is not None and not before.withdrawn:
        counts.repaired += 1
    else:
        counts.responses += 1
