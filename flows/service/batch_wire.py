"""What goes over the wire of decisions for many customers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..decision.request import MOST_OFFERS
from .loop_wire import Context, Customer, DecisionIdText, OfferAnswer, Word
from .wire import Moment, ReceiptText

BATCH_MOST = 1000
"""Customers of one request."""

BatchId = Annotated[str, Meta(max_length=33, pattern=r"^[0-9a-f]{16}-[0-9a-f]{16}$")]
State = Literal["logged", "unlogged", "refused", "dry"]


class BatchCustomer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of many customers for whom something is to be chosen."""

    customer: Customer
    context: Annotated[
        Context, Meta(description="of this customer: goes before the request's, name by name")
    ] = {}
    decision_id: Annotated[
        DecisionIdText | None,
        Meta(description="as of /v1/decide; default: of the batch, or a new one"),
    ] = None


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For whom something is to be chosen, and where it will be shown."""

    channel: Annotated[Word, Meta(description="one of the strategy")]
    customers: Annotated[
        list[Customer | BatchCustomer],
        Meta(
            min_length=1,
            max_length=BATCH_MOST,
            description="ids, or customers with what is theirs alone; one who is named twice is "
            "decided for twice, one after the other",
        ),
    ]
    n: Annotated[int, Meta(ge=1, le=MOST_OFFERS, description="how many actions each at most")] = 1
    context: Context = {}
    commit: Annotated[
        bool,
        Meta(
            description="false: a dry run, which says what would be decided now; nothing is "
            "offered, logged or counted"
        ),
    ] = True
    explain: Annotated[bool, Meta(description="whether each offer has its reasons")] = False
    batch_id: Annotated[
        BatchId | None,
        Meta(
            description="the microseconds since 1970 and a number of your own, both as 16 "
            "hexadecimal digits: the same one a second time, with the same customers, answers what "
            "was decided. All is decided as of that time, which must not be ten minutes ago"
        ),
    ] = None


class BatchDecision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one customer; what is left out is null or false, or there is none."""

    customer: str
    state: Annotated[
        State,
        Meta(
            description="logged: decided, in the log, and counted; unlogged: the fallback was "
            "answered, and neither logged nor counted; refused: not decided; dry: a dry run"
        ),
    ]
    offers: Annotated[list[OfferAnswer], Meta(description="the best first")]
    decision_id: DecisionIdText | None = None
    at: Moment | None = None
    control: Annotated[bool, Meta(description="the customer is in the control group")] = False
    explored: Annotated[bool, Meta(description="an offer had not the best score")] = False
    fallback: Annotated[str | None, Meta(description="why the declared fallback was answered")] = (
        None
    )
    repeated: Annotated[bool, Meta(description="this was decided before, under the same id")] = (
        False
    )
    receipt: Annotated[ReceiptText | None, Meta(description="of the decision in the log")] = None
    error: Annotated[str | None, Meta(description="why it was refused")] = None


class BatchCounts(msgspec.Struct):
    """How many decisions are of each state."""

    logged: int = 0
    unlogged: int = 0
    refused: int = 0
    dry: int = 0


class BatchAnswer(msgspec.Struct, frozen=True):
    """What was decided for many customers."""

    committed: Annotated[bool, Meta(description="false: it was a dry run")]
    counts: BatchCounts
    decisions: Annotated[list[BatchDecision], Meta(description="one each, in the order asked for")]
