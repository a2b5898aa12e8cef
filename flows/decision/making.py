"""How records of decisions are made: some customers at a time, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

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
from .record import Offer, Record, Served
from .request import Request, Row
from .survey import Survey, Surveyed
from .worth import Worth

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BLOCK = 64
"""How many decisions are made at a time: their arrays stay in the cache, and memory is bounded."""
_MOST_KEPT = 4096


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
        features = len(strategy.model.action_features)
        self._concluding = Concluding(self.exploring, self.worth, features)
        self._version, self._policy = loaded.version, self.exploring.version
        self._actions, self._objectives = tuple(strategy.actions), tuple(strategy.objectives)
        self._columns = len(nobody.values)
        self._nobody = nobody
        self._names: dict[bytes, list[str]] = {}
        self._excluded: dict[bytes, dict[str, str]] = {}

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
        requests, contacts = asked.requests, asked.contacts
        values, state, served = self._served(asked.rows)
        survey = self._survey
        surveyed = survey.look(requests, values, state, contacts, asked.at)
        names = self._eligible(surveyed.eligible)
        inputs = survey.inputs(surveyed, requests)
        # Of whom there is nothing to foretell, the weights are not looked at.
        persons = [p if own else b"" for p, own in zip(asked.persons, names, strict=True)]
        if logged is None:
            foretelling, given = models.foretelling(inputs, persons), None
        else:
            foretelling, given = models.unasked(), self._logged(logged, len(names[0]))
        holds, room = self.exploring.control, surveyed.capped[:, -1].tolist()
        controls = [r.customer if holds(r.customer) else None for r in requests]
        concluded = self._concluding.conclude(
            foretelling,
            persons,
            surveyed,
            [
                min(request.n, most, len(own))
                for request, most, own in zip(requests, room, names, strict=True)
            ],
            controls,
            clock=about[0].clock,
            decision_ids=asked.ids,
            given=given,
        )
        excluded = self._rules(surveyed, requests, contacts)
        stride, kept = 8 * (1 + len(self._objectives)) * len(self._actions), concluded.kept
        found = []
        for i, request in enumerate(asked.requests):
            own, told, first = names[i], about[i], stride * i
            size = 8 * len(own)
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
                    inputs=inputs[i] if own else {},
                    offers=[self._offer(pick) for pick in concluded.picks[i]],
                    eligible=own,
                    scores=kept[first : first + size],
                    chances={
                        name: kept[first + o * size : first + (o + 1) * size]
                        for o, name in enumerate(self._objectives, 1)
                    }
                    if own
                    else {},
                    excluded=excluded[i],
                    control=controls[i] is not None,
                    persons=told.persons,
                    trigger=told.trigger,
                    cause=told.cause,
                    stale=told.stale,
                )
            )
        return found

    def _served(
        self, rows: FeatureRows | Sequence[Row | None]
    ) -> tuple[F64, npt.NDArray[np.uint8], list[Served | None]]:
        """Return the features as matrices, and as they are logged."""
        columns = self._columns
        if isinstance(rows, FeatureRows):
            values, state = np.ascontiguousarray(rows.values), np.ascontiguousarray(rows.state)
            if values.ndim != 2 or values.shape[1] != columns or state.shape != values.shape:
                raise _other(values.shape[-1], columns)
            places = list(zip(rows.positions.tolist(), rows.age_ms.tolist(), strict=True))
            known = [True] * len(values)
        else:
            n = len(rows)
            values, state = np.empty((n, columns)), np.empty((n, columns), np.uint8)
            places = []
            for i, row in enumerate(rows):
                own = self._nobody if row is None else row
                if len(own.values) != columns or len(own.state) != columns:
                    raise _other(len(own.values), columns)
                values[i], state[i] = own.values, own.state
                places.append((own.position, own.age_ms))
            known = [row is not None for row in rows]
        all_values, all_state = values.tobytes(), state.tobytes()
        return (
            values,
            state,
            [
                Served(
                    position=position,
                    age_ms=age_ms,
                    values=all_values[8 * columns * i : 8 * columns * (i + 1)],
                    state=all_state[columns * i : columns * (i + 1)],
                )
                if known[i]
                else None
                for i, (position, age_ms) in enumerate(places)
            ],
        )

    def _eligible(self, eligible: Bools) -> list[list[str]]:
        """Return the names of the eligible actions of each customer."""
        k, flags = len(self._actions), eligible.tobytes()
        found = []
        for i in range(len(eligible)):
            mask = flags[i * k : (i + 1) * k]
            names = self._names.get(mask)
            if names is None:
                if len(self._names) >= _MOST_KEPT:
                    self._names.clear()
                names = self._names[mask] = list(compress(self._actions, mask))
            found.append(names.copy())
        return found

    def _rules(
        self, surveyed: Surveyed, requests: Sequence[Request], contacts: Sequence[bytes]
    ) -> list[dict[str, str]]:
        """Return for each customer the excluded actions, and the rules that excluded them."""
        width, packed = 2 * len(self._actions), surveyed.excluded.tobytes()
        found = []
        for i, capped in enumerate(surveyed.capped[:, -2].tolist()):
            if capped:
                found.append(self._survey.excluded(surveyed, i, requests[i], contacts[i]))
                continue
            codes = packed[i * width : (i + 1) * width]
            excluded = self._excluded.get(codes)
            if excluded is None:
                if len(self._excluded) >= _MOST_KEPT:
                    self._excluded.clear()
                excluded = self._survey.excluded(surveyed, i, requests[i], contacts[i])
                self._excluded[codes] = excluded
            found.append(excluded.copy())
        return found

    def _offer(self, pick: list[float]) -> Offer:
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

    def _logged(self, record: Record, eligible: int) -> F64:
        """Return the chances of a record, as the kernel keeps them."""
        objectives = len(self._objectives)
        kept: F64 = np.zeros((1, (1 + objectives) * len(self._actions)))
        for o, name in enumerate(self._objectives if eligible else (), 1):
            chances = np.frombuffer(record.chances.get(name, b""), "<f8")
            if len(chances) != eligible:
                raise ModelError(f"the record has {len(chances)} chances of {name!r}")
            kept[0, o * eligible : (o + 1) * eligible] = chances
        return kept


def _other(columns: int, wanted: int) -> SettingsError:
    return SettingsError(f"a row of {columns} columns, where the catalog's customer has {wanted}")
