"""How records of decisions are made: some customers at a time, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...features.catalog import Catalog
from ...features.errors import SettingsError
from ...features.rows import FeatureRows
from .answers import Answers
from .asked import Asked
from .categories import Categories
from .concluding import Chosen, Concluding
from .contacts import CapRules
from .eligibility import Rules
from .errors import ModelError
from .exploring import Exploring
from .inputs import Inputs
from .loading import Loaded
from .models import Models
from .reading import tags_told
from .record import Offer, Record, Served, Value
from .record_lines import RecordLines
from .request import Request, Row
from .room import Room, Shape
from .survey import Survey
from .worth import Worth

BLOCK = 64
"""How many decisions are made at a time: their arrays stay in the cache, and memory is bounded."""


class About(NamedTuple):
    """What is told of a decision, and not worked out."""

    models: dict[str, int]
    clock: int
    persons: int
    cause: str = ""
    trigger: str = ""
    stale: bool = False
    member: str = ""


class Making:
    """The steps of a decision, compiled for one strategy.

    Parameters
    ----------
    nobody
        The features of a customer of whom nothing is known.

    Attributes
    ----------
    shape
        Of the rooms that decisions are made in.
    """

    def __init__(self, loaded: Loaded, catalog: Catalog, nobody: Row) -> None:
        strategy = loaded.strategy
        self.rules = Rules.compile(strategy, catalog)
        self.caps = CapRules.compile(strategy)
        self.inputs = Inputs.compile(strategy, catalog)
        self.exploring = Exploring(strategy)
        self.worth = Worth(strategy)
        self._survey = Survey(self.rules, self.caps, self.inputs)
        self._version, self._policy = loaded.version, self.exploring.version
        self._actions, self._objectives = tuple(strategy.actions), tuple(strategy.objectives)
        self._columns, self._nobody = len(nobody.values), nobody
        self._tags = tags_told(strategy)
        seen, objectives = strategy.model, len(self._objectives)
        features = len(seen.action_features)
        self._categories = Categories(self.inputs, objectives)
        self._concluding = Concluding(self.exploring, self.worth, self._survey, objectives)
        self._lines = RecordLines(
            strategy, self._version, self._policy, self.inputs, self._survey, self._tags
        )
        self.shape = Shape(
            columns=self._columns,
            extras=self._survey.extras,
            seen=self._survey.width,
            work=self._survey.work,
            actions=len(self._actions),
            objectives=objectives,
            told=(len(seen.contexts) + len(seen.segments) + 2) * objectives + 1,
            pick=4 + objectives + features,
        )
        self._rooms: dict[int, list[Room]] = {1: [], BLOCK: []}
        """By how many decisions they are for; as many of each as were made at the same time."""

    def records(
        self, asked: Asked, models: Models, about: Sequence[About], logged: Record | None = None
    ) -> list[Record]:
        """Return the records of some decisions, at most `BLOCK`.

        Parameters
        ----------
        about
            One of each; the clock is the same.
        logged
            The record of the one decision that is asked for: what it says was foretold.
        """
        room = self._room(len(asked.requests))
        try:
            return self._made(room, asked, models, about, logged)
        finally:
            self._rooms[room.rows].append(room)

    def answers(self, asked: Asked, models: Models) -> Answers:
        """Return what is answered in some decisions, at most `BLOCK`; nothing is recorded."""
        room = self._room(len(asked.requests))
        try:
            return self._answered(room, asked, models)[0]
        finally:
            self._rooms[room.rows].append(room)

    def lines(
        self, asked: Asked, models: Models
    ) -> tuple[Answers, list[bytes], list[Mapping[str, str]]]:
        """Return what `answers` does, the events of the records, and what excluded actions.

        Parameters
        ----------
        asked
            With rows as they were read.
        models
            Of an engine that no members of a fleet share.
        """
        assert isinstance(asked.rows, FeatureRows)
        room = self._room(len(asked.requests))
        try:
            found, chosen, unknown = self._answered(room, asked, models)
            lines, excluded = self._lines.write(room, asked, asked.rows, unknown, models, chosen)
            return found, lines, excluded
        finally:
            self._rooms[room.rows].append(room)

    def _answered(
        self, room: Room, asked: Asked, models: Models
    ) -> tuple[Answers, Chosen, list[dict[str, float]]]:
        n = len(asked.requests)
        self._put(room, asked.rows)
        unknown = self._survey.look(room, asked.requests, asked.contacts, asked.at)
        self._categories.find(room, models, asked.requests, unknown)
        self._draw_lots(room, asked.requests)
        persons, open_ = list(asked.persons), room.wanted[:n]
        for i in np.flatnonzero(open_[:, 0] == 0).tolist():
            persons[i] = b""  # of whom there is nothing to foretell
        wanted = self._survey.wanted(room, n)
        chosen = self._concluding.conclude(
            room, models, persons, wanted, asked.ids, clock=models.clock, foretold=False
        )
        places, chances, _, scores = chosen.picks[:, :4].T.tolist()
        control = room.lots[:n]
        found = Answers(
            self._actions, wanted, list(map(int, places)), scores, chances, control.tolist(),
            (room.tried[:n] & ~control).tolist(),
        )  # fmt: skip
        return found, chosen, unknown

    def _room(self, n: int) -> Room:
        """Return memory for so many decisions, which no other thread has."""
        rows = 1 if n == 1 else BLOCK
        try:
            return self._rooms[rows].pop()
        except IndexError:
            return Room(rows, self.shape)

    def _draw_lots(self, room: Room, requests: Sequence[Request]) -> None:
        """Put into the room who is in the control group."""
        lots = bytes(self.exploring.controls([request.customer for request in requests]))
        room.lots_bytes[: len(lots)] = lots

    def _made(
        self,
        room: Room,
        asked: Asked,
        models: Models,
        about: Sequence[About],
        logged: Record | None,
    ) -> list[Record]:
        requests, contacts, survey = asked.requests, asked.contacts, self._survey
        served = self._served(room, asked.rows)
        unknown = survey.look(room, requests, contacts, asked.at)
        n = len(requests)
        self._draw_lots(room, requests)
        wanted = survey.wanted(room, n)
        names: list[list[str]] = []
        inputs: list[dict[str, Value]] = []
        excluded: list[dict[str, str]] = []
        persons: list[bytes] = []
        every = len(self._actions)
        for i, request in enumerate(requests):
            own = survey.eligible(room, i)
            names.append(own)
            # Of whom there is nothing to foretell, nothing more is looked at.
            inputs.append(survey.inputs(room, i, request, unknown[i]) if own else {})
            persons.append(asked.persons[i] if own else b"")
            whole = len(own) == every
            excluded.append({} if whole else survey.excluded(room, i, request, contacts[i]))
        if n == 1:
            self._categories.put(room, models, inputs[0])
        else:
            self._categories.find(room, models, requests, unknown)
        if logged is not None:
            self._recall(room, logged, len(names[0]))
        chosen = self._concluding.conclude(
            room, models, persons, wanted, asked.ids,
            clock=about[0].clock, foretold=logged is not None,
        )  # fmt: skip
        found = []
        kept, stride = room.kept_bytes, 8 * room.kept.shape[1]
        picks, first = chosen.picks.tolist(), 0
        for i, request in enumerate(requests):
            own, told = names[i], about[i]
            at, size = stride * i, 8 * len(own)
            scores = bytes(kept[at : at + size])
            chances = {}
            if own:
                for name in self._objectives:
                    at += size
                    chances[name] = bytes(kept[at : at + size])
            end = chosen.ends[i]
            found.append(
                Record(
                    id=asked.ids[i],
                    customer=request.customer,
                    at=asked.at[i],
                    channel=request.channel,
                    wanted=request.n,
                    strategy=self._version,
                    policy=self._policy,
                    models=told.models,
                    clock=told.clock,
                    context=request.context,
                    served=served[i],
                    contacts=contacts[i],
                    inputs=inputs[i],
                    offers=[self.offer(pick) for pick in picks[first:end]],
                    eligible=own,
                    scores=scores,
                    chances=chances,
                    excluded=excluded[i],
                    control=room.lots_bytes[i] == 1,
                    persons=told.persons,
                    trigger=told.trigger,
                    cause=told.cause,
                    stale=told.stale,
                    member=told.member,
                )
            )
            first = end
        return found

    def _put(self, room: Room, rows: FeatureRows | Sequence[Row | None]) -> None:
        """Put the features into the room."""
        if not isinstance(rows, FeatureRows):
            self._served(room, rows)
            return
        n, columns = len(rows.values), self._columns
        if rows.values.shape[1:] != (columns,) or rows.state.shape != rows.values.shape:
            raise _other(rows.values.shape[-1], columns)
        room.values[:n], room.state[:n] = rows.values, rows.state

    def _served(self, room: Room, rows: FeatureRows | Sequence[Row | None]) -> list[Served | None]:
        """Put the features into the room; return them as they are logged."""
        columns, found = self._columns, list[Served | None]()
        if isinstance(rows, FeatureRows):
            if rows.values.shape[1:] != (columns,) or rows.state.shape != rows.values.shape:
                raise _other(rows.values.shape[-1], columns)
            values, state = rows.values.tobytes(), rows.state.tobytes()
            room.values_bytes[: len(values)] = values
            room.state_bytes[: len(state)] = state
            places = zip(rows.positions.tolist(), rows.age_ms.tolist(), strict=True)
            for i, (position, age_ms) in enumerate(places):
                own = values[8 * columns * i : 8 * columns * (i + 1)]
                told = state[columns * i : columns * (i + 1)]
                found.append(Served(position=position, age_ms=age_ms, values=own, state=told))
            return found
        for i, row in enumerate(rows):
            known = self._nobody if row is None else row
            own, told = known.values.tobytes(), known.state.tobytes()
            if len(own) != 8 * columns or len(told) != columns:
                raise _other(len(known.values), columns)
            room.values_bytes[8 * columns * i : 8 * columns * (i + 1)] = own
            room.state_bytes[columns * i : columns * (i + 1)] = told
            found.append(
                None
                if row is None
                else Served(position=row.position, age_ms=row.age_ms, values=own, state=told)
            )
        return found

    def offer(self, pick: Sequence[float]) -> Offer:
        """Return what is recorded of a pick, as `Chosen.picks` has it."""
        place, propensity, draw, score = pick[:4]
        first = 4 + len(self._objectives)
        action = self._actions[int(place)]
        return Offer(
            action=action,
            score=score,
            propensity=propensity,
            draw=draw,
            chances=dict(zip(self._objectives, pick[4:first], strict=True)),
            features=[None if x != x else x for x in pick[first:]],
            tags=self._tags[action],
        )

    def _recall(self, room: Room, record: Record, eligible: int) -> None:
        """Put the chances of a record where the kernel keeps them."""
        for o, name in enumerate(self._objectives if eligible else (), 1):
            chances = record.chances.get(name, b"")
            if len(chances) != 8 * eligible:
                raise ModelError(f"the record has {len(chances) / 8:g} chances of {name!r}")
            room.kept_bytes[8 * o * eligible : 8 * (o + 1) * eligible] = chances


def _other(columns: int, wanted: int) -> SettingsError:
    return SettingsError(f"a row of {columns} columns, where the catalog's customer has {wanted}")
