"""Decisions for one customer, one after the other: else all but one would be made in vain."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from ...features.receipts import Receipt
from ..decision.commit import Conflict
from ..decision.offered import left_by
from ..decision.record import Record, record_of
from .live import Live

TRIES = 64
"""How often a decision is made anew when others for the same customer come first."""
_SOON = 4
"""So many times at once; then after a pause, so that not all come again together."""
_LONGEST_PAUSE = 0.02


class Progress:
    """Whether others for the same customer were in the way."""

    __slots__ = ("contended",)

    def __init__(self, contended: bool) -> None:
        self.contended = contended


class _Turn:
    """Whose turn it is among the decisions for one customer in this process.

    Attributes
    ----------
    contacts
        As the last of them left them; None: it is not known.
    """

    __slots__ = ("contacts", "lock", "many")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.contacts: bytes | None = None
        self.many = 0


class Turns:
    """Whose turn it is among the decisions of this process, by customer.

    Parameters
    ----------
    outbound
        Makes what is sent to the outbound stream of a channel; see `AsyncCommitter.commit`.
    """

    def __init__(self, outbound: Callable[[Live, Record], bytes | None]) -> None:
        self._outbound = outbound
        self._turns: dict[str, _Turn] = {}

    async def commit(
        self,
        live: Live,
        customer: str,
        make: Callable[[bytes], Record],
        contacts: bytes,
        progress: Progress,
    ) -> tuple[Record, Receipt, bool] | None:
        """Commit what is made from the customer's contacts as they are.

        Parameters
        ----------
        live
            What decides and commits.
        customer
            Whose turn it is.
        make
            Makes the decision from contacts.
        contacts
            As they were read.
        progress
            Told whether others were in the way.

        Returns
        -------
        The decision, its place in the log, and whether it was there before; None: the contacts
        changed all the time.
        """
        turn = self._turns.get(customer)
        if turn is None:
            turn = self._turns[customer] = _Turn()
        turn.many += 1
        try:
            progress.contended = progress.contended or turn.lock.locked()
            async with turn.lock:
                return await self._commit(live, make, contacts, progress, turn)
        finally:
            turn.many -= 1
            if not turn.many:
                del self._turns[customer]

    async def _commit(
        self,
        live: Live,
        make: Callable[[bytes], Record],
        contacts: bytes,
        progress: Progress,
        turn: _Turn,
    ) -> tuple[Record, Receipt, bool] | None:
        """Commit what is made from the contacts as they are; None: they changed all the time."""
        if turn.contacts is not None:
            contacts = turn.contacts
        for again in range(TRIES):
            record = make(contacts)
            update = left_by(live.engine.caps, record)
            outbound = self._outbound(live, record)
            done = await live.committer.commit(record, update, outbound=outbound)
            if not isinstance(done, Conflict):
                if done.repeated:  # by us, where the connection was lost, or by the app
                    turn.contacts = None
                    return record_of(done.event), done.receipt, True
                turn.contacts = update.contacts
                return record, done.receipt, False
            contacts, progress.contended = done.contacts, True
            if again >= _SOON:
                pause = random.random() * _LONGEST_PAUSE  # noqa: S311  # guards nothing
                await asyncio.sleep(pause)
        return None
