"""Making a decision with the store: one round trip to read, one to commit, and always an answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from ...features.errors import RowError, StateError, StoreError
from ..decision.commit import Kept
from ..decision.errors import ModelError, RequestError
from ..decision.ids import customer_hash, new_id, parse_id
from ..decision.record import Record
from ..decision.request import Request, Row, check, row_of
from .live import Asked, Decided, Live, Seen
from .patience import Patience
from .together import AT_ONCE, Away, Done, Together
from .turns import Progress, Turns

GIVEN_PAST_US, GIVEN_AHEAD_US = 600_000_000, 60_000_000
"""How old the id of a decision that is not yet made may be, and how far ahead of our clock."""
_SILENT_SECONDS = 1.0
_UNDER_WAY = 3
"""Groups under way, unless a store is slow: one is read for, one decided, one committed. What is
asked meanwhile waits for its turn together, as a group costs much more than one more in it."""
_LONGEST_WAIT = 0.005
"""Seconds that a group waits for its turn."""
_log = logging.getLogger("nextbest.service")


Found = Done | Exception | asyncio.CancelledError
"""What came of a decision that was asked for together with others: what `Decider.settle` takes."""
Tell = Callable[[Found], None]
"""What takes it; it raises nothing."""


class _Group(NamedTuple):
    """Decisions that are asked for in one turn of the loop, and who waits for them."""

    live: Live
    requests: list[Request]
    waiting: list[Tell]


class Decider:
    """Makes decisions.

    Parameters
    ----------
    seconds
        What the store may take to read, and again to commit; then the fallback is answered.
    outbound
        Makes what is sent to the outbound stream of a channel; see `AsyncCommitter.commit`.
    clock
        Microseconds since 1970.
    """

    def __init__(
        self,
        seconds: float,
        outbound: Callable[[Live, Record], bytes | None],
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._patience = Patience(seconds)
        self._outbound = outbound
        self._clock = clock
        self._said = 0.0
        self._turns = Turns(outbound)
        self._group: _Group | None = None
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.together = Together(self._patience, outbound)

    async def decide(self, live: Live, asked: Asked) -> Decided:
        """Decide, and commit what was decided.

        Whatever is wrong with the store, the models or what they hold: then the strategy's
        fallback is answered, with the reason, and without a receipt if it could not be committed.
        What is committed is committed within the caps, from whichever process.

        Raises
        ------
        RequestError
            If the request cannot be decided.
        SettingsError
            If a receipt is of another customer.
        """
        request, now = asked.request, self._clock()
        check(request, live.engine.loaded.strategy.channels, now)
        at: int | None = None
        if asked.decision_id is not None:
            at = check_id(asked.decision_id, request.customer)
            try:
                with self._patience.limit():
                    kept = await live.committer.kept(asked.decision_id)
            except (TimeoutError, StoreError) as error:
                return self._away(live, asked, None, error)
            if kept is not None:
                return await self._again(live, kept)
            if not now - GIVEN_PAST_US <= at <= now + GIVEN_AHEAD_US:
                raise RequestError("decision_id", "is of another time, and no longer kept")
        if at is None and asked.after is None:
            return await self._at_once(live, asked)
        return await self._alone(live, asked, at)

    async def _again(self, live: Live, kept: Kept) -> Decided:
        """Answer what was decided before; if it may not be in the log outside, append it there."""
        record, receipt = kept.record, kept.receipt
        if receipt is None:
            try:
                with self._patience.limit():
                    outbound = self._outbound(live, record)
                    receipt = (await live.committer.complete(kept, outbound=outbound)).receipt
            except (TimeoutError, StoreError, StateError) as error:
                self._say(f"{record.id}: {str(error) or 'the log does not answer'}")
        return Decided(record, receipt, True)

    async def _at_once(self, live: Live, asked: Asked) -> Decided:
        """Decide together with what else is asked in this turn of the loop."""
        done: asyncio.Future[Found] = asyncio.get_running_loop().create_future()

        def tell(found: Found) -> None:
            if isinstance(found, asyncio.CancelledError):
                done.cancel()
            elif not done.done():  # it was given up
                done.set_result(found)

        self._join(live, asked.request, tell)
        return await self.settle(live, asked, await done)

    def begin(self, live: Live, request: Request, tell: Tell) -> None:
        """Begin to decide, as `decide` does for what has no id and waits for nothing.

        Parameters
        ----------
        live, request
            What decides, and what is asked of it.
        tell
            Called later, once: `settle` makes a decision of what it is given.

        Raises
        ------
        RequestError
            If the request cannot be decided; then nothing was begun.
        """
        check(request, live.engine.loaded.strategy.channels, self._clock())
        self._join(live, request, tell)

    def _join(self, live: Live, request: Request, tell: Tell) -> None:
        group = self._group
        if group is None or group.live is not live or len(group.waiting) >= AT_ONCE:
            self._start(group)
            group = self._group = _Group(live, [], [])
            # It begins when all that are asked for in this turn of the loop have joined it.
            asyncio.get_running_loop().call_soon(self._turn)
        group.requests.append(request)
        group.waiting.append(tell)

    def _turn(self) -> None:
        """Begin with a group, unless so many are under way that it had better grow meanwhile."""
        if self._under_way < _UNDER_WAY:
            self._start(self._group)
        elif self._group is not None:
            asyncio.get_running_loop().call_later(_LONGEST_WAIT, self._start, self._group)

    def _start(self, group: _Group | None) -> None:
        """Begin with a group that others may join so far."""
        if group is not None and group is self._group:
            self._group = None
            self._under_way += 1
            task = asyncio.get_running_loop().create_task(self._decide_group(group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _decide_group(self, group: _Group) -> None:
        found: Sequence[Found] = [asyncio.CancelledError()] * len(group.waiting)
        try:
            found = await self.decide_many(group.live, group.requests)
        except Exception as error:
            found = [error] * len(group.waiting)
        finally:
            self._under_way -= 1
            for tell, what in zip(group.waiting, found, strict=True):
                tell(what)
            self._start(self._group)  # which has waited for its turn

    async def decide_many(self, live: Live, requests: Sequence[Request]) -> list[Done]:
        """Decide and commit together; `settle` makes a decision of each of them."""
        try:
            ready = await self.together.make(live, requests)
        except (TimeoutError, StoreError) as error:
            return [Away(None, error)] * len(requests)
        return await self.together.commit(live, ready)

    async def settle(
        self, live: Live, asked: Asked, found: Found, at: int | None = None
    ) -> Decided:
        """Return the decision that was made together with others; make it alone if there is none.

        Raises
        ------
        RequestError, Exception
            See `decide`; or what was found, if it is an error.
        """
        if isinstance(found, Decided):
            return found
        if isinstance(found, Away):
            return self._away(live, asked, found.contacts, found.error)
        if isinstance(found, BaseException):
            raise found
        if found is None:
            return await self._alone(live, asked, at)
        return await self._finish(live, asked, found, contended=True)

    async def rehearse(self, live: Live, request: Request) -> Decided:
        """Say what would be decided now; nothing is committed.

        Raises
        ------
        StoreError
            When the store is away.
        """
        seen = await self._read(live, Asked(request, None, 0.0, None), None)
        if isinstance(seen, Away):
            raise StoreError(str(seen.error) or "the store does not answer")
        try:
            record = self._record(live, request, seen, seen.contacts)
        except StateError as error:
            reason = f"the customer's contacts cannot be read: {error}"
            record = live.engine.fallback(request, reason, None, seen.at, seen.id)
        return Decided(record, None, False, seen.persons)

    async def kept(self, live: Live, decisions: Sequence[str]) -> list[Decided | None] | Away:
        """Return what was decided before under some ids."""
        try:
            with self._patience.limit():
                found = await live.committer.kept_many(decisions)
        except (TimeoutError, StoreError) as error:
            return Away(None, error)
        return [None if one is None else await self._again(live, one) for one in found]

    def now(self) -> int:
        """Return the time, microseconds since 1970."""
        return self._clock()

    async def _alone(self, live: Live, asked: Asked, at: int | None) -> Decided:
        seen = await self._read(live, asked, at)
        if isinstance(seen, Away):
            return self._away(live, asked, None, seen.error)
        return await self._finish(live, asked, seen, contended=False)

    async def _read(self, live: Live, asked: Asked, at: int | None) -> Seen | Away:
        customer, keys = asked.request.customer, live.keys
        fault = live.models_fault
        row: Row | None = None
        persons, stale = b"", False
        beside = [keys.contacts(customer), keys.person(customer)]
        reads = live.client.get_beside
        try:
            if asked.after is None:
                with self._patience.limit():
                    found = await reads([customer], beside, at=at)
            else:
                after, wait = asked.after, asked.wait_seconds
                async with asyncio.timeout(self._patience.seconds + wait):
                    found = await reads([customer], beside, at=at, after=after, wait_seconds=wait)
            at, row, stale = found.at, row_of(found.rows), found.stale
            contacts, persons = found.values[0] or b"", found.values[1] or b""
        except (TimeoutError, StoreError) as error:
            return Away(None, error)
        except (RowError, StateError) as error:
            fault = f"the customer's row cannot be read: {error}"
            self._say(fault)
            try:
                with self._patience.limit():
                    contacts = await live.committer.contacts(customer)
            except (TimeoutError, StoreError) as away:
                return Away(None, away)
        if at is None:
            at = self._clock()
        decision = asked.decision_id or new_id(at, customer)
        return Seen(decision, at, row, contacts, persons, stale, fault)

    async def _finish(self, live: Live, asked: Asked, seen: Seen, *, contended: bool) -> Decided:
        """Decide from what was read, and commit."""
        customer, contacts = asked.request.customer, seen.contacts
        make = partial(self._record, live, asked.request, seen)
        progress = Progress(contended)
        given = asked.decision_id is not None
        try:
            with self._patience.limit():
                done = await self._turns.commit(live, customer, make, contacts, progress)
        except (TimeoutError, StoreError) as error:
            if not progress.contended:
                return self._away(live, asked, contacts, error)
            done = None
        except StateError as error:  # what cannot be read cannot be compared and set either
            reason = f"the customer's contacts cannot be read: {error}"
            self._say(reason)
            return self._unlogged(live, asked, None, reason)
        if done is None:
            # Only no offer at all is sure to keep the caps.
            reason = "contention: the customer's contacts changed all the time"
            self._say(f"{seen.id}: {reason}")
            lost = self._unlogged(live, asked, contacts, reason)
            return lost._replace(record=msgspec.structs.replace(lost.record, offers=[]))
        record, receipt, repeated = done
        return Decided(record, receipt, repeated and given, seen.persons)

    def _record(self, live: Live, request: Request, seen: Seen, contacts: bytes) -> Record:
        """Decide, or fall back."""
        reason = seen.fault
        if not reason:
            try:
                return live.engine.decide(
                    request, seen.row, contacts, seen.persons, seen.at, seen.id, stale=seen.stale
                )
            except ModelError as error:
                self._say(f"{seen.id}: {error}")
                reason = f"models: {error}"
        return live.engine.fallback(request, reason, contacts, seen.at, seen.id)

    def _away(self, live: Live, asked: Asked, contacts: bytes | None, error: Exception) -> Decided:
        why = str(error) or f"the store does not answer within {self._patience.seconds:g} s"
        self._say(f"decisions fall back: {why}")
        return self._unlogged(live, asked, contacts, "the store does not answer")

    def _unlogged(self, live: Live, asked: Asked, contacts: bytes | None, reason: str) -> Decided:
        """Answer the fallback, under an id of its own.

        What was decided before may be in the log after all, under the id that it had.
        """
        at, customer = self._clock(), asked.request.customer
        decision = new_id(at, customer)
        record = live.engine.fallback(asked.request, reason, contacts, at, decision)
        return Decided(record, None, False)

    def _say(self, what: str) -> None:
        """Log a warning, but not a thousand a second."""
        now = time.monotonic()
        if now >= self._said + _SILENT_SECONDS:
            self._said = now
            _log.warning("%s", what)


def check_id(decision: str, customer: str) -> int:
    """Return the time of an id that the app gave; it must be one of its customer.

    Raises
    ------
    RequestError
        If it is not.
    """
    said = parse_id(decision)
    if said.customer != customer_hash(customer):
        raise RequestError("decision_id", "is of another customer")
    return said.at
