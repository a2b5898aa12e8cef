"""What a decision leaves of its customer's contacts."""

from __future__ import annotations

from collections.abc import Sequence

from .contacts import CapRules, Update
from .record import Record


def left_by(caps: CapRules, record: Record) -> Update:
    """Return the contacts that a decision leaves: its own, with what it offers.

    Raises
    ------
    StateError
        If the contacts that it was made from are damaged.
    """
    names = [offer.action for offer in record.offers]
    return caps.offered(record.contacts, names, record.channel, record.at)


def left_by_many(caps: CapRules, records: Sequence[Record]) -> list[Update]:
    """Return the contacts that each of some decisions leaves; see `left_by`."""
    return caps.offered_many(
        [record.contacts for record in records],
        [[offer.action for offer in record.offers] for record in records],
        [record.channel for record in records],
        [record.at for record in records],
    )
