"""``quality-journey``: mean reward over a year of real baskets, against River, VW and a constant.

Figures are mean rewards over the whole stream (quick: its first 5%), from the first decision on.
``plain`` and ``affinity``: `BayesianRanker` with SquareCB, without what is streamed of a
household's past (then each household has a weight of its own for each arm) and with three
streamed affinities; ``_late``: each reward is learned 2,000 decisions late. ``river`` is
AdaGrad's logistic regression, one model an arm with the household one-hot, epsilon .05; ``vw``
is SquareCB with action-dependent features, the household crossed with the arm; ``constant`` the
best arm in hindsight.

All settings were chosen on the first 20% of the decisions with seeds that no figure uses, among:
ours, experts' variance .01, .03 and .1 and forgetting 0 and .001, the household's variance 1 and
2, gamma 500 and 1,000; River, learning rates .1, .3 and 1; VW, learning rates .1, .5 and 2 with
SquareCB at gamma 100, 1,000 and 10,000, epsilon .05, and cover 3. The detail has the mean
over the other 80% too (``_rest``), and mean and standard deviation over the seeds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nextbest.learners import BayesianRanker

from . import quality_ours as ours
from .harness import Result
from .quality_journey import AFFINITIES, TUNING, Journey, best_constant, load
from .quality_ours import Exploration, Own
from .quality_policies import RiverPerArm, VowpalWabbit, play

Floats = NDArray[np.float64]

LATE = 2_000
GAMMA = 500.0
QUICK_PART = 0.05
PLAIN: dict[str, Any] = {"experts": [(0.03, 1e-3)], "shared_scale": 0.1}
AFFINITY: dict[str, Any] = {
    "experts": [(0.01, 1e-3)],
    "feature_scale": 100.0,
    "bias_scale": 3.0,
}
OWN_VARIANCE = 2.0
RIVER_RATE = 0.3
VW_EXPLORATION = "--squarecb --gamma_scale 1000"
VW_RATE = 0.5


Earn = Callable[[Journey, int, int], Floats]


class Row(NamedTuple):
    """A policy to play: what it earns in a task, late by so much, with a seed."""

    earn: Earn
    late: int = 0
    seeds: int = 10
    quick_seeds: int = 3


def run(*, quick: bool) -> Result:
    """Measure; see the module's text. Quick: 3 seeds, 1 of VW, the first 5% of the decisions."""
    task = load(round(155_659 * QUICK_PART)) if quick else load()
    figures, detail = {}, dict[str, Any](decisions=len(task.customer))
    for name, row in ROWS.items():
        if quick and name not in FIGURES:
            continue
        found = measure(row, task, range(row.quick_seeds if quick else row.seeds))
        if name in FIGURES:
            figures[name] = found["mean"]
        detail |= {f"{name}_{key}": value for key, value in found.items() if key != "mean"}
        detail[f"{name}_mean"] = round(found["mean"], 5)
    figures["constant"] = best_constant(task)
    rest = task.rewards[round(len(task.rewards) * TUNING) :]
    detail["constant_rest"] = round(float(rest.mean(axis=0).max()), 5)
    detail["random"] = round(float(task.rewards.mean()), 5)
    return Result("quality-journey", figures, detail)


def measure(row: Row, task: Journey, seeds: range) -> dict[str, float]:
    """Play a row with each seed."""
    began = time.perf_counter()
    earned = [row.earn(task, row.late, seed) for seed in seeds]
    seconds = time.perf_counter() - began
    means = [float(rewards.mean()) for rewards in earned]
    cut = round(len(task.rewards) * TUNING)
    rest = [float(rewards[cut:].mean()) for rewards in earned]
    return {
        "mean": float(np.mean(means)),
        "deviation": round(float(np.std(means)), 5),
        "least": round(min(means), 5),
        "rest": round(float(np.mean(rest)), 5),
        "seeds": len(seeds),
        "decisions_per_s": round(len(seeds) * len(task.rewards) / seconds),
    }


def plain(task: Journey, late: int, seed: int) -> Floats:
    """Ours without a household's past."""
    model = BayesianRanker(task.arms, contexts=list(task.contexts[0]), **PLAIN)
    own = Own(task.customer, OWN_VARIANCE)
    explore = Exploration(GAMMA, seed=seed)
    return ours.play(model, task.contexts, None, task.rewards, explore, late=late, own=own).earned


def affinity(task: Journey, late: int, seed: int, settings: dict[str, Any] = AFFINITY) -> Floats:
    """Ours with the streamed affinities."""
    model = BayesianRanker(
        task.arms, contexts=list(task.contexts[0]), action_features=AFFINITIES, **settings
    )
    explore = Exploration(GAMMA, seed=seed)
    return ours.play(model, task.contexts, task.affinity, task.rewards, explore, late=late).earned


def river(task: Journey, late: int, seed: int, *, affinities: bool = False) -> Floats:
    """River's row, or the same with the streamed affinities."""
    shared = [
        {f"{name}={word}": 1.0 for name, word in context.items()} | {f"customer={customer}": 1.0}
        for context, customer in zip(task.contexts, task.customer.tolist(), strict=True)
    ]
    actions = task.affinity if affinities else task.affinity[:, :, :0]
    policy = RiverPerArm(shared, actions, learning_rate=RIVER_RATE, seed=seed)
    return play(policy, task.rewards, late)


def vw(task: Journey, late: int, seed: int, *, affinities: bool = False) -> Floats:
    """VW's row, or the same with the streamed affinities."""
    shared = [
        " ".join(re.sub(r"[\s:|]", "_", f"{name}={word}") for name, word in context.items())
        + f" customer={customer}"
        for context, customer in zip(task.contexts, task.customer.tolist(), strict=True)
    ]
    actions = task.affinity if affinities else task.affinity[:, :, :0]
    policy = VowpalWabbit(shared, actions, VW_EXPLORATION, learning_rate=VW_RATE, seed=seed)
    earned = play(policy, task.rewards, late)
    policy.close()
    return earned


ROWS: dict[str, Row] = {
    "plain": Row(plain),
    "affinity": Row(affinity),
    "plain_late": Row(plain, LATE),
    "affinity_late": Row(affinity, LATE),
    "river": Row(river),
    "vw": Row(vw, seeds=3, quick_seeds=1),
    "river_late": Row(river, LATE),
    "affinity_untuned": Row(lambda *of: affinity(*of, settings={})),
    "river_affinity": Row(lambda *of: river(*of, affinities=True), seeds=3),
    "vw_affinity": Row(lambda *of: vw(*of, affinities=True), seeds=1),
}
FIGURES = ("plain", "affinity", "plain_late", "affinity_late", "river", "vw")
