"""``drift``: the journey with its arms permuted half-way: how fast rewards come back.

From the middle decision on, every arm earns what another arm earned before (a permutation that
the seed draws), and nobody is told. ``recovered`` is the mean reward over the 10% of the stream
that follow, over that of a fresh model which begins there: an average over the whole of that
stretch, so that the time of recovering counts too. The contexts and every household's own weights
are the model's input, without streamed history. Ours forgets, and a detector of dropped rewards
begins the model and its exploration anew; the detail has the same model without either
(``frozen``), River's AdaGrad one model an arm, and the next 10% (``_later``). ``undrifted`` is
what both cost or gain where nothing is permuted: its mean reward over that of the model without.

The settings of model and exploration were compared on the first 40% of the decisions, with a
drift half-way in them and other permutations, the detector's part on the first 20%. Its threshold,
and that it compares with predictions and not with the mean reward, were settled after a look at
the whole undrifted stream: that there is no false alarm in it is not held out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextbest.learners import BayesianRanker, RewardDrop

from . import quality_ours as ours
from .harness import Result
from .quality_journey import Journey, load
from .quality_ours import Exploration, Own
from .scenario_quality_journey import river

Floats = NDArray[np.float64]
Earn = Callable[[Journey, int], Floats]

STRETCH = 0.1
RIVER_SEEDS = 3
QUICK_PART = 0.2
SETTINGS: dict[str, Any] = {"variance": 0.03, "forgetting": 1e-3, "own_forgetting": 1e-3}
OWN_VARIANCE = 2.0
GAMMA, EXPONENT = 2000.0, 0.25


def run(*, quick: bool) -> Result:
    """Measure; see the module's text. Quick: 3 seeds, the first 20% of the decisions."""
    task = load(round(155_659 * QUICK_PART)) if quick else load()
    seeds = range(3 if quick else 10)
    detail: dict[str, Any] = {"seeds": len(seeds), "decisions": len(task.customer)}
    undrifted, frozen = (
        [float(earn(task, seed).mean()) for seed in seeds] for earn in (forgetting, never)
    )
    detail["undrifted_reward"] = _said(undrifted)
    detail["undrifted_frozen_reward"] = _said(frozen)
    detail["undrifted"] = round(float(np.mean(undrifted) / np.mean(frozen)), 4)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in EARN}
    for seed in seeds:
        few = [name for name in EARN if name != "river" or seed < RIVER_SEEDS]
        for name, ratios in recovery(task, few, seed).items():
            found[name].append(ratios)
    for name, ratios in found.items():
        now, later = zip(*ratios, strict=True)
        detail[f"{name}_recovered"] = _said(list(now))
        detail[f"{name}_recovered_later"] = _said(list(later))
    recovered = float(np.mean([now for now, _ in found["ours"]]))
    return Result("drift", {"recovered": recovered}, detail)


def _said(values: list[float]) -> str:
    return f"{np.mean(values):.4f} ± {np.std(values):.4f}"


def recovery(task: Journey, names: list[str], seed: int) -> dict[str, tuple[float, float]]:
    """Return each one's reward over a fresh model's, in the first and the second stretch after."""
    middle, stretch = len(task.rewards) // 2, round(len(task.rewards) * STRETCH)
    end = drift(task, seed).first(middle + 2 * stretch)
    fresh = forgetting(_from(end, middle), seed)
    found = {}
    for name in names:
        came = EARN[name](end, seed)[middle:]
        found[name] = (
            float(came[:stretch].mean() / fresh[:stretch].mean()),
            float(came[stretch:].mean() / fresh[stretch:].mean()),
        )
    return found


def drift(task: Journey, seed: int) -> Journey:
    """Permute the arms' rewards from the middle on; no arm keeps its own."""
    k = len(task.arms)
    ring = np.random.default_rng(seed).permutation(k)
    other = np.empty(k, np.int64)
    other[ring] = np.roll(ring, 1)
    rewards = task.rewards.copy()
    middle = len(rewards) // 2
    rewards[middle:] = rewards[middle:, other]
    return task._replace(rewards=rewards)


def _from(task: Journey, start: int) -> Journey:
    return task._replace(
        contexts=task.contexts[start:],
        customer=task.customer[start:],
        rewards=task.rewards[start:],
        affinity=task.affinity[start:],
    )


def play(
    task: Journey,
    seed: int,
    *,
    variance: float,
    forgetting: float,
    own_forgetting: float,
    drop: RewardDrop | None = None,
) -> Floats:
    """Return what our model earns."""
    model = BayesianRanker(
        task.arms,
        contexts=list(task.contexts[0]),
        experts=[(variance, forgetting)],
        shared_scale=0.1,
    )
    own = Own(task.customer, OWN_VARIANCE, own_forgetting)
    explore = Exploration(GAMMA, EXPONENT, seed)
    return ours.play(model, task.contexts, None, task.rewards, explore, own=own, drop=drop).earned


def forgetting(task: Journey, seed: int) -> Floats:
    """Ours."""
    return play(task, seed, **SETTINGS, drop=RewardDrop())


def never(task: Journey, seed: int) -> Floats:
    """Ours without forgetting and detector."""
    return play(task, seed, **(SETTINGS | {"forgetting": 0.0, "own_forgetting": 0.0}))


EARN: dict[str, Earn] = {
    "ours": forgetting,
    "frozen": never,
    "river": lambda task, seed: river(task, 0, seed),
}
