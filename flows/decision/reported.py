"""Outcomes that come through the log: what they ask of the contacts is done there too.

Who posts an outcome to the service has the contacts changed at once; who puts it into the log, as
a topic's producer may, has it done by whoever reads the log. The same outcome counts once.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

from ...features.errors import StoreError
from .commit_types import Called, Step
from .contacts import CapRules, Reply
from .keys import Keys
from .loop_events import LoopEvent
from .record import Record, Response
from .scripts import CHANGE

_TRIES = 100


class Reported(NamedTuple):
    """An outcome in the log that changes what may be offered."""

    outcome_id: str
    at: int
    customer: str
    decision_id: str
    response: str
    action: str | None = None
    corrects: str | None = None


def reported_in(event: LoopEvent, rules: CapRules) -> Reported | None:
    """Return what an event of the loop says; None: it does not change what may be offered."""
    own = event.own
    if not isinstance(own, Response) or not rules.touches(own.response, own.corrects):
        return None
    return Reported(
        event.event_id, event.at, event.customer, own.decision_id, own.response, own.action,
        own.corrects,
    )  # fmt: skip


def is_of(one: Reported, record: Record) -> bool:
    """Whether an outcome is one of a decision, and of something that it offered."""
    names = [offer.action for offer in record.offers]
    return (
        record.customer == one.customer
        and bool(names)
        and (one.action is None or one.action in names)
    )


def taking_in(
    keys: Keys, rules: CapRules, one: Reported, record: Record
) -> Generator[Step, Any, None]:
    """The steps that change the contacts as an outcome of a decision asks."""
    reply = Reply(
        one.outcome_id, one.at, one.response, one.action or record.offers[0].action,
        record.channel, record.at, one.corrects,
    )  # fmt: skip
    key = keys.contacts(one.customer)
    for _ in range(_TRIES):
        present: bytes = (yield ("GET", key)) or b""
        update = rules.responded(present, reply)
        if update.contacts == present or (
            yield Called(CHANGE, (key,), (present, update.contacts, max(update.keep_ms, 1)))
        ):
            return
    raise StoreError(f"{key} changed {_TRIES} times meanwhile")
