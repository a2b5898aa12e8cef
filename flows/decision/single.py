"""One decision at a time: what `making` does of many, in few calls, as these cost most of it."""

from __future__ import annotations

from struct import Struct
from zlib import crc32

from .asked import Asked
from .concluding import Concluding
from .loading import Loaded
from .making import About, Making
from .models import Models
from .record import Record, Served
from .request import Request, Row
from .room import Room
from .survey import Survey


class Single:
    """Makes one decision, the same record as `Making.records` does; of any number of threads.

    Parameters
    ----------
    making
        Of the strategy; it says what is wrong with a row.
    nobody
        The features of a customer of whom nothing is known.
    """

    def __init__(self, loaded: Loaded, making: Making, nobody: Row) -> None:
        strategy, exploring = loaded.strategy, making.exploring
        self._making, self._nobody, self._exploring = making, nobody, exploring
        self._survey = Survey(making.rules, making.caps, making.inputs)
        self._objectives = tuple(strategy.objectives)
        objectives = len(self._objectives)
        self._concluding = Concluding(exploring, making.worth, self._survey, objectives)
        self._version, self._policy = loaded.version, exploring.version
        seen, self._columns = strategy.model, len(nobody.values)
        categories = objectives * (len(seen.contexts) + len(seen.segments))
        self._rows = Struct(f"<{categories}q")
        self._shape = making.shape
        self._rooms: list[Room] = []

    def record(
        self,
        request: Request,
        row: Row | None,
        contacts: bytes,
        persons: bytes,
        at: int,
        decision_id: str,
        models: Models,
        *,
        cause: str,
        trigger: str,
        stale: bool,
        member: str,
    ) -> Record:
        """Return the record of a decision; arguments and errors as of `Engine.decide`.

        Parameters
        ----------
        models, member
            Of whose turn it is.
        """
        known = self._nobody if row is None else row
        values, state = known.values.tobytes(), known.state.tobytes()
        checksum = crc32(persons) if persons else 0
        if len(values) != 8 * self._columns or len(state) != self._columns:
            about = About(models.versions, models.clock, checksum, cause, trigger, stale, member)
            asked = Asked([request], [row], [contacts], [persons], [at], [decision_id])
            return self._making.records(asked, models, [about])[0]
        try:
            room = self._rooms.pop()
        except IndexError:
            room = Room(1, self._shape)
        try:
            room.values_bytes[:], room.state_bytes[:] = values, state
            control = self._exploring.control(request.customer)
            room.lots_bytes[0] = control
            names, inputs, excluded, wanted = self._survey.see(room, request, contacts, at)
            self._rows.pack_into(room.told_bytes, 0, *models.rows(inputs))
            own = persons if names else b""
            picks = self._concluding.conclude_one(room, models, own, wanted, decision_id)
            kept, size = room.kept_bytes, 8 * len(names)
            scores, chances, end = bytes(kept[:size]), {}, size
            if names:
                for name in self._objectives:
                    chances[name] = bytes(kept[end : end + size])
                    end += size
        finally:
            self._rooms.append(room)
        offer = self._making.offer
        return Record(
            id=decision_id,
            customer=request.customer,
            at=at,
            channel=request.channel,
            wanted=request.n,
            strategy=self._version,
            policy=self._policy,
            models=models.versions,
            clock=models.clock,
            context=request.context,
            served=None
            if row is None
            else Served(position=row.position, age_ms=row.age_ms, values=values, state=state),
            contacts=contacts,
            inputs=inputs,
            offers=[offer(pick) for pick in picks],
            eligible=names,
            scores=scores,
            chances=chances,
            excluded=excluded,
            control=control,
            persons=checksum,
            trigger=trigger,
            cause=cause,
            stale=stale,
            member=member,
        )
