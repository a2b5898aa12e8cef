"""How records of decisions are made: some customers at a time, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...features.catalog import Catalog
from ...features.errors import SettingsError
from ...features.rows import FeatureRows
from .concluding import Concluding
from .contacts import CapRules
from .eligibility import Rules
from .errors import ModelError
from .exploring import Exploring
from .inputs import Inputs
from .loading import Loaded
from .models import Models
from .record import Offer, Record, Served, Value
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


class Asked(NamedTuple):
    """Some decisions that are to be made; as many of each.

    Attributes
    ----------
    requests
        Checked.
    rows
        The customers' features; None where they are not known.
    contacts, persons, at, ids
        As of `Engine.decide`.
    """

    requests: Sequence[Request]
    rows: FeatureRows | Sequence[Row | None]
    contacts: Sequence[bytes]
    persons: Sequence[bytes]
    at: Sequence[int]
    ids: Sequence[str]

    def part(self, start: int, end: int) -> Asked:
        """Return those of some places."""
        rows = self.rows
        if isinstance(rows, FeatureRows):
            some: FeatureRows | Sequence[Row | None] = FeatureRows(
                rows.values[start:end],
                rows.state[start:end],
                rows.age_ms[start:end],
                rows.positions[start:end],
            )
        else:
            some = rows[start:end]
        return Asked(
            self.requests[start:end],
            some,
            self.contacts[start:end],
            self.persons[start:end],
            self.at[start:end],
            self.ids[start:end],
        )


class Making:
    """The steps of a decision, compiled for one strategy.

    Parameters
    ----------
    nobody
        The features of a customer of whom nothing is known.
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
        seen, objectives = strategy.model, len(self._objectives)
        features = len(seen.action_features)
        self._concluding = Concluding(self.exploring, self.worth, self._survey, features)
        self._shape = Shape(
            columns=self._columns,
            extras=self._survey.extras,
            seen=self._survey.width,
            work=self._survey.work,
            actions=len(self._actions),
            objectives=objectives,
            told=(len(seen.contexts) + len(seen.segments) + 2) * objectives + 1,
            pick=4 + objectives + features,
        )
        self._rooms: list[Room] = []
        """For one decision at a time; as many as were made at the same time."""

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
        n = len(asked.requests)
        if n > 1:
            return self._made(Room(n, self._shape), asked, models, about, logged)
        try:
            room = self._rooms.pop()  # which no other thread can take then
        except IndexError:
            room = Room(1, self._shape)
        try:
            return self._made(room, asked, models, about, logged)
        finally:
            self._rooms.append(room)

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
        holds = self.exploring.control
        names: list[list[str]] = []
        inputs: list[dict[str, Value]] = []
        excluded: list[dict[str, str]] = []
        rows: list[list[int]] = []
        persons: list[bytes] = []
        wanted: list[int] = []
        controls: list[str | None] = []
        for i, request in enumerate(requests):
            own, (closed, most) = survey.eligible(room, i), survey.most(room, i)
            names.append(own)
            # Of whom there is nothing to foretell, nothing more is looked at.
            seen = survey.inputs(room, i, request, unknown[i]) if own else {}
            inputs.append(seen)
            rows.append(models.rows(seen))
            persons.append(asked.persons[i] if own else b"")
            whole = len(own) == len(self._actions)
            excluded.append({} if whole else survey.excluded(room, i, closed, request, contacts[i]))
            wanted.append(min(request.n, most, len(own)))
            controls.append(request.customer if holds(request.customer) else None)
        if logged is not None:
            self._recall(room, logged, len(names[0]))
        chosen = self._concluding.conclude(
            room, models, rows, persons, wanted, controls, asked.ids,
            clock=about[0].clock, foretold=logged is not None,
        )  # fmt: skip
        found = []
        kept, stride = room.kept_bytes, 8 * room.kept.shape[1]
        for i, request in enumerate(requests):
            own, told = names[i], about[i]
            at, size = stride * i, 8 * len(own)
            scores = bytes(kept[at : at + size])
            chances = {}
            if own:
                for name in self._objectives:
                    at += size
                    chances[name] = bytes(kept[at : at + size])
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
                    offers=[self._offer(pick) for pick in chosen[i]],
                    eligible=own,
                    scores=scores,
                    chances=chances,
                    excluded=excluded[i],
                    control=controls[i] is not None,
                    persons=told.persons,
                    trigger=told.trigger,
                    cause=told.cause,
                    stale=told.stale,
                )
            )
        return found

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

    def _offer(self, pick: Sequence[float]) -> Offer:
        place, propensity, draw, score = pick[:4]
        first = 4 + len(self._objectives)
        return Offer(
            action=self._actions[int(place)],
            score=score,
            propensity=propensity,
            draw=draw,
            chances=dict(zip(self._objectives, pick[4:first], strict=True)),
            features=[None if x != x else x for x in pick[first:]],
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
