"""What is kept of a decision: enough to make it again, to learn from it, and to say why.

A decision is an event of the log, of type ``decision``, and what came of it one of type
``outcome``. What is the loop's own is in one property, `FIELD`. These events are no interactions:
they are split off where the log is decoded, touch no session, and have an archive of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

DECISION, OUTCOME, ORDER = "decision", "outcome", "fleet-order"
"""The event types of the loop; an event schema declares none of them."""
FIELD = "nextbest"
"""The property of such an event that holds the loop's own data."""
FAIL, UNDELIVERED = "fail", "undelivered"
"""Responses of an offer that never reached the customer; after the first its channel is blocked."""
RESPONSES = ("deliver", FAIL, UNDELIVERED, "accept", "refuse", "convert")
"""What may be said of an offer to every strategy."""

Value = str | float | int | bool | None


class Offer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One action of an answer.

    Attributes
    ----------
    action
        Its name.
    score
        What it was ranked by: weighted, boosted, less its cost.
    propensity
        The exact probability that it was to be chosen at its rank, given those before it.
    draw
        The uniform number that chose.
    chances
        By objective: what the model foretold of a response, as a share of the objective's range.
    features
        The action's features as the models saw them.
    tags
        What the objectives' conditions read of the action, as it was then: what comes of an offer
        counts by it, whatever becomes of the action.
    """

    action: str
    score: float
    propensity: float
    draw: float
    chances: dict[str, float] = {}
    features: list[float | None] = []
    tags: dict[str, Value] = {}


class Served(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The customer's features as they were served.

    Attributes
    ----------
    position
        The log position of the row, -1: there was none.
    age_ms
        Of the row, -1 if unknown.
    values
        float64[columns], little-endian; NaN where there is no value.
    state
        uint8[columns], see `features.online`.
    """

    position: int
    age_ms: int
    values: bytes
    state: bytes


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A decision.

    Attributes
    ----------
    id, customer, at, channel
        ``at`` in integer microseconds.
    wanted
        How many actions were asked for.
    strategy
        The version of the strategy: a hash of its content.
    policy
        The version of the policy: a hash of its settings.
    models
        By objective: the version of the model; 0 if it has not learned anything.
    clock
        How many outcomes had been learned, for the exploration.
    context
        As the app gave it.
    served
        The features; None if they could not be had.
    contacts
        The customer's contacts as the caps saw them, packed.
    inputs
        What the models saw: contexts, numbers and segments by name.
    offers
        What was answered, in order.
    persons
        CRC-32 of the customer's own weights as the models saw them; 0: there were none.
    eligible
        The names of the actions that could have been chosen, in the strategy's order.
    scores
        float64[len(eligible)], little-endian.
    chances
        By objective, float64[len(eligible)], little-endian.
    excluded
        Action → the rule that excluded it.
    control
        Whether the customer is in the control group.
    fallback
        Why the declared fallback was answered; empty if it was not.
    trigger
        The trigger's name; empty if an app asked.
    cause
        The id of the event, or of the decision, that made us decide; empty if an app asked.
    stale
        Whether the row did not yet show the event of the receipt that was given.
    member
        Which member of the fleet decided; empty if there is no fleet, or it was none of them.
    """

    id: str
    customer: str
    at: int
    channel: str
    wanted: int = 1
    strategy: str
    policy: str = ""
    models: dict[str, int] = {}
    clock: int = 0
    context: dict[str, Value] = {}
    served: Served | None = None
    contacts: bytes = b""
    inputs: dict[str, Value] = {}
    persons: int = 0
    offers: list[Offer] = []
    eligible: list[str] = []
    scores: bytes = b""
    chances: dict[str, bytes] = {}
    excluded: dict[str, str] = {}
    control: bool = False
    fallback: str = ""
    trigger: str = ""
    cause: str = ""
    stale: bool = False
    member: str = ""


class Response(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What became of an offer: the loop's own data of an event of type ``outcome``.

    Attributes
    ----------
    decision_id
        Of which decision.
    response
        What happened: ``deliver``, ``fail``, ``accept``, ``refuse``, ``convert``, or any word
        that the strategy uses.
    action
        Which of its offers; None: the first.
    value
        What it is worth, for objectives that take it from here.
    corrects
        The id of an earlier outcome that this one takes the place of.
    """

    decision_id: str
    response: str
    action: str | None = None
    value: float | None = None
    corrects: str | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person wants of a strategy's fleet: the loop's own data of an event ``fleet-order``.

    Attributes
    ----------
    fleet
        The strategy's name.
    what, member
        To do what, with whom.
    by, note
        Who wants it, and why.
    """

    fleet: str
    what: Literal["promote", "retire"]
    member: str
    by: str
    note: str = ""


class _Properties(msgspec.Struct, gc=False, omit_defaults=True):
    nextbest: Record
    action: str | None = None


class _Event(msgspec.Struct, gc=False):
    event_id: str
    event_timestamp: int
    customer_id: str
    type: str
    channel: str
    properties: _Properties


_JSON = msgspec.json.Encoder()
_USUAL = 4096
"""Bytes of an event that most are shorter than."""


def event_of(record: Record) -> bytes:
    """Return the event of a decision, as one line of JSON.

    Examples
    --------
    >>> offer = Offer(action="tea", score=0.5, propensity=1.0, draw=0.25)
    >>> record = Record(
    ...     id="d-1", customer="ann", at=7, channel="web", strategy="5e", offers=[offer]
    ... )
    >>> msgspec.json.decode(event_of(record))["properties"]["action"]
    'tea'
    >>> record_of(event_of(record)) == record
    True
    """
    return events_of([record])[0]


def events_of(records: Sequence[Record]) -> list[bytes]:
    """Return the events of decisions: what `event_of` returns of each."""
    found = []
    line = bytearray(_USUAL)  # which grows once, not with every event
    for record in records:
        first = record.offers[0].action if record.offers else None
        own = _Properties(record, first)
        event = _Event(record.id, record.at, record.customer, DECISION, record.channel, own)
        _JSON.encode_into(event, line)
        found.append(bytes(line))
    return found


def outcome_event(
    event_id: str, at: int, customer: str, channel: str | None, outcome: Response
) -> bytes:
    """Return the event of an outcome, as one line of JSON."""
    properties: dict[str, Any] = {FIELD: outcome}
    if outcome.action is not None:
        properties["action"] = outcome.action
    properties["response"] = outcome.response
    if outcome.value is not None:
        properties["value"] = outcome.value
    return _JSON.encode(
        {
            "event_id": event_id,
            "event_timestamp": at,
            "customer_id": customer,
            "type": OUTCOME,
            "channel": channel,
            "properties": properties,
        }
    )


def order_event(event_id: str, at: int, order: Order) -> bytes:
    """Return the event of an order, as one line of JSON; it is no customer's."""
    return _JSON.encode(
        {
            "event_id": event_id,
            "event_timestamp": at,
            "customer_id": f"fleet:{order.fleet}",
            "type": ORDER,
            "channel": None,
            "properties": {FIELD: order},
        }
    )


def record_of(event: bytes) -> Record:
    """Return the record in a decision's event.

    Raises
    ------
    msgspec.DecodeError
        If there is none.
    """
    return msgspec.json.decode(event, type=_Line).properties.nextbest


def response_of(event: bytes) -> Response:
    """Return the response in an outcome's event.

    Raises
    ------
    msgspec.DecodeError
        If there is none.
    """
    return msgspec.json.decode(event, type=_Said).properties.nextbest


class _Own(msgspec.Struct):
    nextbest: Record


class _Line(msgspec.Struct):
    properties: _Own


class _OwnResponse(msgspec.Struct):
    nextbest: Response


class _Said(msgspec.Struct):
    properties: _OwnResponse
