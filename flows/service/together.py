"""Deciding for several customers at once: one round trip to read, one pass, one to commit.

What is special about one of them is not dealt with here. It is left, with what was read for it, to
who decides one by one: so what decisions promise stands in one place.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ...features.errors import EventError, NextbestError, RowError, StateError, StoreError
from ...features.online.reading import Beside
from ...features.rows import FeatureRows
from ..decision.commit import Committed, Conflict
from ..decision.commit_async import Done as Answer
from ..decision.offered import left_by, left_by_many
from ..decision.record import Record, record_of
from ..decision.request import Request, row_of
from ..partitions import hashes_of
from ..telemetry.serving import SERVICE
from .live import Decided, Live, Seen
from .patience import Patience

AT_ONCE = 64
"""Decisions that are made together at most: others wait meanwhile."""
_FEW = 4
"""Up to so many are made faster one by one."""


class Away(NamedTuple):
    """The store failed at a decision, and what its contacts were if they had been read."""

    contacts: bytes | None
    error: Exception


class Made(NamedTuple):
    """A decision that can be committed, and what it was made from."""

    record: Record
    seen: Seen


Ready = list[Made | None]
"""Each decision that was made; None: it has to be made alone."""
Done = Decided | Seen | Away | EventError | None
"""A decision; what one has to be made from anew, as the contacts have changed; or see `Ready`."""


class Together:
    """Decides for several customers at once.

    Parameters
    ----------
    patience
        How long the store may take to read, and again to commit.
    outbound
        See `Decider`.
    """

    def __init__(
        self, patience: Patience, outbound: Callable[[Live, Record], bytes | None]
    ) -> None:
        self._patience = patience
        self._outbound = outbound

    @property
    def patience(self) -> Patience:
        """How long the store may take."""
        return self._patience

    async def make(
        self,
        live: Live,
        requests: Sequence[Request],
        at: int | None = None,
        ids: Sequence[str] | None = None,
    ) -> Ready:
        """Read and decide. A customer who is there again is decided for as if the first counted.

        Parameters
        ----------
        live
            What decides.
        requests
            Checked.
        at
            As of when; None: now.
        ids
            Of each decision; None: new ones.

        Raises
        ------
        TimeoutError, StoreError
            When the store is away.
        """
        return self.decide(live, requests, await self.read(live, requests, at), ids)

    async def read(
        self, live: Live, requests: Sequence[Request], at: int | None = None
    ) -> Beside | None:
        """Read what `decide` needs; None: each has to be made alone. See `make`."""
        if live.models_fault:
            return None
        customers = [request.customer for request in requests]
        keys = live.keys
        beside = [*map(keys.contacts, customers), *map(keys.person, customers)]
        try:
            with self._patience.limit():
                return await live.client.get_beside(customers, beside, at=at)
        except (RowError, StateError):  # of one of them
            return None

    def decide(
        self,
        live: Live,
        requests: Sequence[Request],
        found: Beside | None,
        ids: Sequence[str] | None = None,
    ) -> Ready:
        """Decide from what was read; see `make`."""
        n = len(requests)
        SERVICE.together(n)
        if found is None:
            return [None] * n
        ids = ids or new_ids(found.at, [request.customer for request in requests])
        contacts = [value or b"" for value in found.values[:n]]
        persons = [value or b"" for value in found.values[n:]]
        made: Ready = [None] * n
        waves = _waves([request.customer for request in requests])
        left: dict[str, bytes] = {}
        for wave in waves:
            some = [requests[i] for i in wave]
            if len(waves) > 1:
                for i, request in zip(wave, some, strict=True):
                    contacts[i] = left.get(request.customer, contacts[i])
            seen = [
                Seen(ids[i], found.at, row_of(found.rows, i), contacts[i], persons[i]) for i in wave
            ]
            rows = found.rows if len(waves) == 1 else None
            some_made = (
                [_made(live, *one) for one in zip(some, seen, strict=True)]
                if len(some) <= _FEW
                else self._wave(live, some, seen, rows)
            )
            for i, one in zip(wave, some_made, strict=True):
                made[i] = one
                if one is not None and len(waves) > 1:
                    left[requests[i].customer] = left_by(live.engine.caps, one.record).contacts
        return made

    def _wave(
        self,
        live: Live,
        requests: Sequence[Request],
        seen: Sequence[Seen],
        rows: FeatureRows | None = None,
    ) -> Ready:
        """Decide for different customers."""
        engine = live.engine
        try:
            records = engine.decide_many(
                requests,
                [one.row for one in seen] if rows is None else rows,
                [one.contacts for one in seen],
                [one.persons for one in seen],
                [one.at for one in seen],
                [one.id for one in seen],
            )
            return list(map(Made, records, seen))
        except NextbestError:
            return [_made(live, *one) for one in zip(requests, seen, strict=True)]

    async def commit(self, live: Live, ready: Ready, *, given: bool = False) -> list[Done]:
        """Commit what was made.

        Parameters
        ----------
        live, ready
            Of `make`.
        given
            Whether the ids are the app's: only then can a decision be told to be repeated.
        """
        made = [one for one in ready if isinstance(one, Made)]
        caps, records = live.engine.caps, [record for record, _ in made]
        few = len(records) <= _FEW // 2
        updates = [left_by(caps, one) for one in records] if few else left_by_many(caps, records)
        found: list[Done]
        try:
            with self._patience.limit():
                answers = await live.committer.commit_many(
                    [
                        (
                            record,
                            update,
                            self._outbound(live, record),
                            int(record.id[17:33], 16),  # the id was made from it
                        )
                        for (record, _), update in zip(made, updates, strict=True)
                    ]
                )
        except TimeoutError as error:
            found = [Away(one.seen.contacts, error) for one in made]
        else:
            found = [_done(one, answer, given) for one, answer in zip(made, answers, strict=True)]
        rest = iter(found)
        return [next(rest) if isinstance(one, Made) else one for one in ready]


def _made(live: Live, request: Request, seen: Seen) -> Made | None:
    """Decide for one customer."""
    try:
        record = live.engine.decide(
            request, seen.row, seen.contacts, seen.persons, seen.at, seen.id
        )
    except NextbestError:
        return None
    return Made(record, seen)


def _done(made: Made, answer: Answer, given: bool) -> Done:
    if isinstance(answer, Committed) and not answer.repeated:
        return Decided(made.record, answer.receipt, False, made.seen.persons)
    return taken(made.seen, answer, given=given)


def taken(seen: Seen, answer: Answer, *, given: bool) -> Done:
    """Return what became of a decision that is not new in the log."""
    if isinstance(answer, Conflict):
        return seen._replace(contacts=answer.contacts)
    if isinstance(answer, EventError):
        return answer
    if isinstance(answer, StoreError):
        return Away(seen.contacts, answer)
    if isinstance(answer, NextbestError):  # what is kept cannot be read: no cap is sure
        return Away(None, answer)
    return Decided(record_of(answer.event), answer.receipt, given, seen.persons)


def _waves(customers: Sequence[str]) -> Sequence[Sequence[int]]:
    """Share places out so that no customer is twice in one share, and each in order.

    >>> _waves(["ann", "ben", "ann"])
    [[0, 1], [2]]
    """
    if len(set(customers)) == len(customers):
        return [range(len(customers))]
    waves: list[list[int]] = []
    times: dict[str, int] = {}
    for place, customer in enumerate(customers):
        wave = times.get(customer, 0)
        times[customer] = wave + 1
        if wave == len(waves):
            waves.append([])
        waves[wave].append(place)
    return waves


def new_ids(at: int, customers: Sequence[str]) -> list[str]:
    """Return what `ids.new_id` does, of several.

    >>> [text[:34] for text in new_ids(7, ["ann"])]
    ['0000000000000007-154df3a36cff89ac-']
    """
    tokens = secrets.token_hex(8 * len(customers))
    return [
        f"{at:016x}-{first:016x}-{tokens[16 * i : 16 * i + 16]}"
        for i, first in enumerate(hashes_of(customers).tolist())
    ]
