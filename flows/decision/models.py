"""The models that a strategy's decisions are made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ...features.durations import microseconds
from ...features.kernels.layout import I64
from ...learners import BayesianRanker, LearnerError, SegmentOfOne
from ...learners.arranging import arranged as arrange
from ...learners.context import MISSING
from ...learners.person import unpack_person
from ...learners.published import PublishedArms
from ...learners.together import Together, inputs_of
from .errors import ModelError
from .persons import unpack_persons
from .record import Value
from .roster import Roster, Split
from .strategy import Model, Strategy

_FREE = "(free)"
_NO_WORDS = np.frombuffer(b"", np.uint32)
MOST_WEIGHTS = 4_000_000


class Models:
    """One model an objective, arranged for the actions of a strategy. Never changed, only replaced.

    An action that a model has not met is believed of as one that nobody has tried. An objective
    without a model has one that has learned nothing.

    Parameters
    ----------
    strategy
        Whose objectives and actions they are for.
    published
        By objective: what was published of its learner. Names of other objectives are ignored.
    member
        Whose models they are in a fleet; empty: there is none.

    Attributes
    ----------
    versions
        By objective, how many outcomes were learned.
    clock
        The most of these.
    arrays
        What `learners.kernels.conclude` takes first.
    personal, leveled
        Whether customers have weights of their own; whether every model can take them.
    person_keys
        What the objectives' blocks are called among these, end to end, and where each ends.
    split, others
        Of a fleet: who decides for whom, and the challengers' models by name. See `of`.

    Raises
    ------
    ModelError
        If a model was made for other inputs, or has no place for an action that it has not met.
    """

    def __init__(
        self,
        strategy: Strategy,
        published: Mapping[str, PublishedArms] | None = None,
        *,
        member: str = "",
    ) -> None:
        actions = tuple(strategy.actions)
        self.member = member
        self.split: Split | None = None
        self.others: Mapping[str, Models] = MappingProxyType({})
        given = published or {}
        missing = [name for name in strategy.objectives if name not in given]
        fresh = publish(new_learner(strategy.model)) if missing else None
        arranged: dict[str, PublishedArms] = {}
        for name in strategy.objectives:
            model = given.get(name, fresh)
            assert model is not None
            try:
                arranged[name] = model if model.arms == actions else arrange(model, actions)
            except LearnerError as error:
                raise ModelError(f"objective {name!r}: {error}") from error
            if inputs_of(model) != _wanted(strategy):
                raise ModelError(
                    f"objective {name!r}: a model of {inputs_of(model)}; "
                    f"the strategy has {_wanted(strategy)}"
                )
        try:
            self._together = Together(tuple(arranged.values()))
        except LearnerError as error:
            raise ModelError(str(error)) from error
        self.arrays = self._together.arrays
        self._lookups = self._together.lookups
        self._nobody = (-1, 0) * len(arranged)
        self.personal = strategy.model.personal
        self.leveled = self._together.leveled
        self.published = MappingProxyType(dict(given))
        self.arranged = MappingProxyType(arranged)
        self.versions = {name: model.version for name, model in arranged.items()}
        self.clock = max(self.versions.values())
        self.actions = actions
        keys = [self.person_key(name).encode() for name in arranged]
        ends: I64 = np.cumsum([len(key) for key in keys])
        self.person_keys = np.frombuffer(b"".join(keys), np.uint8), ends
        self._strategy = strategy

    def replaced(self, objective: str, model: PublishedArms) -> Models:
        """Return these models with another one for an objective.

        Raises
        ------
        ModelError
            As `Models`, or if the strategy has no such objective.
        """
        if objective not in self._strategy.objectives:
            raise ModelError(f"the strategy has no objective {objective!r}")
        return Models(self._strategy, {**self.published, objective: model})

    def of(self, customer: str, at: int) -> Models:
        """Return the models that decide for a customer at a time: these, or a challenger's."""
        if self.split is None:
            return self
        return self.others.get(self.split.member(customer, at), self)

    def named(self, member: str) -> Models | None:
        """Return the models of a member, of none the champion's; None: it is not there."""
        return self if member in ("", self.member) else self.others.get(member)

    def rows(self, inputs: Mapping[str, Value]) -> list[int]:
        """Return the row of every context and segment in each model.

        Parameters
        ----------
        inputs
            Contexts and segments by name, missing ones left out.
        """
        found: list[int] = []
        for name, places, others in self._lookups:
            found += places.get(inputs.get(name, MISSING), others)  # type: ignore[arg-type]
        return found

    def blocks(self, persons: Sequence[bytes]) -> tuple[Sequence[int], npt.NDArray[np.uint32]]:
        """Return where the own weights of n customers are, and these: see `Together.blocks`.

        Parameters
        ----------
        persons
            Each customer's own weights, see `persons`; empty: nothing is known of them.

        Raises
        ------
        ModelError
            If weights cannot be used.
        """
        if not self.personal or (self._together.leveled and not any(persons)):
            return self._nobody * len(persons), _NO_WORDS
        found = [self._unpacked(own) if own else None for own in persons]
        try:
            return self._together.blocks(found)
        except LearnerError as error:
            raise self._error(error) from error

    def refuse(self, persons: bytes) -> None:
        """Say what is wrong with a customer's own weights.

        Raises
        ------
        ModelError
            If something is.
        """
        try:
            for block in self._unpacked(persons):
                unpack_person(block)
        except LearnerError as error:
            raise self._error(error) from error

    def _error(self, error: LearnerError) -> ModelError:
        return ModelError(f"{', '.join(self.arranged)}: {error}")

    def _unpacked(self, persons: bytes) -> list[bytes]:
        own = unpack_persons(persons)
        return [own.get(self.person_key(name), b"") for name in self.arranged]

    def person_key(self, objective: str) -> str:
        """Return what an objective's block is called among a customer's own weights."""
        return f"{objective}:{self.member}" if self.member else objective


