"""``policies``: choosing among 1000 arms with and without a shortlist, and LinUCB against River's.

Taken in turns, of one model in one state: whole decisions of a bandit (`…_shortlist_ratio`: what
the model's belief costs is in both), and the choice alone, of a belief (`…_choice_ratio`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from river.bandit import LinUCBDisjoint

from nextbest.learners import BayesianRanker
from nextbest.learners.policies import (
    Bandit,
    EpsilonGreedy,
    Explorer,
    LinUCB,
    Policy,
    Shortlist,
    SquareCB,
    Thompson,
)

from .harness import Result

K = 1000
NUMBERS = [f"n{i}" for i in range(15)]
EXPLORERS: dict[str, Explorer] = {
    "squarecb": SquareCB(),
    "thompson": Thompson(),
    "linucb": LinUCB(),
    "epsilon": EpsilonGreedy(),
}


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs, decisions = (3, 30) if quick else (7, 200)
    model = _trained(K)
    belief = model.belief({"hour": "h1"})
    eligible = np.ones(K, np.bool_)
    figures: dict[str, float] = {}
    detail: dict[str, float] = {"arms": K, "runs": runs}
    for name, explorer in EXPLORERS.items():
        policies = [Policy(explorer, floor=1e-5, shortlist=s) for s in (None, Shortlist())]
        whole, short = (Bandit(model, policy) for policy in policies)
        alone, alone_short = (
            lambda i, policy=policy: policy.choose(belief, eligible, i) for policy in policies
        )
        rates = _rates(
            [
                lambda i, bandit=whole: bandit.pull({"hour": "h1"}, decision=i),
                lambda i, bandit=short: bandit.pull({"hour": "h1"}, decision=i),
                alone,
                alone_short,
            ],
            decisions,
            runs,
        )
        figures[f"{name}_shortlist_ratio"] = rates[1] / rates[0]
        figures[f"{name}_choice_ratio"] = rates[3] / rates[2]
        detail |= {
            f"{name}_per_s": rates[0],
            f"{name}_shortlist_per_s": rates[1],
            f"{name}_choice_per_s": rates[2],
            f"{name}_shortlist_choice_per_s": rates[3],
        }
    ours, rivers = _against_river(runs, 100 if quick else 400)
    figures["ratio_river_linucb"] = ours / rivers
    detail |= {"linucb_10_arms_per_s": ours, "river_linucb_10_arms_per_s": rivers}
    return Result("policies", figures, detail)


def _trained(arms: int) -> BayesianRanker:
    rng = np.random.default_rng(1)
    model = BayesianRanker([f"arm {i}" for i in range(arms)], contexts=["hour"])
    worth = rng.uniform(0.02, 0.2, arms)
    for i in range(3 * arms):
        context = {"hour": f"h{i % 6}"}
        model.learn(context, None, i % arms, float(rng.random() < worth[i % arms]))
    return model


def _rates(steps: list[Callable[[int], object]], times: int, runs: int) -> list[float]:
    """Return the median steps a second of each, all taken in turns."""
    found: list[list[float]] = [[] for _ in steps]
    for run in range(runs + 1):
        for rates, step in zip(found, steps, strict=True):
            began = time.perf_counter()
            for i in range(times):
                step(i + 1)
            if run:  # the first compiles
                rates.append(times / (time.perf_counter() - began))
    return [statistics.median(rates) for rates in found]


def _against_river(runs: int, times: int) -> tuple[float, float]:
    """Return decisions a second, with learning, of 10 arms and 15 numbers: ours and River's."""
    rng = np.random.default_rng(2)
    contexts = [dict(zip(NUMBERS, row, strict=True)) for row in rng.normal(size=(64, 15)).tolist()]
    arms = [f"arm {i}" for i in range(10)]
    bandit = Bandit(BayesianRanker(arms, numbers=NUMBERS), LinUCB())
    river = LinUCBDisjoint(seed=1)

    def ours(i: int) -> None:
        context = contexts[i % 64]
        arm = bandit.pull(context).arm
        bandit.update(context, None, arm, float(context["n0"] > 0.0))

    def rivers(i: int) -> None:
        context = contexts[i % 64]
        arm = river.pull(arms, context)
        river.update(arm, context, float(context["n0"] > 0.0))

    rates = _rates([ours, rivers], times, runs)
    return rates[0], rates[1]
