"""Decisions for many customers of one request: some at a time, each with a state of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, NamedTuple, TypeGuard, TypeVar

from ...features.errors import EventError, NextbestError, StoreError
from ...features.online.reading import Beside
from ..decision.answers import Answers
from ..decision.errors import RequestError
from ..decision.ids import id_of_cause
from ..decision.request import Request
from .batch_drafts import Drafted, Drafting, Told
from .deciding import GIVEN_AHEAD_US, GIVEN_PAST_US, Decider
from .live import Asked, Decided, Live
from .together import AT_ONCE, Away, Done, Ready, new_ids

_BATCHES = 2
"""Batches that are decided at the same time; others wait for their turn."""
_GONE = "is of another time, and no longer kept"

_T = TypeVar("_T")
Outcome = Decided | Told | RequestError | EventError
"""A decision, or why it was refused."""


class Wanted(NamedTuple):
    """A decision of a batch, and the id that the app gave it."""

    request: Request
    decision_id: str | None = None


class Rehearsed(NamedTuple):
    """What would be decided for some customers: answers as of one time, or decisions."""

    requests: Sequence[Request]
    at: int | None
    found: Answers | list[Decided]


class BatchDecider:
    """Decides for many customers.

    Parameters
    ----------
    decider
        Decides alone what cannot be decided together.
    """

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._turns = asyncio.Semaphore(_BATCHES)
        self._drafting = Drafting(decider.together.patience)

    async def decide(
        self, live: Live, wanted: Sequence[Wanted], batch_id: str | None, *, records: bool = False
    ) -> list[Outcome]:
        """Decide for all and commit, each as `Decider.decide` does.

        A customer who is there again is decided for after what comes first was counted. When the
        store fails, what is left is not tried: all of it falls back.

        Parameters
        ----------
        live
            What decides.
        wanted
            Checked.
        batch_id
            From which the ids of decisions follow that have none; None: they are new.
        records
            Whether the records are wanted, which say why; else most answers are lines.
        """
        async with self._turns:
            batch = _Batch(
                self._decider, live, wanted, batch_id, None if records else self._drafting
            )
            return await batch.decide()

    async def rehearse(
        self, live: Live, requests: Sequence[Request], *, explain: bool
    ) -> list[Rehearsed]:
        """Say what would be decided now, some customers at a time; nothing is committed.

        Parameters
        ----------
        explain
            Whether the records are wanted, which say why.

        Raises
        ------
        TimeoutError, StoreError
            When the store is away.
        """
        found: list[Rehearsed] = []
        together = self._decider.together
        async with self._turns:
            parts = list(_parts(requests))
            async for some, read in _ahead(parts, lambda some: together.read(live, some)):
                answers = None if explain else _answers(live, some, read)
                if answers is not None and read is not None:
                    found.append(Rehearsed(some, read.at, answers))
                    continue
                own: list[Decided] = []
                for request, one in zip(some, together.decide(live, some, read), strict=True):
                    if one is None:
                        own.append(await self._decider.rehearse(live, request))
                    else:
                        own.append(Decided(one.record, None, False, one.seen.persons))
                found.append(Rehearsed(some, None, own))
        return found


class _Batch:
    """A batch that is being decided."""

    def __init__(
        self,
        decider: Decider,
        live: Live,
        wanted: Sequence[Wanted],
        batch_id: str | None,
        drafting: Drafting | None,
    ) -> None:
        self._drafting = drafting
        self._decider = decider
        self._live = live
        self._wanted = wanted
        self._given = batch_id is not None
        self._at = None if batch_id is None else int(batch_id[:16], 16)
        self._ids = _ids(wanted, batch_id)
        self._found: list[Outcome | None] = [None] * len(wanted)
        self._away: Exception | None = None

    async def decide(self) -> list[Outcome]:
        own = [i for i, one in enumerate(self._wanted) if one.decision_id is not None]
        rest = [i for i, one in enumerate(self._wanted) if one.decision_id is None]
        if self._given:
            rest = await self._unknown(rest)
        before: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as group:
            async for places, read in _ahead(list(_parts(rest)), self._read):
                ready = self._make(places, read)
                if before is not None:
                    await before  # one is committed while the next is decided
                before = group.create_task(self._commit(places, ready))
        for places in _parts(own):
            await asyncio.gather(*map(self._alone, places))
        return [one for one in self._found if one is not None]

    async def _unknown(self, places: Sequence[int]) -> list[int]:
        """Take what was decided before; return what is left to be decided."""
        left: list[int] = []
        at, now = self._at or 0, self._decider.now()
        fresh = now - GIVEN_PAST_US <= at <= now + GIVEN_AHEAD_US
        for some in _parts(places):
            found = await self._decider.kept(self._live, [self._ids[i] for i in some])
            if isinstance(found, Away):
                self._away = found.error
                return list(places)
            for i, kept in zip(some, found, strict=True):
                if kept is not None:
                    self._found[i] = kept
                elif fresh:
                    left.append(i)
                else:
                    self._found[i] = RequestError("batch_id", _GONE)
        return left

    def _requests(self, places: Sequence[int]) -> list[Request]:
        return [self._wanted[i].request for i in places]

    async def _read(self, places: Sequence[int]) -> Beside | None:
        if self._away is None:
            try:
                together = self._decider.together
                return await together.read(self._live, self._requests(places), self._at)
            except (TimeoutError, StoreError) as error:
                self._away = error
        return None

    def _make(self, places: Sequence[int], read: Beside | None) -> Ready | Drafted:
        if self._away is not None:
            return [None] * len(places)
        ids = [self._ids[i] for i in places] if self._given else None
        requests = self._requests(places)
        if self._drafting is not None and read is not None:
            drafted = self._drafting.make(self._live, requests, read, ids)
            if drafted is not None:
                return drafted
        return self._decider.together.decide(self._live, requests, read, ids)

    async def _commit(self, places: Sequence[int], ready: Ready | Drafted) -> None:
        if self._away is not None:
            error = self._away
            done: list[Done | Told] = [Away(held, error) for held in _held(ready)]
        else:
            if isinstance(ready, Drafted):
                assert self._drafting is not None
                done = await self._drafting.commit(self._live, ready, given=self._given)
            else:
                done = [*await self._decider.together.commit(self._live, ready, given=self._given)]
            lost = [one.error for one in done if isinstance(one, Away)]
            if len(lost) == len(done):
                self._away = lost[0]
        await asyncio.gather(
            *(
                self._settle(i, one)
                for i, one in zip(places, done, strict=True)
                if self._left(one, i)
            )
        )

    def _left(self, one: Done | Told, i: int) -> TypeGuard[Done]:
        """Take a decision; return whether there is none yet."""
        if isinstance(one, Decided | Told):
            self._found[i] = one
        return self._found[i] is None

    async def _settle(self, i: int, one: Done) -> None:
        decision = self._ids[i] if self._given else None
        asked = Asked(self._wanted[i].request, None, 0.0, decision)
        try:
            self._found[i] = await self._decider.settle(self._live, asked, one, self._at)
        except (RequestError, EventError) as error:
            self._found[i] = error

    async def _alone(self, i: int) -> None:
        request, decision = self._wanted[i]
        asked = Asked(request, None, 0.0, decision)
        try:
            if self._away is None:
                self._found[i] = await self._decider.decide(self._live, asked)
            else:
                self._found[i] = await self._decider.settle(
                    self._live, asked, Away(None, self._away)
                )
        except (RequestError, EventError) as error:
            self._found[i] = error


def _answers(live: Live, requests: Sequence[Request], read: Beside | None) -> Answers | None:
    """Decide together without records; None: they are needed, or one has to be decided alone."""
    customers = [request.customer for request in requests]
    n = len(customers)
    if read is None or len(set(customers)) < n:
        return None
    held = [value or b"" for value in read.values]
    ids = new_ids(read.at, customers)
    try:
        return live.engine.answer_many(requests, read.rows, held[:n], held[n:], read.at, ids)
    except NextbestError:
        return None


def _held(ready: Ready | Drafted) -> list[bytes | None]:
    """Return the contacts that were read for each."""
    if isinstance(ready, Drafted):
        return list(ready.contacts)
    return [None if one is None else one.seen.contacts for one in ready]


def _parts(every: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for begin in range(0, len(every), AT_ONCE):
        yield every[begin : begin + AT_ONCE]


async def _ahead(
    parts: Sequence[_T], read: Callable[[_T], Coroutine[Any, Any, Beside | None]]
) -> AsyncIterator[tuple[_T, Beside | None]]:
    """Read for each part while the one before it is dealt with."""
    reading = None
    try:
        for i, part in enumerate(parts):
            found = await (reading or read(part))
            reading = None
            if i + 1 < len(parts):
                reading = asyncio.create_task(read(parts[i + 1]))
            await asyncio.sleep(0)  # others have their turn, and what was asked is sent
            yield part, found
    finally:
        if reading is not None:
            reading.cancel()


def _ids(wanted: Sequence[Wanted], batch_id: str | None) -> list[str]:
    """Return the ids that follow from a batch's; a customer's second decision has another."""
    if batch_id is None:
        return []
    at = int(batch_id[:16], 16)
    times: dict[str, int] = {}
    found = []
    for request, _ in wanted:
        customer = request.customer
        time = times[customer] = times.get(customer, 0) + 1
        found.append(id_of_cause(at, customer, batch_id, str(time)))
    return found
