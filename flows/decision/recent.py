"""A customer's newest decisions and what came of them, as the store keeps them for a glance.

One sorted set a customer, by the decisions' times: members say what was decided, what was answered
to it, and what objectives were told. They are facts that never change, so that writing them again
changes nothing, and of many the newest decisions' stay. The archive has all, for ever; this is
what somebody who talks with the customer is shown at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from .errors import RequestError
from .ids import parse_id
from .record import Record, Response

if TYPE_CHECKING:  # these bring Arrow, which the service does without
    from .loop_events import LoopEvent
    from .open_decisions import Credit

MOST = 128
"""Members that a customer has at most."""
KEPT_SECONDS = 30 * 86_400
"""For how long, from the last one on."""


class Decided(msgspec.Struct, frozen=True, tag="d", array_like=True):
    """A decision."""

    id: str
    at: int
    channel: str
    actions: list[str]
    control: bool = False
    fallback: bool = False
    trigger: str = ""


class Responded(msgspec.Struct, frozen=True, tag="o", array_like=True):
    """An outcome: whose decision's, its own id, when, what, of which offer."""

    decision: str
    id: str
    at: int
    response: str
    action: str | None


class Told(msgspec.Struct, frozen=True, tag="c", array_like=True):
    """What an objective was told of an offer; the highest revision counts."""

    decision: str
    rank: int
    objective: str
    revision: int
    at: int
    reward: float
    silence: bool
    withdrawn: bool


Member = Decided | Responded | Told

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Member] = msgspec.json.Decoder(Member)


def of_events(events: Iterable[LoopEvent]) -> Iterator[tuple[str, Member]]:
    """Yield customers and what is to be kept of their decisions and outcomes."""
    for event in events:
        own = event.own
        if isinstance(own, Record):
            actions = [offer.action for offer in own.offers]
            yield (
                event.customer,
                Decided(
                    own.id,
                    own.at,
                    own.channel,
                    actions,
                    own.control,
                    bool(own.fallback),
                    own.trigger,
                ),
            )
        elif isinstance(own, Response):
            yield (
                event.customer,
                Responded(own.decision_id, event.event_id, event.at, own.response, own.action),
            )


def of_credits(told: Iterable[Credit]) -> Iterator[tuple[str, Member]]:
    """Yield customers and what is to be kept of credits."""
    for credit in told:
        if not credit.customer:
            continue  # an order is no customer's
        decision, _, rank = credit.id.rpartition("/")
        yield credit.customer, Told(
            decision, int(rank), credit.objective, credit.revision, credit.time, credit.reward,
            credit.silence, credit.withdrawn,
        )  # fmt: skip


def additions(found: Iterable[tuple[str, Member]]) -> dict[str, list[bytes]]:
    """Return by customer the scores and members to add, as `ZADD` takes them."""
    added: dict[str, list[bytes]] = {}
    for customer, member in found:
        try:
            at = parse_id(member.id if isinstance(member, Decided) else member.decision).at
        except RequestError:
            continue  # an id that somebody else made says no time
        added.setdefault(customer, []).extend((b"%d" % at, _ENCODER.encode(member)))
    return added


def members(values: Iterable[bytes]) -> list[Member]:
    """Return the members of a set, in its order; what cannot be read is left out."""
    found = []
    for value in values:
        try:
            found.append(_DECODER.decode(value))
        except msgspec.DecodeError:
            continue
    return found
