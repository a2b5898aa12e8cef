"""What attribution is given and what follows from it, and how an offer's state is read."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from .goals import Fields, Goal
from .loop_events import LoopEvent
from .open_decisions import FAIL, Came, Credit, Open, Refused, Told


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


@dataclass
class Attributed:
    """What follows from some events.

    Attributes
    ----------
    credits, refused
        In order.
    accepted
        The loop's events that are neither refused nor duplicates.
    """

    credits: list[Credit] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    accepted: list[LoopEvent] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)


def failed(decision: Open) -> set[int]:
    """Return which offers never reached the customer."""
    return {
        came.offer
        for place, came in enumerate(decision.came)
        if came.response == FAIL and came.root == place
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


def credit_of(goal: Goal, decision: Open, rank: int, told: Told) -> Credit:
    """Return what an objective is to learn of an offer."""
    offer = decision.offers[rank]
    return Credit(
        goal.name, f"{decision.id}/{rank}", told.time, told.position, decision.customer,
        offer.action, told.reward, told.silence, told.withdrawn, told.revision, decision.inputs,
        offer.features,
    )  # fmt: skip


def count(counts: Counts, before: Told | None, now: Told) -> None:
    """Count what an objective is told, and was told before."""
    if now.withdrawn:
        counts.withdrawn += 1
    elif now.silence:
        counts.silences += 1
    elif before is not None and not before.withdrawn:
        counts.repaired += 1
    else:
        counts.responses += 1
