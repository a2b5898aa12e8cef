"""A policy in a world, in this process and in event time: thousands of decisions a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
import numpy.typing as npt

from ..decision.attribution import Attribution
from ..decision.credits import Counts
from ..decision.goals import goals_of
from ..decision.ids import id_of_cause
from ..decision.loop_events import LoopEvent
from ..decision.open_decisions import Credit
from ..decision.reading import action_values
from ..decision.record import Response
from ..decision.request import Request, row_of
from .catalog import catalog
from .policies import Policy
from .sessions import rows_of
from .world import CHANNELS, World

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass
class Played:
    """What became of a policy.

    Attributes
    ----------
    chosen
        int64[n], the place of the action of each visit.
    regret
        float64[n], what was expected of the best action more than of the chosen one.
    earned
        float64[n], the value of the answer, if it counted.
    told
        By example: the last that learning was told of it.
    counts
        What attribution counted.
    """

    chosen: I64
    regret: F64
    earned: F64
    told: dict[str, Credit]
    counts: Counts


def play(world: World, make: Callable[[World], Policy]) -> Played:
    """Let a policy decide at every visit of a world, and learn from what comes of it.

    Decisions and outcomes go through the stream's attribution in the order of their times, as the
    log has them; features are those of the stream's state.
    """
    policy, rows, n = make(world), rows_of(world), len(world)
    log = _Log(_attribution(policy), policy)
    expected, best = world.expected, world.best
    chosen, earned = np.full(n, -1, np.int64), np.zeros(n)
    lost = np.empty(n)
    place_of = {name: place for place, name in enumerate(world.actions)}
    for visit in range(n):
        at = int(world.at[visit])
        log.until(at)
        customer = world.customers[world.who[visit]]
        channel = CHANNELS[world.channel[visit]]
        request = Request(customer=customer, channel=channel, context=world.context(visit))
        name = id_of_cause(at, customer, f"{world.seed}-{visit}")
        record = policy.decide(request, row_of(rows, visit), at, name)
        place = chosen[visit] = place_of[record.offers[0].action]
        lost[visit] = best[visit] - expected[visit, place]
        log.add(LoopEvent(name, at, customer, channel, record, "{}"))
        answer = world.answer(visit, place)
        if answer is not None:
            earned[visit] = world.values[place] * answer.counts
            own = Response(decision_id=name, response="accept")
            log.later(
                LoopEvent(f"answer-{visit}", at + answer.after_us, customer, channel, own, "{}")
            )
    log.until(int(world.at[-1]) + 3 * world.setting.window_us)
    return Played(chosen, lost, earned, log.told, log.counts)


def _attribution(policy: Policy) -> Attribution:
    strategy = policy.loaded.strategy
    tags = {name: action_values(name, action) for name, action in strategy.actions.items()}
    return Attribution(
        goals_of(strategy, catalog), grace=catalog.lateness_us, credit=strategy.credit, tags=tags
    )


class _Log:
    """The log of one partition: what is in it goes to attribution, and its credits to learning."""

    def __init__(self, attribution: Attribution, policy: Policy) -> None:
        self.told: dict[str, Credit] = {}
        self.counts = Counts()
        self._attribution, self._policy = attribution, policy
        self._waiting: list[tuple[int, int, LoopEvent]] = []
        self._end = self._sent = 0

    def later(self, event: LoopEvent) -> None:
        """Add an event when its time has come."""
        self._sent += 1
        heappush(self._waiting, (event.at, self._sent, event))

    def add(self, event: LoopEvent) -> None:
        """Add an event now."""
        self._take([event], event.at)

    def until(self, at: int) -> None:
        """Add all events up to a time, which the log's other events have reached."""
        due = []
        while self._waiting and self._waiting[0][0] <= at:
            due.append(heappop(self._waiting)[2])
        self._take(due, at)

    def _take(self, events: list[LoopEvent], end: int) -> None:
        placed = []
        for event in events:
            placed.append(_at_position(event, self._end))
            self._end += 1
        done = self._attribution.take(placed, None, end)
        for name in vars(self.counts):
            setattr(self.counts, name, getattr(self.counts, name) + getattr(done.counts, name))
        if done.credits:
            self.told.update((credit.id, credit) for credit in done.credits)
            self._policy.learn(done.credits)


def _at_position(event: LoopEvent, position: int) -> LoopEvent:
    return LoopEvent(
        event.event_id, event.at, event.customer, event.channel, event.own, event.text,
        position=position,
    )  # fmt: skip
