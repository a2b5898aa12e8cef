"""The models that a strategy's decisions are made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ...learners import BayesianRanker, LearnerError, SegmentOfOne
from ...learners.arranging import arranged as arrange
from ...learners.context import MISSING
from ...learners.person import unpack_person
from ...learners.published import PublishedArms
from ...learners.together import Together, inputs_of
from .errors import ModelError
from .persons import unpack_persons
from .record import Value
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

    Attributes
    ----------
    versions
        By objective, how many outcomes were learned.
    clock
        The most of these.
    arrays
        What `learners.kernels.conclude` takes first.
    personal
        Whether customers have weights of their own.
    told
        A row of what it is told: `rows`, `blocks`, and one more number.

    Raises
    ------
    ModelError
        If a model was made for other inputs, or has no place for an action that it has not met.
    """

    def __init__(
        self, strategy: Strategy, published: Mapping[str, PublishedArms] | None = None
    ) -> None:
        actions = tuple(strategy.actions)
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
        self.told = Struct(f"<{(len(self._lookups) + 2) * len(arranged) + 1}q")
        self.published = MappingProxyType(dict(given))
        self.arranged = MappingProxyType(arranged)
        self.versions = {name: model.version for name, model in arranged.items()}
        self.clock = max(self.versions.values())
        self.actions = actions
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
        return [own.get(name, b"") for name in self.arranged]


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

    The learner is not changed but for the free place, which the next new arm takes.

    Raises
    ------
    ModelError
        If there is no room for another place.
    """
    ranker = learner.model
    assert isinstance(ranker, BayesianRanker)
    if "" not in ranker.arms:
        try:
            ranker.add_arm(_FREE)
        except LearnerError as error:
            raise ModelError(str(error)) from error
        ranker.retire_arm(_FREE)
    return learner.publish()
