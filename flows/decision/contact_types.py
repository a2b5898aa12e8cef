"""What is asked and answered of a customer's contacts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Update(NamedTuple):
    """Contacts to be stored.

    Attributes
    ----------
    contacts
        Packed; empty: the key is to be deleted.
    keep_ms
        For how long they can matter.
    """

    contacts: bytes
    keep_ms: int


class Checked(NamedTuple):
    """What a customer's contacts leave open.

    Attributes
    ----------
    allowed
        bool[K], of each action in the strategy's order.
    reasons
        Action → the rule that excludes it; only those that are excluded.
    room
        How many offers one answer may have at most; `UNBOUNDED` if no cap says. An action's own
        caps leave room for one if it is allowed, and no answer has an action twice.
    """

    allowed: npt.NDArray[np.bool_]
    reasons: dict[str, str]
    room: int


class Reply(NamedTuple):
    """What became of an offer, as far as contacts are concerned.

    Attributes
    ----------
    id
        Of the outcome.
    at
        When, microseconds.
    response
        See `record.Response`.
    action, channel, offered_at
        The offer: which action, through which channel, and the decision's time.
    corrects
        The id of an outcome whose effects are taken back, and those of what corrected it before.
    """

    id: str
    at: int
    response: str
    action: str
    channel: str
    offered_at: int
    corrects: str | None = None
