"""A strategy with a fleet, and logs of what its members' decisions came to."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nextbest.flows.decision.fleet_learning import FleetLearning
from nextbest.flows.decision.keys import decision_id
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.open_decisions import Credit
from nextbest.flows.decision.strategy import Strategy

TEXT = """
name: offers
objectives: {sale: {response: buy, window: 10s}}
channels: {web: {}}
actions: {tea: {channels: [web]}, ice: {channels: [web]}}
model: {contexts: {mood: context.mood}}
exploration: {method: epsilon, epsilon: 0.3}
fleet:
  challengers:
    nimble: {forgetting: [0.01]}
    still: {variances: [0.01], forgetting: [0], switching: 0}
  share: 0.5
  stay: 1s
  keep: 1h
"""
STRATEGY = load(TEXT).strategy
WINDOW, SPAN = 10_000_000, 200_000_000
SPANS = {"sale": SPAN}


def learning(
    full: bytes | None = None, changes: Sequence[bytes] = (), strategy: Strategy = STRATEGY
) -> FleetLearning:
    """Return what learns the fleet of a strategy; partitions are up to 40 s apart."""
    return FleetLearning(strategy, SPANS, full, changes, wait=WINDOW + 40_000_000)


def decided(
    at: int, member: str, reward: float, *, customer: str = "", number: int = 0, chance: float = 0.5
) -> Credit:
    """Return what is told of a decision: a response after a second, or silence at its end."""
    name = customer or f"c{at}"
    silent = reward == 0.0
    return Credit(
        "sale", f"{decision_id(at, name, number)}/0", at + (WINDOW if silent else 1_000_000), at,
        name, "tea", reward, silent, False, 0, {"mood": "up"}, [], member, chance,
    )  # fmt: skip


def log_of(
    seed: int, n: int, rates: dict[str, float], *, start: int = 0, chance: float = 0.5
) -> list[Credit]:
    """Return what n decisions came to, one each 0.1 s, in the order that it is told."""
    rng = random.Random(seed)
    names = list(rates)
    told = []
    for k in range(n):
        member = rng.choice(names)
        reward = float(rng.random() < rates[member])
        told.append(decided(start + 100_000 * k, member, reward, chance=chance))
    return sorted(told, key=lambda credit: credit.time)
