"""How a decision's offers were chosen."""

from __future__ import annotations

import math

from ..decision.record import Record
from .names import POLICIES

EXPLORE, EXPLOIT, CONTROL, FALLBACK, NONE = POLICIES
UNKNOWN = "unknown"
"""Of a decision whose record does not tell, or was not asked."""


def explored(record: Record) -> bool:
    """Return whether an offer had not the best score of those that were left for its rank.

    >>> from ..decision.record import Offer
    >>> from array import array
    >>> scores = array("d", [0.9, 0.4]).tobytes()
    >>> offer = Offer(action="tea", score=0.4, propensity=0.1, draw=0.5)
    >>> explored(Record(id="d", customer="ann", at=1, channel="web", strategy="s",
    ...     offers=[offer], eligible=["cake", "tea"], scores=scores))
    True
    """
    if record.fallback or record.control or not record.offers:
        return False
    scores = list(memoryview(record.scores).cast("d"))
    last = len(record.offers) - 1
    for rank, offer in enumerate(record.offers):
        if offer.score < max(scores):
            return True
        if rank < last:
            scores[record.eligible.index(offer.action)] = -math.inf
    return False


def policy_of(record: Record, *, tried: bool | None = None) -> str:
    """Return how the offers of a decision were chosen.

    Parameters
    ----------
    record
        The decision.
    tried
        What `explored` says of it, if it is known.

    Examples
    --------
    >>> from ..decision.record import Offer
    >>> offer = Offer(action="tea", score=0.4, propensity=0.1, draw=0.5)
    >>> record = Record(id="d", customer="ann", at=1, channel="web", strategy="s", offers=[offer])
    >>> policy_of(record, tried=False), policy_of(record)  # there are no scores
    ('exploit', 'unknown')
    """
    if record.fallback:
        return FALLBACK
    if tried is None and record.offers and not record.control:
        try:
            tried = explored(record)
        except (TypeError, ValueError):  # anybody may append to the log
            return UNKNOWN
    return policy_named(len(record.offers), control=record.control, tried=bool(tried))


def policy_named(offers: int, *, control: bool, tried: bool) -> str:
    """Return how so many offers were chosen, by what `explored` says of them.

    >>> policy_named(1, control=False, tried=True), policy_named(0, control=True, tried=False)
    ('explore', 'none')
    """
    if not offers:
        return NONE
    if control:
        return CONTROL
    return EXPLORE if tried else EXPLOIT
