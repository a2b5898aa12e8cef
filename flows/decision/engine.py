"""Deciding: from what is known of a customer and a moment to ranked actions and their record.

It reads no clock, no store and no random numbers: what it needs is given, what it makes is a
record. Equal arguments and equal models give an equal record, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import compress
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from ...features.catalog import Catalog
from ...features.errors import StateError
from ...features.kernels.read import MISSING, PRESENT
from ...features.online.answer import Layout
from .contacts import CapRules
from .eligibility import Rules
from .errors import ModelError
from .exploring import Exploring, Pick
from .inputs import Inputs
from .loading import Loaded
from .models import Models
from .record import Offer, Record, Served, Value
from .request import Request, Row, check
from .unserved import Unserved
from .worth import Worth

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LARGEST = 1e9
"""What a number counts as at most, for the models; they want a scale of about 1."""


class Engine:
    """Makes the decisions of one version of a strategy.

    Parameters
    ----------
    loaded
        The strategy.
    catalog
        What its conditions read.
    models
        None: such that have learned nothing.

    Attributes
    ----------
    loaded, catalog
        As the parameters.
    models
        May be replaced at any time, by others of the same strategy; a decision uses those that
        were there when it began.
    columns
        The names of a row's features, in order.

    Raises
    ------
    SettingsError
        If the strategy does not fit the catalog.
    """

    def __init__(self, loaded: Loaded, catalog: Catalog, models: Models | None = None) -> None:
        strategy = loaded.strategy
        self.loaded, self.catalog = loaded, catalog
        self.rules = Rules.compile(strategy, catalog)
        self.caps = CapRules.compile(strategy)
        self.inputs = Inputs.compile(strategy, catalog)
        self.exploring = Exploring(strategy)
        self.worth = Worth(strategy)
        self.actions = tuple(strategy.actions)
        self.objectives = tuple(strategy.objectives)
        customers = next((e.name for e in catalog.entities if e.is_customer), "customer")
        self._layout = Layout(tuple(catalog.of(customers).features()), [customers], 0)
        self.columns = self._layout.columns
        features = [column.feature for column in self._layout.details]
        self._words = np.array(
            [len(f.of_words or f.vocabulary) if f.is_categorical else 0 for f in features]
        )
        self._models = Models(strategy) if models is None else self._checked(models)
        self._unserved = Unserved(strategy, catalog)
        self._featured = bool(strategy.model.action_features)
        n = len(self.columns)
        self._nobody = Row(np.full(n, np.nan), np.full(n, MISSING, np.uint8))

    @property
    def models(self) -> Models:
        """What the decisions are made with."""
        return self._models

    @models.setter
    def models(self, models: Models) -> None:
        self._models = self._checked(models)

    def decide(
        self,
        request: Request,
        served: Row | None,
        contacts: bytes,
        persons: bytes,
        at: int,
        decision_id: str,
        *,
        cause: str = "",
        trigger: str = "",
        stale: bool = False,
    ) -> Record:
        """Decide what to offer.

        Parameters
        ----------
        request
            What is asked for.
        served
            The customer's features as of ``at``; None: they are not known, all are missing.
        contacts, persons
            The customer's packed contacts and own weights; empty: there are none.
        at
            When, microseconds since 1970.
        decision_id
            Of `ids`; the draws follow from it.
        cause, trigger, stale
            See `Record`.

        Returns
        -------
        The record. Where no action is eligible it has no offers, and says for each action why.

        Raises
        ------
        RequestError
            If the request cannot be decided.
        ModelError
            If a model or the customer's weights cannot be used.
        StateError
            If the contacts are damaged.
        """
        check(request, self.loaded.strategy.channels, at)
        models = self._models
        return self._decide(
            request, served, contacts, at, decision_id, persons, models, models.clock,
            models=models.versions, cause=cause, trigger=trigger, stale=stale,
            checksum=crc32(persons) if persons else 0,
        )  # fmt: skip

    def again(
        self, record: Record, *, models: Models | None = None, persons: bytes = b""
    ) -> Record:
        """Make a decision again from its record.

        Parameters
        ----------
        record
            As it was logged.
        models
            The models that decided; None: what they foretold is taken from the record.
        persons
            The customer's own weights as they were, where there are models.

        Raises
        ------
        RequestError, ModelError, StateError, SettingsError
            If the record says what cannot have been decided.
        """
        request = Request(
            customer=record.customer,
            channel=record.channel,
            n=record.wanted,
            context=record.context,
        )
        check(request, self.loaded.strategy.channels, record.at)
        if record.fallback:
            return self.fallback(
                request, record.fallback, record.contacts or None, record.at, record.id,
                cause=record.cause, trigger=record.trigger,
            )  # fmt: skip

        return self._decide(
            request, None if record.served is None else self.row(record.served),
            record.contacts, record.at, record.id, persons,
            record if models is None else models, record.clock,
            models=record.models, cause=record.cause, trigger=record.trigger,
            stale=record.stale, checksum=record.persons,
        )  # fmt: skip

    def fallback(
        self,
        request: Request,
        reason: str,
        contacts: bytes | None,
        at: int,
        decision_id: str,
        *,
        cause: str = "",
        trigger: str = "",
    ) -> Record:
        """Answer the strategy's fallback: for when features or models cannot be had.

        The declared actions, in their order, as far as channel, validity, conditions without
        features and, if there are contacts, caps allow. There is no draw: each has propensity 1.
        Whatever is wrong, this raises nothing but that the request cannot be decided.

        Parameters
        ----------
        reason
            Why; not empty.
        contacts
            None: they could not be read.
        request, at, decision_id, cause, trigger
            As of `decide`.

        Raises
        ------
        RequestError
            If the request cannot be decided.
        """
        check(request, self.loaded.strategy.channels, at)
        names, excluded, room = self._unserved.check(request, contacts, at)
        return Record(
            id=decision_id,
            customer=request.customer,
            at=at,
            channel=request.channel,
            wanted=request.n,
            strategy=self.loaded.version,
            policy=self.exploring.version,
            context=request.context,
            contacts=contacts or b"",
            offers=[
                Offer(action=name, score=0.0, propensity=1.0, draw=0.0)
                for name in names[: min(request.n, room)]
            ],
            eligible=names,
            excluded=excluded,
            fallback=reason or "unknown",
            trigger=trigger,
            cause=cause,
        )

    def _decide(
        self,
        request: Request,
        served: Row | None,
        contacts: bytes,
        at: int,
        decision_id: str,
        persons: bytes,
        believing: Models | Record,
        clock: int,
        checksum: int,
        **about: Any,
    ) -> Record:
        row = self._nobody if served is None else served
        channel, context = request.channel, request.context
        verdicts = self.rules.check(row.values, row.state, context, channel, at)
        capped = self.caps.check(contacts, channel, at)
        eligible = verdicts.eligible
        if capped.reasons:
            eligible &= capped.allowed  # the verdicts are ours alone
        names = list(compress(self.actions, eligible.tolist()))
        control = self.exploring.control(request.customer)
        inputs: dict[str, Value] = {}
        offers: list[Offer] = []
        scores = b""
        chances: dict[str, bytes] = {}
        if names:
            inputs, own, boosts = self.inputs.look(
                row.values, row.state, context, channel, at, LARGEST
            )
            features = own if self._featured else None
            if not isinstance(believing, Record):
                full = believing.chances(inputs, features, persons)
            else:
                full = self._logged(believing, eligible)
            ranked = self.exploring.rank(
                full,
                self.worth.prices,
                boosts,
                eligible,
                len(names),
                min(request.n, capped.room),
                control=request.customer if control else None,
                clock=clock,
                decision_id=decision_id,
            )
            offers = [self._offer(pick, ranked.worths, full, features) for pick in ranked.picks]
            size = 8 * len(names)
            scores = ranked.kept[:size]
            chances = {
                name: ranked.kept[o * size : (o + 1) * size]
                for o, name in enumerate(self.objectives, 1)
            }
        return Record(
            id=decision_id,
            customer=request.customer,
            at=at,
            channel=channel,
            wanted=request.n,
            strategy=self.loaded.version,
            policy=self.exploring.version,
            clock=clock,
            context=context,
            served=None if served is None else _served(row),
            contacts=contacts,
            inputs=inputs,
            offers=offers,
            eligible=names,
            scores=scores,
            chances=chances,
            excluded={}
            if len(names) == len(self.actions)
            else self._excluded(verdicts.excluded, capped.reasons),
            control=control,
            persons=checksum,
            **about,
        )

    def _offer(self, pick: Pick, worths: F64, chances: F64, features: F64 | None) -> Offer:
        place = pick.place
        return Offer(
            action=self.actions[place],
            score=float(worths[place]),
            propensity=pick.propensity,
            draw=pick.draw,
            chances=dict(zip(self.objectives, chances[:, place].tolist(), strict=True)),
            features=[]
            if features is None
            else [None if x != x else x for x in features[place].tolist()],
        )

    def _excluded(self, codes: npt.NDArray[np.uint16], capped: Mapping[str, str]) -> dict[str, str]:
        names, coded = self.rules.names, codes.tolist()
        if not capped:
            return {a: names[code] for a, code in zip(self.actions, coded, strict=True) if code}
        return {
            action: names[code] if code else capped[action]
            for action, code in zip(self.actions, coded, strict=True)
            if code or action in capped
        }

    def typed(self, row: Row) -> dict[str, Value]:
        """Return a row by the names of its features, words for strings; None: no value."""
        return self._layout.typed(row.values.tolist())

    def _logged(self, record: Record, eligible: Bools) -> F64:
        """Return the chances of a record where the eligible actions are."""
        full = np.zeros((len(self.objectives), len(self.actions)))
        places = np.flatnonzero(eligible)
        for o, name in enumerate(self.objectives):
            chances = np.frombuffer(record.chances.get(name, b""), "<f8")
            if len(chances) != len(places):
                raise ModelError(f"the record has {len(chances)} chances of {name!r}")
            full[o, places] = chances
        return full

    def row(self, served: Served | None) -> Row:
        """Return the features of a record; all are missing where it has none.

        Raises
        ------
        StateError
            If they are not those of a row of the catalog.
        """
        if served is None:
            return self._nobody
        n = len(self.columns)
        if len(served.values) != 8 * n or len(served.state) != n:
            raise StateError(f"the features of the record are not of the {n} columns there are")
        values = np.frombuffer(served.values, "<f8")
        state = np.frombuffer(served.state, np.uint8)
        words = self._words > 0
        if not ((values >= 0) & (values < self._words))[words & (state == PRESENT)].all():
            raise StateError("the features of the record have a word that there is not")
        return Row(values, state, served.position, served.age_ms)

    def _checked(self, models: Models) -> Models:
        if models.actions != self.actions or tuple(models.versions) != self.objectives:
            raise ModelError("the models are arranged for another strategy")
        return models


def _served(row: Row) -> Served:
    return Served(
        position=row.position,
        age_ms=row.age_ms,
        values=row.values.tobytes(),
        state=row.state.tobytes(),
    )
