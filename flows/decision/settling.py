"""What came of decisions, once nothing more can come: in the order that they were made.

Responses are told at once and silence at the end of its window, so that the first outcomes that are
told are all responses. A trial of outcomes in the order that they are told would favour whoever
decides more. So a decision counts as nothing more can come of it, and those count in the order of
their times and ids, whatever order the log's partitions were read in. Of a customer's decisions
within one stay the first counts: the member who decides is drawn anew for each stay, and only draws
are independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import NamedTuple

import numpy as np

from .errors import RequestError
from .fleet_state import Order, Settled, Waiting
from .ids import parse_id
from .open_decisions import Credit
from .strategy import Strategy
from .worth import Worth

MOST_WAITING = 1_000_000
"""Decisions; of more, the oldest settle before their time."""
MOST_ORDERS = 256
"""Of which it is known that they were done: an event that is sent twice counts once."""


class Outcome(NamedTuple):
    """A decision that is settled.

    Attributes
    ----------
    at, member
        When, and who decided.
    value
        What it was worth, scaled to [0, 1].
    reward, expected
        The mean of the objectives' rewards by weight, and what was foretold of it; None: nothing.
    """

    at: int
    member: str
    value: float
    reward: float
    expected: float | None


class Value:
    """What the outcomes of an action's offer are worth to a strategy, scaled to [0, 1].

    It is what the strategy ranks by, with rewards in place of chances, and without levers and
    boosts: these say what is to be preferred, not what was earned.

    Examples
    --------
    >>> from .strategy import Action, Channel, Objective
    >>> strategy = Strategy(
    ...     name="tea", objectives={"sale": Objective(response="buy")},
    ...     channels={"web": Channel()},
    ...     actions={"green": Action(channels=["web"], value=4.0),
    ...              "black": Action(channels=["web"])},
    ... )
    >>> value = Value(strategy)
    >>> value.of("green", {"sale": 1.0}), value.of("black", {"sale": 1.0}), value.of("red", {})
    (1.0, 0.25, None)
    """

    def __init__(self, strategy: Strategy) -> None:
        prices = Worth(strategy).prices
        self._objectives = tuple(strategy.objectives)
        n = len(self._objectives)
        self._gains, self._base = prices[:n], prices[n] - prices[n + 2]
        self._places = {name: i for i, name in enumerate(strategy.actions)}
        self._low = float((self._base + np.minimum(self._gains, 0.0).sum(0)).min())
        self._span = float((self._base + np.maximum(self._gains, 0.0).sum(0)).max()) - self._low
        weights = np.abs([one.weight for one in strategy.objectives.values()])
        total = weights.sum()
        self._weights = weights / total if total else np.full(n, 1.0 / n)

    def of(self, action: str, rewards: Mapping[str, float]) -> float | None:
        """Return the value of some rewards in [0, 1]; None: there is no such action."""
        place = self._places.get(action)
        if place is None:
            return None
        told = np.array([rewards.get(name, 0.0) for name in self._objectives])
        value = float(self._base[place] + told @ self._gains[:, place])
        return min(max((value - self._low) / self._span, 0.0), 1.0) if self._span else 0.0

    def mean(self, rewards: Mapping[str, float]) -> float:
        """Return the mean of some rewards, or chances, by the objectives' weights."""
        told = np.array([rewards.get(name, 0.0) for name in self._objectives])
        return min(max(float(told @ self._weights), 0.0), 1.0)


class Settling:
    """The decisions of members that wait for what comes of them, and the orders of persons.

    Parameters
    ----------
    value
        Of outcomes.
    wait
        After how much event time nothing more comes of a decision, microseconds.
    stay
        How long a stay is, microseconds.
    state
        Of another one; changed from now on.
    """

    def __init__(self, value: Value, wait: int, stay: int, state: Settled | None = None) -> None:
        self._value, self._wait, self._stay = value, wait, stay
        self.state = state or Settled()
        self._seen = set(self.state.seen)
        kept = self.state.decisions, self.state.orders
        self._due = [(one.at, name) for each in kept for name, one in each.items()]
        heapify(self._due)

    def saved(self) -> Settled:
        """Return the state for another one."""
        self.state.seen = sorted(self._seen)
        return self.state

    def take(self, credit: Credit) -> None:
        """Take in what an objective is told of a decision's first offer."""
        newest = self.state.newest
        self.state.newest = max(newest, credit.time)
        identifier, _, rank = credit.id.rpartition("/")
        if not credit.member or rank != "0":
            return
        waiting = self.state.decisions.get(identifier)
        if waiting is None:
            try:
                at, customer, _ = parse_id(identifier)
            except RequestError:
                return  # no engine of ours made it
            if at + self._wait < newest:
                self.state.late += credit.revision == 0
                return
            waiting = Waiting(at, credit.member, customer, credit.action, {})
            self.state.decisions[identifier] = waiting
            heappush(self._due, (at, identifier))
        told = waiting.told.get(credit.objective)
        if told is None or credit.revision >= told[0]:
            reward = None if credit.withdrawn else credit.reward
            waiting.told[credit.objective] = credit.revision, reward, credit.chance

    def order(self, identifier: str, order: Order) -> None:
        """Take in what a person wants; it is done among the decisions of its time."""
        if identifier not in self.state.orders and identifier not in self.state.done:
            self.state.orders[identifier] = order
            heappush(self._due, (order.at, identifier))

    def orders(self) -> list[Order]:
        """Return what persons want and is not settled yet, in order."""
        return [one for _, one in sorted(self.state.orders.items(), key=lambda o: (o[1].at, o[0]))]

    def settled(self) -> Iterator[Outcome | Order]:
        """Yield what settles now, in order."""
        state = self.state
        while self._due:
            at, name = self._due[0]
            full = len(state.decisions) > MOST_WAITING
            if at + self._wait >= state.newest and not full:
                return
            heappop(self._due)
            order = state.orders.pop(name, None)
            if order is not None:
                state.done = [*state.done, name][-MOST_ORDERS:]
                yield order
                continue
            waiting = state.decisions.pop(name, None)
            outcome = None if waiting is None else self._outcome(waiting)
            if outcome is not None:
                yield outcome

    def _outcome(self, one: Waiting) -> Outcome | None:
        period = one.at // self._stay
        if period != self.state.period:
            self.state.period = period
            self._seen.clear()
        rewards = {name: told[1] for name, told in one.told.items() if told[1] is not None}
        if one.customer in self._seen or not rewards:
            return None
        value = self._value.of(one.action, rewards)
        if value is None:
            return None
        self._seen.add(one.customer)
        chances = {name: told[2] for name, told in one.told.items() if told[2] is not None}
        expected = self._value.mean(chances) if chances else None
        return Outcome(one.at, one.member, value, self._value.mean(rewards), expected)
