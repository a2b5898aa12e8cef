"""The policies that live in a world: each is the engine with something else that foretells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from ...learners import BayesianRanker
from ...learners.arm_weights import Expert
from ..decision.engine import Engine
from ..decision.fleet_learning import FleetLearning
from ..decision.goals import goals_of
from ..decision.learning import Learning
from ..decision.models import models_with
from ..decision.open_decisions import Credit
from ..decision.record import Record, Value
from ..decision.request import Request, Row
from .catalog import catalog
from .strategy import Variant, strategy_of
from .world import DAY, World

F64 = npt.NDArray[np.float64]

OBJECTIVE = "accept"


class Policy:
    """Decides with a variant of the strategy; learns nothing.

    Parameters
    ----------
    world
        Where it lives; of its law a policy sees nothing.
    variant
        Of the strategy.
    """

    def __init__(self, world: World, variant: Variant) -> None:
        self.loaded = strategy_of(world, variant)
        self.engine = Engine(self.loaded, catalog)

    def decide(self, request: Request, row: Row, at: int, decision_id: str) -> Record:
        """Return what is offered."""
        return self.engine.decide(request, row, b"", b"", at, decision_id)

    def learn(self, credits_: Sequence[Credit]) -> None:
        """Take in what came of offers."""


class Ours(Policy):
    """The product: what the stream learns, published as the stream does.

    A strategy whose model is not personal learns what all share only.

    Parameters
    ----------
    world, variant
        As of `Policy`.
    settings
        As of `Learning`.
    """

    publish_every: ClassVar = 10
    """Credits after which a model is published anew."""
    learning: Learning | FleetLearning

    def __init__(
        self, world: World, variant: Variant = "ours", settings: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(world, variant)
        spans = {goal.name: goal.window + DAY for goal in goals_of(self.loaded.strategy, catalog)}
        self.learning = Learning(self.loaded.strategy.model, spans, settings=settings)
        self._waiting = 0

    def decide(self, request: Request, row: Row, at: int, decision_id: str) -> Record:
        """Return what is offered, as the service does."""
        persons = b""
        if self.loaded.strategy.model.personal:
            persons = self.learning.person(request.customer)
        return self.engine.decide(request, row, b"", persons, at, decision_id)

    def learn(self, credits_: Sequence[Credit]) -> None:
        """Learn at once; publish the shared part now and then."""
        self.learning.learn(credits_)
        self._waiting += len(credits_)
        if self._waiting >= self.publish_every:
            self._waiting = 0
            self._publish()

    def _publish(self) -> None:
        published = {**self.engine.models.published, **self.learning.changed_models()}
        self.engine.models = models_with(self.loaded.strategy, published, None)


class _Foretelling(ABC):
    """What foretells in the place of our models."""

    def __init__(self, engine: Engine) -> None:
        self.actions = engine.actions

    @abstractmethod
    def chances(self, inputs: Mapping[str, Value], features: F64, customer: str) -> F64:
        """Return what is foretold of each action, float64[K]; ``features`` are float64[K, A]."""

    def clock(self, customer: str) -> int:
        """Return how many outcomes were learned, for the exploration."""
        return 0

    @abstractmethod
    def learn(self, credit: Credit) -> None:
        """Learn what came of an offer."""


class _Other(Policy):
    """Another model in the engine's place of ours: same inputs, rules and credits."""

    def __init__(self, world: World, variant: Variant, make: type[_Foretelling]) -> None:
        super().__init__(world, variant)
        self._model = make(self.engine)

    def decide(self, request: Request, row: Row, at: int, decision_id: str) -> Record:
        """Return what is offered: a decision, made again with what the other model foretells."""
        record = super().decide(request, row, at, decision_id)
        if not record.eligible:
            return record
        seen = self.engine.inputs.read(row.values, row.state, request.context, request.channel, at)
        chances = self._model.chances(record.inputs, seen.features, request.customer)
        places = [self.engine.actions.index(name) for name in record.eligible]
        foretold = {OBJECTIVE: chances[places].tobytes()}
        clock = self._model.clock(request.customer)
        return self.engine.again(msgspec.structs.replace(record, chances=foretold, clock=clock))

    def learn(self, credits_: Sequence[Credit]) -> None:
        """Learn each credit once; a silence that is taken back later stays."""
        for credit in credits_:
            if not credit.withdrawn and credit.revision == 0:
                self._model.learn(credit)


class _OnePerson(_Foretelling):
    """A model each, which knows nothing of the others: an intercept, and one weight an action."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._known: dict[str, BayesianRanker] = {}

    def known(self, customer: str) -> BayesianRanker:
        """Return a customer's model."""
        if customer not in self._known:
            self._known[customer] = BayesianRanker(self.actions, experts=[Expert(1.0, 0.0)])
        return self._known[customer]

    def chances(self, inputs: Mapping[str, Value], features: F64, customer: str) -> F64:
        """Return float64[K]."""
        return self.known(customer).belief({}).probability

    def clock(self, customer: str) -> int:
        """Return how many outcomes the customer's own model has learned."""
        return self.known(customer).updates

    def learn(self, credit: Credit) -> None:
        """Learn with the customer's own model."""
        place = self.actions.index(credit.action)
        self.known(credit.customer).learn({}, None, place, credit.reward)


class _River(_Foretelling):
    """River's logistic regression, one model an action, on the contexts that our model sees."""

    def __init__(self, engine: Engine, learning_rate: float = 0.1) -> None:
        super().__init__(engine)
        from river import linear_model, optim

        self._models: list[Any] = [
            linear_model.LogisticRegression(optim.AdaGrad(learning_rate)) for _ in self.actions
        ]

    def chances(self, inputs: Mapping[str, Value], features: F64, customer: str) -> F64:
        """Return float64[K]."""
        x = _one_hot(inputs)
        found = np.empty(len(self.actions))
        for a, model in enumerate(self._models):
            x["liked"] = _known(features[a, 0])
            found[a] = model.predict_proba_one(x)[True]
        return found

    def learn(self, credit: Credit) -> None:
        """Learn with the action's model."""
        x = _one_hot(credit.inputs)
        x["liked"] = _known(credit.features[0])
        self._models[self.actions.index(credit.action)].learn_one(x, credit.reward > 0.5)


def _known(value: float | None) -> float:
    return 0.0 if value is None or value != value else float(value)


def _one_hot(inputs: Mapping[str, Value]) -> dict[Any, Any]:
    return {
        name if isinstance(value, float) else f"{name}={value}": value
        if isinstance(value, float)
        else 1.0
        for name, value in inputs.items()
    }


POLICIES: dict[str, Callable[[World], Policy]] = {
    "ours": Ours,
    "shared": lambda world: Ours(world, "shared"),
    "person": lambda world: _Other(world, "person", _OnePerson),
    "river": lambda world: _Other(world, "river", _River),
    "rules": lambda world: Policy(world, "rules"),
    "random": lambda world: Policy(world, "random"),
}
"""By name: what makes a policy for a world."""
