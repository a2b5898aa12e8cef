"""A fleet in the simulated world: the engine, the learning and the trials of the stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.fleet_learning import FleetLearning
from nextbest.flows.decision.fleet_orders import order_credit, ranker_settings
from nextbest.flows.decision.goals import goals_of
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.models import models_with
from nextbest.flows.decision.record import Order
from nextbest.flows.decision.roster import read_roster
from nextbest.flows.simulate.catalog import catalog
from nextbest.flows.simulate.policies import OBJECTIVE, Ours
from nextbest.flows.simulate.strategy import text_of
from nextbest.flows.simulate.world import DAY, World
from nextbest.learners.fleet_parts import Change
from nextbest.learners.published import PublishedArms

Spec = Mapping[str, Any]


class Alone(Ours):
    """One model of some settings, a challenger's; published less often, as a fleet costs more."""

    publish_every = 50

    def __init__(self, world: World, spec: Spec) -> None:
        super().__init__(world, settings=ranker_settings(spec))
        self._waiting = self.publish_every  # at once, that customers' weights are known by name


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
        self.learning, self._waiting = self.fleet, self.publish_every
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
