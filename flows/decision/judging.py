"""A strategy's choice in a decision that another one made: with which chance it takes what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .engine import Engine
from .errors import ModelError, RequestError
from .record import Record
from .terms import Terms

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Considered(NamedTuple):
    """What a strategy would do in a logged decision.

    Attributes
    ----------
    propensities
        float64[K]: the chance that each of its actions is the first of the answer; all are 0
        where none is eligible.
    chances
        float64[objectives, K]: what the models foretold.
    supported
        bool[K]: which of them the decision could have chosen.
    scores, eligible
        float64[K] and bool[K]: from which the chances follow.
    """

    propensities: F64
    chances: F64
    supported: Bools
    scores: F64
    eligible: Bools


class Judge:
    """Asks a strategy about decisions of the log, one after the other.

    It decides by what the record holds: the features, contacts and context, and the models'
    chances as they were then, so nothing that came later is known. Of an action that the
    decision could not choose the record has no chances: it is given the mean of those in the
    records before, or, if there is none, the mean of the other actions' in this record. Contacts
    are those that the logged decisions made.

    Parameters
    ----------
    engine
        Of the strategy; its models are not used.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._place = {name: i for i, name in enumerate(engine.actions)}
        shape = len(engine.objectives), len(engine.actions)
        self._sums, self._counts = np.zeros(shape), np.zeros(len(engine.actions))

    def consider(self, record: Record, terms: Terms | None = None) -> Considered:
        """Return what the strategy would do instead.

        Parameters
        ----------
        record
            Of a decision that has offers, and is no fallback.
        terms
            Those of the version that decided; None: the strategy's own.

        Raises
        ------
        RequestError
            If the strategy has not the record's channel.
        ModelError
            If the record has no chances of an objective.
        StateError
            If its features or contacts are damaged, or of another catalog.
        """
        engine = self._engine
        if record.channel not in engine.loaded.strategy.channels:
            raise RequestError("channel", f"is {record.channel!r:.80}, which the strategy has not")
        chances = self._chances(record, terms)
        supported = self._supported(record)
        row = engine.row(record.served)
        known = row.values, row.state, record.context, record.channel, record.at
        capped = engine.caps.check(record.contacts, record.channel, record.at)
        eligible = engine.rules.check(*known).eligible & capped.allowed
        if capped.room < 1:
            eligible[:] = False
        boosts = engine.inputs.read(*known).boosts
        scores = engine.worth.of(chances, boosts)
        propensities = self._propensities(record, scores, eligible)
        return Considered(propensities, chances, supported, scores, eligible)

    def below(self, record: Record, found: Considered) -> Iterator[float]:
        """Yield the chance of each offer but the first, given that those before it were taken."""
        left = found.eligible.copy()
        for before, offer in pairwise(record.offers):
            taken, place = self.place(before.action), self.place(offer.action)
            if taken >= 0:
                left[taken] = False
            chances = self._propensities(record, found.scores, left)
            yield 0.0 if place < 0 else float(chances[place])

    def _propensities(self, record: Record, scores: F64, eligible: Bools) -> F64:
        exploring = self._engine.exploring
        return exploring.propensities(
            scores,
            eligible,
            control=record.customer if exploring.control(record.customer) else None,
            clock=record.clock,
        )

    def _chances(self, record: Record, terms: Terms | None) -> F64:
        logged = _logged(record, self._engine.objectives)
        if terms is not None:
            logged = terms.read(logged)
        mine = [i for i, name in enumerate(record.eligible) if name in self._place]
        places = [self._place[record.eligible[i]] for i in mine]
        with np.errstate(invalid="ignore", divide="ignore"):
            before = self._sums / self._counts
        full = np.where(self._counts > 0, before, logged.mean(1)[:, None])
        full[:, places] = logged[:, mine]
        self._sums[:, places] += logged[:, mine]
        self._counts[places] += 1
        return full

    def _supported(self, record: Record) -> Bools:
        """Which actions could have been chosen; what was certain left nothing to another."""
        first = record.offers[0]
        names = [first.action] if first.propensity >= 1.0 else record.eligible
        supported = np.zeros(len(self._place), np.bool_)
        supported[[self._place[name] for name in names if name in self._place]] = True
        return supported

    def place(self, action: str) -> int:
        """Return the place of an action; -1: the strategy has none of that name."""
        return self._place.get(action, -1)


def _logged(record: Record, objectives: tuple[str, ...]) -> F64:
    """Return the chances of a record, float64[objectives, eligible]."""
    found = np.empty((len(objectives), len(record.eligible)))
    for row, name in zip(found, objectives, strict=True):
        data = record.chances.get(name, b"")
        if len(data) != 8 * len(record.eligible) or not len(data):
            raise ModelError(f"the record has no chances of {name!r}")
        row[:] = np.frombuffer(data, "<f8")
    if not ((found >= 0.0) & (found <= 1.0)).all():
        raise ModelError("the record has chances that are none")
    return found


def worth_of(engine: Engine, place: int, rewards: Mapping[str, float]) -> float:
    """Return what responses to an action were worth: weighted, less its cost; levers left out.

    Parameters
    ----------
    place
        Of the action.
    rewards
        By objective, the share of its range, in [0, 1].
    """
    *gains, base, _, cost = engine.worth.prices[:, place].tolist()
    parts = zip(gains, engine.objectives, strict=True)
    return float(sum((gain * rewards[name] for gain, name in parts), base) - cost)
