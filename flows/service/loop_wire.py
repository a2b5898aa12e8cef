"""What goes over the wire of the loop: decisions, outcomes, why, and all that is of a customer."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ...features.kernels.layout import MAX_ID_BYTES
from ..decision.outbound import OutboundOffer
from ..decision.reasons import Reason
from ..decision.request import (
    LONGEST_CONTEXT,
    LONGEST_NAME,
    LONGEST_TEXT,
    MOST_CONTEXT,
    MOST_OFFERS,
)
from ..decision.why import Excluded, FeatureSeen
from .wire import MAX_RECEIPTS, MAX_WAIT_SECONDS, Moment, ReceiptText

OUTCOMES_MOST = 1000
"""Outcomes of one request."""
MOST_RECENT = 20
"""Decisions of before that are told of a customer."""

Customer = Annotated[str, Meta(min_length=1, max_length=MAX_ID_BYTES)]
DecisionIdText = Annotated[
    str, Meta(max_length=64, pattern=r"^[0-9a-f]{16}-[0-9a-f]{16}-[0-9a-f]{16}$")
]
Word = Annotated[str, Meta(min_length=1, max_length=64)]
_Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
_Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Context = Annotated[
    dict[_Name, _Text | int | float | bool | None],
    Meta(
        max_length=MOST_CONTEXT,
        description="what expressions call context.<name>; "
        f"as JSON at most {LONGEST_CONTEXT} bytes in all",
    ),
]


class DecideRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For whom something is to be chosen, and where it will be shown."""

    customer: Annotated[
        Customer, Meta(description="their id; one of your own for somebody who is not known")
    ]
    channel: Annotated[Word, Meta(description="one of the strategy")]
    n: Annotated[int, Meta(ge=1, le=MOST_OFFERS, description="how many actions at most")] = 1
    context: Context = {}
    after: Annotated[
        ReceiptText | Annotated[list[ReceiptText], Meta(max_length=MAX_RECEIPTS)] | None,
        Meta(description="receipts of events that the decision should have seen"),
    ] = None
    wait_seconds: Annotated[
        float,
        Meta(ge=0.0, le=MAX_WAIT_SECONDS, description="how long to wait for these events"),
    ] = 1.0
    explain: Annotated[bool, Meta(description="whether each offer has its reasons")] = False
    decision_id: Annotated[
        DecisionIdText | None,
        Meta(
            description="of the decision that is to be made, or that was: the same one a second "
            "time answers what was decided; default: a new one"
        ),
    ] = None


class OfferAnswer(OutboundOffer, frozen=True, omit_defaults=True):
    """An action that was chosen."""

    reasons: Annotated[list[Reason] | None, Meta(description="if they were asked for")] = None


class DecideAnswer(msgspec.Struct, frozen=True):
    """What was decided."""

    decision_id: DecisionIdText
    at: Moment
    offers: Annotated[list[OfferAnswer], Meta(description="the best first; none: say nothing")]
    control: Annotated[bool, Meta(description="the customer is in the control group")]
    explored: Annotated[bool, Meta(description="an offer was tried that had not the best score")]
    fallback: Annotated[
        str | None, Meta(description="why the declared fallback was answered; null: it was not")
    ]
    stale: Annotated[
        bool, Meta(description="an event of `after` was not seen in time: it was not considered")
    ]
    repeated: Annotated[bool, Meta(description="this was decided before, under the same id")]
    receipt: Annotated[
        ReceiptText | None,
        Meta(description="of the decision in the log; null: it is not there"),
    ]


class OutcomeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of an offer."""

    outcome_id: Annotated[
        Customer, Meta(description="yours; the same one a second time counts once")
    ]
    customer: Customer
    decision_id: DecisionIdText
    response: Annotated[
        Word,
        Meta(
            description="deliver, fail, undelivered, accept, refuse, convert, or a word of the "
            "strategy; after fail and undelivered the offer counts for nothing, and after fail "
            "its channel is blocked"
        ),
    ]
    action: Annotated[Word | None, Meta(description="which offer; default: the first")] = None
    value: Annotated[
        float | None, Meta(description="what it is worth, within the objective's range")
    ] = None
    at: Annotated[
        int | Annotated[str, Meta(max_length=64)] | None,
        Meta(description="when: microseconds since 1970 or ISO 8601; default: now"),
    ] = None
    channel: Annotated[Word | None, Meta(description="the decision's, if it is given")] = None
    corrects: Annotated[
        Customer | None, Meta(description="the outcome that this one takes the place of")
    ] = None


class OutcomeTaken(msgspec.Struct, frozen=True):
    """An outcome that is in the log."""

    outcome_id: str
    receipt: ReceiptText
    repeated: Annotated[bool, Meta(description="it had been taken in before")]


class OutcomesAnswer(msgspec.Struct, frozen=True):
    """Outcomes are in the log, in the order that they were sent in."""

    outcomes: list[OutcomeTaken]


class OfferMade(msgspec.Struct, frozen=True):
    """An offer that still counts for a cap; names that the strategy no longer has are null."""

    at: Moment
    action: str | None
    channel: str | None


class Resting(msgspec.Struct, frozen=True):
    """What is not offered, since when, until when, and after which response."""

    what: Annotated[str, Meta(description="all, action NAME, tag NAME=VALUE or channel NAME")]
    since: Moment
    until: Annotated[int, Meta(ge=1)]
    after: str | None


class Ranked(msgspec.Struct, frozen=True):
    """An action that could be offered now."""

    action: str
    rank: int
    score: float
    chances: dict[str, float]
    reasons: list[Reason]


class Preview(msgspec.Struct, frozen=True):
    """What would be offered through a channel, the best score first; nothing is decided."""

    room: Annotated[int | None, Meta(description="offers that caps leave open; null: any number")]
    ranked: list[Ranked]
    more: Annotated[int, Meta(description="actions that are not listed")]
    excluded: list[Excluded]
    fault: Annotated[str | None, Meta(description="why nothing could be ranked")] = None


class OfferCame(msgspec.Struct, frozen=True):
    """What an objective was told of an offer."""

    objective: str
    reward: Annotated[
        float | None, Meta(description="share of its range, 0 to 1; null: it was not delivered")
    ]
    silence: Annotated[bool, Meta(description="nothing came until then")]
    at: Moment


class OfferThen(msgspec.Struct, frozen=True):
    """An action that was offered, and what came of it; what is missing is still open."""

    action: str
    rank: int
    came: list[OfferCame]


class ResponseThen(msgspec.Struct, frozen=True):
    """What a customer answered to a decision, or what became of it."""

    outcome_id: str
    at: Moment
    response: str
    action: Annotated[str | None, Meta(description="of which offer; null: the first")]


class DecisionThen(msgspec.Struct, frozen=True):
    """A decision of before."""

    decision_id: DecisionIdText
    at: Moment
    channel: str
    control: bool
    fallback: bool
    trigger: Annotated[str, Meta(description="what made us decide; empty: an app asked")]
    offers: list[OfferThen]
    responses: list[ResponseThen]


class CustomerAnswer(msgspec.Struct, frozen=True):
    """A customer as the next decision would see them."""

    customer: str
    at: Moment
    known: Annotated[bool, Meta(description="whether there is a row: if not, all is missing")]
    age_ms: Annotated[int | None, Meta(description="from the newest event to `at`, milliseconds")]
    strategy: str
    version: str
    models: Annotated[dict[str, int], Meta(description="by objective: outcomes learned")]
    control: bool
    features: list[FeatureSeen]
    offered: Annotated[
        list[OfferMade], Meta(description="offers that still count for caps, the oldest first")
    ]
    resting: list[Resting]
    recent: Annotated[
        list[DecisionThen],
        Meta(description="the newest decisions first, as far as the run has taken them in"),
    ]
    context: Context
    channels: dict[str, Preview]
