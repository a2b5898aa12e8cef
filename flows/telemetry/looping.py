"""What a run counts of decisions, of what came of them and of what was learned."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ...learners.fleet_parts import FRESH
from ..dead_letters import DeadLetter
from ..decision.credits import Earned
from ..decision.loop_events import LoopEvent
from ..decision.open_decisions import Credit
from ..decision.record import Record, Response
from ..decision.roster import read_roster
from ..loop_steps import Clock, Credits, Earnings, FleetChanges, LoopEvents, PublishedLoop
from . import names as n
from .policies import policy_of
from .running import RunMeter

X = TypeVar("X")


class LoopMeter:
    """Counts what the loop's steps emit.

    Parameters
    ----------
    meter
        Where it is counted.
    strategy, version
        What learns.
    objectives, responses
        Of the strategy; other responses count as ``other``.
    partitions
        The log's partition by the key of its step.
    clock
        Seconds since 1970.
    members
        Of the fleet, as the strategy names them; none: there is no fleet.
    weights
        Of the objectives.
    """

    def __init__(
        self,
        meter: RunMeter,
        strategy: str,
        version: str,
        objectives: Sequence[str],
        responses: Collection[str],
        partitions: Mapping[str, str],
        clock: Callable[[], float] = time.time,
        members: Sequence[str] = (),
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self._meter = meter
        self._partitions = partitions
        self._objectives = frozenset(objectives)
        self._responses = frozenset(responses)
        self._members = frozenset(members)
        self._clock = clock
        meter.set(n.STRATEGY_INFO, 1, strategy, version)
        for objective in objectives:
            for kind in n.EXAMPLE_KINDS:
                meter.begin(n.EXAMPLES, objective, kind)
        for objective, weight in (weights or {}).items():
            meter.set(n.OBJECTIVE_WEIGHT, weight, objective)
        for response in self._responses:
            meter.begin(n.OUTCOMES_LOGGED, response)
        for member in members:
            meter.begin(n.FLEET_DECISIONS, member)
        for what in n.FLEET_CHANGE_KINDS if members else ():
            meter.begin(n.FLEET_CHANGES, what)

    def attributed(self, step: Callable[[X], Iterator[Any]]) -> Callable[[X], Iterator[Any]]:
        """Return a step that counts what attribution emits besides."""

        def counted(item: Any) -> Iterator[Any]:
            self.take(item)
            return step(item)

        return counted

    def published(self, step: Callable[[X], Iterator[Any]]) -> Callable[[X], Iterator[Any]]:
        """Return a step that notes besides which models are published, and what a fleet does."""

        def noted(item: Any) -> Iterator[Any]:
            if isinstance(item[1], PublishedLoop):
                self._published(item[1])
            elif isinstance(item[1], FleetChanges):
                for change in item[1].changes:
                    self._meter.add(n.FLEET_CHANGES, 1, change.what)
            return step(item)

        return noted

    def take(self, item: tuple[str, Any]) -> None:
        """Count what attribution emitted."""
        key, out = item
        if isinstance(out, LoopEvents):
            for event in out.events:
                self._event(event)
        elif isinstance(out, Credits):
            for credit in out.told:
                self._credit(credit)
        elif isinstance(out, Earnings):
            for earned in out.earned:
                self._earned(earned)
        elif isinstance(out, Clock):
            self._meter.set(n.DECISIONS_WAITING, out.waiting, str(out.partition))
        elif isinstance(out, DeadLetter):
            self._meter.refused(self._partitions.get(key, n.OTHER), out, loop=True)

    def _event(self, event: LoopEvent) -> None:
        own = event.own
        if isinstance(own, Record):
            self._meter.add(n.DECISIONS_LOGGED, 1, own.channel, policy_of(own))
            if own.member and self._members:
                self._meter.add(n.FLEET_DECISIONS, 1, self._member(own.member))
        elif isinstance(own, Response):
            known = own.response in self._responses
            self._meter.add(n.OUTCOMES_LOGGED, 1, own.response if known else n.OTHER)

    def _earned(self, earned: Earned) -> None:
        """Add up and down apart: a counter never falls, and what is known is the difference."""
        for up, down, more in (
            (n.REWARD, n.REWARD_TAKEN_BACK, earned.reward),
            (n.REWARDED, n.REWARDED_TAKEN_BACK, earned.offers),
        ):
            self._meter.add(up, max(0.0, more), earned.objective, earned.policy)
            self._meter.add(down, max(0.0, -more), earned.objective, earned.policy)

    def _credit(self, credit: Credit) -> None:
        if credit.objective not in self._objectives:
            return  # an order: nothing that a model learns
        kind = "silence" if credit.silence else "repaired" if credit.revision else "response"
        self._meter.add(n.EXAMPLES, 1, credit.objective, "withdrawn" if credit.withdrawn else kind)

    def _published(self, out: PublishedLoop) -> None:
        roster = None if out.roster is None else read_roster(out.roster)
        now = self._clock()
        for objective, kept in out.kept.items():
            self._meter.set(n.EXAMPLES_KEPT, kept, objective)
        for name, version in out.versions.items():
            objective, _, member = name.partition(":")
            if roster is None or member == roster.champion:
                self._meter.set(n.MODEL_VERSION, version, objective)
                self._meter.set(n.MODEL_CHANGED, now, objective)
        if roster is None:
            return
        roles = [member.role for member in roster.members] + ["shadow"] * len(roster.shadows)
        for role in n.FLEET_ROLES:
            self._meter.set(n.FLEET_MEMBERS, roles.count(role), role)
        gains: dict[tuple[str, ...], float] = {}
        pairs: dict[tuple[str, ...], float] = {}
        for one in roster.members:
            name = self._member(one.name)
            if one.evidence is not None and name != n.OTHER:  # there may be several others
                pairs[name,] = one.evidence.pairs
                for bound in n.FLEET_GAIN_BOUNDS:
                    gains[name, bound] = getattr(one.evidence, bound)
        for shadow in roster.shadows:
            for objective, each in shadow.objectives.items():
                name = f"{objective}:{shadow.name}"
                if len(pairs) < n.BOUNDS["member"]:
                    pairs[name,] = each.evidence.pairs
                    for bound in n.FLEET_GAIN_BOUNDS:
                        gains[name, bound] = getattr(each.evidence, bound)
        self._meter.show(n.FLEET_PAIRS, pairs)
        self._meter.show(n.FLEET_GAIN, gains)

    def _member(self, name: str) -> str:
        if name in self._members:
            return name
        return n.FRESH if name.startswith(FRESH) else n.OTHER
