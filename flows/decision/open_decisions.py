"""Decisions that wait for what comes of them, with what has come so far: plain data."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..telemetry.policies import UNKNOWN, policy_of
from .loop_events import LoopEvent
from .record import Record, Value
from .sharing import Sharing


class Came(msgspec.Struct, array_like=True):
    """An outcome or a credited event, as it counts for one offer.

    Attributes
    ----------
    id, at, position
        Of the event: where its example belongs.
    offer
        Which of the decision's offers.
    response
        Its word; empty for a credited event.
    counts
        By objective: its value.
    root
        Which of those that came this one is, or corrects.
    """

    id: str
    at: int
    position: int
    offer: int
    response: str
    counts: dict[str, float]
    root: int


class Told(msgspec.Struct, array_like=True):
    """The last that learning was told of an offer and an objective."""

    revision: int
    time: int
    position: int
    reward: float
    silence: bool
    withdrawn: bool


class Offered(msgspec.Struct, array_like=True):
    """An offer, its features, and by objective what was told of it, and, of a fleet, foretold.

    Attributes
    ----------
    tags
        What conditions read of its action, as the decision knew it; None: it did not say.
    """

    action: str
    features: list[float | None]
    told: dict[str, Told]
    chances: dict[str, float] = {}
    tags: dict[str, Value] | None = None


class Open(msgspec.Struct, array_like=True):
    """A decision.

    Attributes
    ----------
    id, position, at, customer
        As logged.
    learns
        Whether its offers are examples.
    inputs
        What the models saw.
    offers, came
        In order of rank; in order of the log.
    goals
        The keys of the objectives that it counts for: those that there were when it came.
    member
        Which member of a fleet decided; empty: none.
    policy
        How its offers were chosen: `telemetry.policies.policy_of`.
    """

    id: str
    position: int
    at: int
    customer: str
    learns: bool
    inputs: dict[str, Value]
    offers: list[Offered]
    came: list[Came]
    goals: list[str]
    member: str = ""
    policy: str = UNKNOWN


def opened(record: Record, position: int, goals: list[str], shared: Sharing) -> Open:
    """Return a decision of which nothing is known but its record.

    Parameters
    ----------
    record, position
        As logged.
    goals
        The keys of the objectives that there are.
    shared
        Among all that wait.
    """
    offers = [
        Offered(
            shared(o.action),
            list(o.features),
            {},
            dict(o.chances) if record.member else {},
            shared.tags(o.tags),
        )
        for o in record.offers
    ]
    inputs = {k: shared(v) if isinstance(v, str) else v for k, v in record.inputs.items()}
    return Open(
        record.id, position, record.at, shared(record.customer), not record.fallback, inputs,
        offers, [], goals, record.member, policy_of(record),
    )  # fmt: skip


class Credit(msgspec.Struct, frozen=True, array_like=True):
    """What an objective is to learn of an offer: it takes the place of all that was told before.

    Attributes
    ----------
    objective, id
        ``id`` is ``{decision's id}/{rank from 0}``.
    time, position
        Of the response; for silence when it was told, by the clock, and the decision's position.
    customer, action
        Who, and what was offered.
    reward
        In [0, 1].
    silence
        Whether nothing came until then.
    withdrawn
        Whether there is nothing to learn after all.
    revision
        How often something else was told before.
    inputs, features
        What the models saw; a feature without a value is None.
    member
        Which member of a fleet decided; empty: none.
    chance
        What it foretold of the reward; None: there is no fleet.
    """

    objective: str
    id: str
    time: int
    position: int
    customer: str
    action: str
    reward: float
    silence: bool
    withdrawn: bool
    revision: int
    inputs: dict[str, Value]
    features: list[float | None]
    member: str = ""
    chance: float | None = None


class Refused(msgspec.Struct, frozen=True):
    """An event of the loop that means nothing, and why."""

    event: LoopEvent
    reason: str
    path: str | None


Fate = Literal["accepted", "duplicate", "refused"]
