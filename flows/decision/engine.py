"""Deciding: from what is known of a customer and a moment to ranked actions and their record.

It reads no clock, no store and no random numbers: what it needs is given, what it makes is a
record. Equal arguments and equal models give an equal record, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np

from ...features.catalog import Catalog
from ...features.errors import NextbestError, SettingsError, StateError
from ...features.kernels.read import MISSING, PRESENT
from ...features.online.answer import Layout
from ...features.rows import FeatureRows
from .answers import Answers
from .asked import Asked
from .errors import ModelError
from .inputs import LARGEST as LARGEST
from .loading import Loaded
from .making import BLOCK, About, Making
from .member_turns import Turn, in_order, shares, turn_of
from .models import Models
from .record import Offer, Record, Served, Value
from .request import Request, Row, check
from .single import Single
from .unserved import Unserved


class Engine:
    """Makes the decisions of one version of a strategy; any number of threads may use it.

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
        n = len(self.columns)
        self._nobody = Row(np.full(n, np.nan), np.full(n, MISSING, np.uint8))
        self._making = Making(loaded, catalog, self._nobody)
        self._single = Single(loaded, self._making, self._nobody)
        self.rules, self.caps = self._making.rules, self._making.caps
        self.inputs, self.exploring = self._making.inputs, self._making.exploring
        self.worth = self._making.worth

    @property
    def making(self) -> Making:
        """The steps of its decisions."""
        return self._making

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
        models, member = self._models, ""
        if models.split is not None and not self.exploring.control(request.customer):
            models, member = turn_of(models, request.customer, at)
        return self._single.record(
            request, served, contacts, persons, at, decision_id, models,
            cause=cause, trigger=trigger, stale=stale, member=member,
        )  # fmt: skip

    def decide_many(
        self,
        requests: Sequence[Request],
        rows: FeatureRows | Sequence[Row | None],
        contacts: Sequence[bytes],
        persons: Sequence[bytes],
        at: int | Sequence[int],
        decision_ids: Sequence[str],
        *,
        causes: Sequence[str] | None = None,
        trigger: str = "",
        stale: bool | Sequence[bool] = False,
    ) -> list[Record]:
        """Decide for n customers: what `decide` says one after the other, bit for bit.

        All with the models that are there when it begins, each by the member of a fleet whose
        turn it is. A customer who is in it twice is decided
        for twice with the contacts that are given: who keeps the caps is the commit.

        Parameters
        ----------
        requests, contacts, persons, decision_ids
            n of each, as of `decide`.
        rows
            What a reader returned for all, or one each; None where they are not known.
        at, stale
            One for all, or one each.
        causes
            One each; None: an app asked.
        trigger
            Of all.

        Raises
        ------
        RequestError, ModelError, StateError
            What `decide` says of the first that cannot be decided, whose place is a note of the
            error. Nothing is decided then: ask for the others again, without it or one by one.
        SettingsError
            If the lengths differ, or the rows are of another catalog.
        """
        n = len(requests)
        asked = Asked.of(requests, rows, contacts, persons, at, decision_ids)
        late = [stale] * n if isinstance(stale, bool) else list(stale)
        why = [""] * n if causes is None else causes
        if lengths := {n, len(late), len(why)} - {n}:
            raise SettingsError(f"{n} requests, but other parts of {sorted(lengths)}")
        models = self._models
        found: list[Record] = []
        for start in range(0, n, BLOCK):
            part = asked.part(start, start + BLOCK)
            turns = self._turns(models, part)
            about = [
                About(m.versions, m.clock, crc32(own) if own else 0, cause, trigger, old, member)
                for (m, member), own, cause, old in zip(
                    turns, part.persons, why[start:], late[start:], strict=False
                )
            ]
            try:
                self._check(part)
                made = [
                    (places, self._making.records(some, own, [about[i] for i in places]))
                    for own, places, some in shares(turns, part)
                ]
            except NextbestError:
                self._refuse(part, turns, start)
                raise
            found += in_order(made)
        return found

    def answer_many(
        self,
        requests: Sequence[Request],
        rows: FeatureRows | Sequence[Row | None],
        contacts: Sequence[bytes],
        persons: Sequence[bytes],
        at: int | Sequence[int],
        decision_ids: Sequence[str],
    ) -> Answers:
        """Say what `decide_many` would answer, without a record of it: in half the time.

        Parameters and errors are those of `decide_many`.
        """
        asked = Asked.of(requests, rows, contacts, persons, at, decision_ids)
        models = self._models
        parts: list[Answers] = []
        for start in range(0, len(requests), BLOCK):
            part = asked.part(start, start + BLOCK)
            turns = self._turns(models, part)
            try:
                self._check(part)
                made = [
                    (places, self._making.answers(some, own))
                    for own, places, some in shares(turns, part)
                ]
            except NextbestError:
                self._refuse(part, turns, start)
                raise
            parts.append(made[0][1] if len(made) == 1 else Answers.scattered(self.actions, made))
        return Answers.joined(self.actions, parts)

    def _turns(self, models: Models, part: Asked) -> list[Turn]:
        if models.split is None:
            return [Turn(models, "")] * len(part.requests)
        customers = [request.customer for request in part.requests]
        return [
            Turn(models, "") if control else turn_of(models, customer, at)
            for customer, at, control in zip(
                customers, part.at, self.exploring.controls(customers), strict=True
            )
        ]

    def _check(self, part: Asked) -> None:
        channels, checked = self.loaded.strategy.channels, None
        for request, time in zip(part.requests, part.at, strict=True):
            check(request, channels, time, checked)
            checked = request.context

    def _refuse(self, part: Asked, turns: Sequence[Turn], start: int) -> None:
        """Raise what is wrong with the first of some decisions."""
        for i, turn in enumerate(turns):
            one = part.part(i, i + 1)
            try:
                self._check(one)
                self._making.answers(one, turn.models)
            except NextbestError as error:
                error.add_note(f"decision {start + i} of the batch")
                raise

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

        served = None if record.served is None else self.row(record.served)
        about = About(
            record.models, record.clock, record.persons, record.cause, record.trigger,
            record.stale, record.member,
        )  # fmt: skip
        asked = Asked([request], [served], [record.contacts], [persons], [record.at], [record.id])
        if models is None:
            return self._making.records(asked, self._models, [about], record)[0]
        return self._making.records(asked, models, [about])[0]

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

    def typed(self, row: Row) -> dict[str, Value]:
        """Return a row by the names of its features, words for strings; None: no value."""
        return self._layout.typed(row.values.tolist())

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
