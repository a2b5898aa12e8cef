"""A fleet in the simulated world: the engine, the learning and the trials of the stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.fleet_learning import FleetLearning
from nextbest.flows.decision.fleet_orders import order_credit, ranker_settings
from nextbest.flows.decision.goals import goals_of
from nextbest.flows.decision.learning import Learning
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.models import models_with
from nextbest.flows.decision.open_decisions import Credit
from nextbest.flows.decision.record import Order, Record
from nextbest.flows.decision.request import Request, Row
from nextbest.flows.decision.roster import read_roster
from nextbest.flows.simulate.catalog import catalog
from nextbest.flows.simulate.policies import OBJECTIVE, Policy
from nextbest.flows.simulate.strategy import text_of
from nextbest.flows.simulate.world import DAY, World
from nextbest.learners.fleet_parts import Change
from nextbest.learners.published import PublishedArms

Spec = Mapping[str, Any]
PUBLISH_EVERY = 50
"""Credits after which models are published anew."""


class Alone(Policy):
    """One model of some settings, a challenger's; as `simulate.policies.Ours`."""

    learning: Learning | FleetLearning

    def __init__(self, world: World, spec: Spec) -> None:
        super().__init__(world, "ours")
        spans = {goal.name: goal.window + DAY for goal in goals_of(self.loaded.strategy, catalog)}
        settings = ranker_settings(spec)
        self.learning = Learning(self.loaded.strategy.model, spans, settings=settings)
        self._waiting = PUBLISH_EVERY  # at once, that customers' own weights are known by name

    def decide(self, request: Request, row: Row, at: int, decision_id: str) -> Record:
        """Return what is offered, as the service does."""
        persons = self.learning.person(request.customer)
        return self.engine.decide(request, row, b"", persons, at, decision_id)

    def learn(self, credits_: Sequence[Credit]) -> None:
        """Learn at once; publish what all share now and then."""
        self.learning.learn(credits_)
        self._waiting += len(credits_)
        if self._waiting >= PUBLISH_EVERY:
            self._waiting = 0
            self._publish()

    def _publish(self) -> None:
        published = {**self.engine.models.published, **self.learning.changed_models()}
        self.engine.models = models_with(self.loaded.strategy, published, None)


class Crew(Alone):
    """A champion and challengers, with promotion by evidence.

    Parameters
    ----------
    world
        Where they live.
    champion
        Of the challengers, the one that a person promotes when all begins, and whose predecessor
        is retired; empty: the usual models are the champion.
    fleet
        The strategy's, as text.
    """

    def __init__(self, world: World, champion: str, fleet: str) -> None:
        loaded = load(f"{text_of(world)}fleet: {fleet}\n", catalog)
        self.loaded, self.engine = loaded, Engine(loaded, catalog)
        longest = max(goal.window for goal in goals_of(loaded.strategy, catalog))
        spans = {OBJECTIVE: longest + DAY}
        self.fleet = FleetLearning(loaded.strategy, spans, wait=longest + catalog.lateness_us)
        self.learning, self._waiting = self.fleet, PUBLISH_EVERY
        self._published: dict[str, PublishedArms] = {}
        self._changes: list[Change] = []
        orders = [("promote", champion), ("retire", "base")] if champion else []
        for i, (what, member) in enumerate(orders):
            said = Order(fleet=loaded.strategy.name, what=what, member=member, by="a person")
            credit = order_credit(f"order-{i}", world.setting.start + i, said)
            self.fleet.learn([credit])

    def told(self) -> list[Change]:
        """Return what became of the fleet."""
        self._changes += self.fleet.changed_fleet()
        return self._changes

    def _publish(self) -> None:
        self._published.update(self.fleet.changed_models())
        for name in self.fleet.gone():
            self._published.pop(name, None)
        data = self.fleet.roster()
        roster = None if data is None else read_roster(data)
        self.engine.models = models_with(self.loaded.strategy, self._published, roster)
