"""What is appended to a channel's outbound stream: what is to be delivered, to whom."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from .record import Record, Value
from .strategy import Strategy

Worth = float | dict[str, float] | None
Told = tuple[str, int, float, float, dict[str, Value], Worth]


class OutboundOffer(msgspec.Struct, frozen=True, omit_defaults=True):
    """An action that is to be delivered."""

    action: str
    rank: Annotated[int, Meta(ge=0, description="0 is the first")]
    score: float
    propensity: Annotated[
        float, Meta(description="how likely it was to be chosen at its rank, given those before")
    ]
    content: Annotated[dict[str, Value], Meta(description="as the strategy has it")]
    value: Annotated[Worth, Meta(description="what a full response is worth")] = None


class OutboundMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry of a channel's outbound stream: what is to be delivered, to whom."""

    decision_id: str
    at: int
    customer: str
    channel: str
    offers: list[OutboundOffer]
    trigger: Annotated[str, Meta(description="why we decided; none: an app asked")] = ""
    cause: Annotated[str, Meta(description="the event, or the decision whose delivery failed")] = ""


def outbound_message(strategy: Strategy, record: Record) -> bytes | None:
    """Return a decision as it goes out, JSON; None: nothing does.

    Parameters
    ----------
    strategy
        Of the channels and the contents; an action that it does not have goes out without.
    record
        Nothing goes out if it offers nothing, or the customer is there.

    Examples
    --------
    >>> from .record import Offer
    >>> from .strategy import Action, Channel, Objective
    >>> strategy = Strategy(
    ...     name="tea", objectives={"sale": Objective(response="accept")},
    ...     channels={"mail": Channel(direction="outbound")},
    ...     actions={"green": Action(channels=["mail"], content={"title": "Tea"})},
    ... )
    >>> offer = Offer(action="green", score=0.5, propensity=1.0, draw=0.25)
    >>> record = Record(
    ...     id="d", customer="ann", at=7, channel="mail", strategy="5e", offers=[offer]
    ... )
    >>> sent = msgspec.json.decode(outbound_message(strategy, record))
    >>> sent["decision_id"], sent["offers"][0]["content"]
    ('d', {'title': 'Tea'})
    """
    channel = strategy.channels.get(record.channel)
    if channel is None or channel.direction != "outbound" or not record.offers:
        return None
    offers = [OutboundOffer(*told) for told in told_of(strategy, record)]
    message = OutboundMessage(
        record.id, record.at, record.customer, record.channel, offers, record.trigger, record.cause
    )
    return msgspec.json.encode(message)


def told_of(strategy: Strategy, record: Record) -> list[Told]:
    """Return what is told of each offer of a decision: the fields of `OutboundOffer`.

    An action that the strategy does not have, as it may be gone, is told without its content.
    """
    told: list[Told] = []
    for rank, offer in enumerate(record.offers):
        action = strategy.actions.get(offer.action)
        content, value = ({}, None) if action is None else (action.content, action.value)
        told.append((offer.action, rank, offer.score, offer.propensity, content, value))
    return told