def models_with(
    strategy: Strategy, published: Mapping[str, PublishedArms], roster: Roster | None
) -> Models:
    """Return what decides: the models, and those of challengers where there is a fleet.

    A challenger whose models are not published yet does not decide; if the champion's are not,
    there is no fleet yet.

    Parameters
    ----------
    strategy
        With or without a fleet.
    published
        By objective, or ``objective:member``.
    roster
        Of the fleet; None: it has not begun.

    Raises
    ------
    ModelError
        As `Models`.
    """
    fleet, names = strategy.fleet, tuple(strategy.objectives)
    if fleet is None or roster is None:
        return Models(strategy, published)
    of = {
        member: {name: published.get(f"{name}:{member}") for name in names}
        for member in (roster.champion, *roster.challengers)
    }
    there = {
        member: {name: model for name, model in models.items() if model is not None}
        for member, models in of.items()
        if all(models.values())
    }
    if roster.champion not in there:
        return Models(strategy, published)
    champion = Models(strategy, there[roster.champion], member=roster.champion)
    others = {
        name: Models(strategy, there[name], member=name)
        for name in roster.challengers
        if name in there
    }
    champion.others = MappingProxyType(others)
    champion.split = Split(
        roster.champion, tuple(others), share=fleet.share, stay=microseconds(fleet.stay),
        salt=fleet.salt or strategy.name,
    )  # fmt: skip
    return champion


def new_learner(seen: Model, **settings: Any) -> SegmentOfOne:
    """Return what learns one objective of a strategy: it has no arms yet, but one free place.

    Parameters
    ----------
    seen
        What the learner sees: `Strategy.model`.
    settings
        Of the `BayesianRanker`, where its defaults are not wanted.

    Examples
    --------
    >>> from nextbest.flows.decision.strategy import Action, Channel, Objective
    >>> strategy = Strategy(
    ...     name="tea", objectives={"sale": Objective(response="accept")},
    ...     channels={"web": Channel()}, actions={"green": Action(channels=["web"])},
    ... )
    >>> learner = new_learner(strategy.model)
    >>> learner.model.add_arm("green")
    0
    """
    ranker = BayesianRanker(
        [_FREE],
        numbers=tuple(seen.numbers),
        contexts=tuple(seen.contexts),
        action_features=tuple(seen.action_features),
        **{"max_weights": MOST_WEIGHTS, **settings},
    )
    ranker.retire_arm(_FREE)
    return SegmentOfOne(ranker, tuple(seen.segments))


def load_model(data: bytes) -> SegmentOfOne:
    """Return the model that was published, or kept, as bytes.

    Raises
    ------
    LearnerError
        If the bytes are damaged, or of another version or kind.
    """
    return SegmentOfOne.from_bytes(data, BayesianRanker.from_bytes)


def _wanted(strategy: Strategy) -> dict[str, tuple[str, ...]]:
    seen = strategy.model
    return {
        "numbers": tuple(seen.numbers),
        "contexts": tuple(seen.contexts),
        "action_features": tuple(seen.action_features),
        "segments": tuple(seen.segments),
    }


def publish(learner: SegmentOfOne) -> PublishedArms:
    """Return a learner as it is served, with a free place for actions that it has not met.

    The learner is not changed. The place takes no part in `MOST_WEIGHTS`.
    """
    return learner.publish(spare=True)
