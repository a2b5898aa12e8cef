"""``quality-journey``: mean reward over a year of real baskets, against River, VW and a constant.

Figures are mean rewards over the whole stream (quick: its first 5%), from the first decision on.
``plain`` and ``affinity``: `BayesianRanker` with SquareCB, without what is streamed of a
household's past (then each household has a weight of its own for each arm) and with three
streamed affinities; ``_late``: each reward is learned 2,000 decisions late. ``river`` is
AdaGrad's logistic regression, one model an arm with the household one-hot, epsilon-greedy; ``vw``
is SquareCB with action-dependent features, the household crossed with the arm; ``constant`` the
best arm in hindsight.

`tune` plays every row's `GRID` on the first 20% of the decisions, with seeds that no figure uses,
and the setting of the best mean reward is `CHOSEN` (see `quality_tuning`). A row whose rewards are
late has the settings of the same row on time; ``affinity_untuned`` has the model's defaults and the
gamma of ``affinity``; ``vw_epsilon`` and ``vw_cover`` are VW with another exploration than
SquareCB. The detail has the mean over the other 80% too (``_rest``), and mean and standard
deviation over the seeds.
"""

from __future__ import annotations

import functools
import itertools
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nextbest.learners import BayesianRanker

from . import quality_ours as ours
from .harness import Result
from .quality_journey import AFFINITIES, TUNING, Journey, best_constant, load
from .quality_ours import Exploration, Own
from .quality_policies import RiverPerArm, VowpalWabbit, play
from .quality_tuning import Scored, Setting, ranked

Floats = NDArray[np.float64]
Tuned = dict[str, list[Scored]]

LATE = 2_000
QUICK_PART = 0.05

Earn = Callable[..., Floats]


class Row(NamedTuple):
    """A policy to play: what it earns, the name of its settings, how late it learns."""

    earn: Earn
    chosen: str
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
    earned = [row.earn(task, row.late, seed, *CHOSEN[row.chosen]) for seed in seeds]
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


def plain(
    task: Journey,
    late: int,
    seed: int,
    variance: float,
    forgetting: float,
    shared_scale: float,
    own_variance: float,
    gamma: float,
) -> Floats:
    """Ours without a household's past."""
    model = BayesianRanker(
        task.arms,
        contexts=list(task.contexts[0]),
        experts=[(variance, forgetting)],
        shared_scale=shared_scale,
    )
    own = Own(task.customer, own_variance)
    explore = Exploration(gamma, seed=seed)
    return ours.play(model, task.contexts, None, task.rewards, explore, late=late, own=own).earned


def affinity(
    task: Journey,
    late: int,
    seed: int,
    variance: float,
    forgetting: float,
    feature_scale: float,
    bias_scale: float,
    gamma: float,
) -> Floats:
    """Ours with the streamed affinities."""
    settings = {
        "experts": [(variance, forgetting)],
        "feature_scale": feature_scale,
        "bias_scale": bias_scale,
    }
    return untuned(task, late, seed, gamma, **settings)


def untuned(task: Journey, late: int, seed: int, gamma: float, **settings: Any) -> Floats:
    """Ours with the streamed affinities and the model's defaults, but for what is given."""
    model = BayesianRanker(
        task.arms, contexts=list(task.contexts[0]), action_features=AFFINITIES, **settings
    )
    explore = Exploration(gamma, seed=seed)
    return ours.play(model, task.contexts, task.affinity, task.rewards, explore, late=late).earned


def river(
    task: Journey,
    late: int,
    seed: int,
    rate: float,
    epsilon: float,
    delta: float | None = None,
    *,
    affinities: bool = False,
) -> Floats:
    """River's row, or the same with the streamed affinities; with delta, restarts by ADWIN."""
    shared = [
        {f"{name}={word}": 1.0 for name, word in context.items()} | {f"customer={customer}": 1.0}
        for context, customer in zip(task.contexts, task.customer.tolist(), strict=True)
    ]
    actions = task.affinity if affinities else task.affinity[:, :, :0]
    policy = RiverPerArm(
        shared, actions, learning_rate=rate, epsilon=epsilon, delta=delta, seed=seed
    )
    return play(policy, task.rewards, late)


def vw(
    task: Journey,
    late: int,
    seed: int,
    exploration: str,
    rate: float,
    *,
    affinities: bool = False,
) -> Floats:
    """VW's row, or the same with the streamed affinities."""
    shared = [
        " ".join(re.sub(r"[\s:|]", "_", f"{name}={word}") for name, word in context.items())
        + f" customer={customer}"
        for context, customer in zip(task.contexts, task.customer.tolist(), strict=True)
    ]
    actions = task.affinity if affinities else task.affinity[:, :, :0]
    policy = VowpalWabbit(shared, actions, exploration, learning_rate=rate, seed=seed)
    earned = play(policy, task.rewards, late)
    policy.close()
    return earned


river_affinity = functools.partial(river, affinities=True)
vw_affinity = functools.partial(vw, affinities=True)

ROWS: dict[str, Row] = {
    "plain": Row(plain, "plain"),
    "affinity": Row(affinity, "affinity"),
    "plain_late": Row(plain, "plain", LATE),
    "affinity_late": Row(affinity, "affinity", LATE),
    "river": Row(river, "river"),
    "vw": Row(vw, "vw", quick_seeds=1),
    "river_late": Row(river, "river", LATE),
    "affinity_untuned": Row(untuned, "affinity_untuned"),
    "river_affinity": Row(river_affinity, "river_affinity"),
    "vw_affinity": Row(vw_affinity, "vw_affinity", seeds=3),
    "vw_epsilon": Row(vw, "vw_epsilon", seeds=3),
    "vw_cover": Row(vw, "vw_cover", seeds=3),
}
FIGURES = ("plain", "affinity", "plain_late", "affinity_late", "river", "vw")

_RIVER = list(itertools.product((0.1, 0.3, 1.0), (0.02, 0.05)))
_SQUARECB, _EPSILON, _COVER = (
    list(itertools.product(explorations, (0.1, 0.5, 2.0)))
    for explorations in (
        [f"--squarecb --gamma_scale {gamma}" for gamma in (100, 1_000, 10_000)],
        ["--epsilon 0.05"],
        ["--cover 3"],
    )
)
GRID: dict[str, list[Setting]] = {
    "plain": list(
        itertools.product((0.01, 0.03, 0.1), (0.0, 1e-3), (0.1, 1.0), (1.0, 2.0), (500.0, 1_000.0))
    ),
    "affinity": list(
        itertools.product((0.01, 0.03, 0.1), (0.0, 1e-3), (1.0, 100.0), (1.0, 3.0), (500.0, 1e3))
    ),
    "river": _RIVER,
    "river_affinity": _RIVER,
    "vw": _SQUARECB,
    "vw_epsilon": _EPSILON,
    "vw_cover": _COVER,
    "vw_affinity": _SQUARECB,
}
CHOSEN: dict[str, Setting] = {
    "plain": (0.03, 0.0, 1.0, 2.0, 1_000.0),
    "affinity": (0.01, 0.0, 100.0, 3.0, 1_000.0),
    "affinity_untuned": (1_000.0,),
    "river": (0.3, 0.02),
    "river_affinity": (0.1, 0.02),
    "vw": ("--squarecb --gamma_scale 1000", 0.5),
    "vw_epsilon": ("--epsilon 0.05", 2.0),
    "vw_cover": ("--cover 3", 0.1),
    "vw_affinity": ("--squarecb --gamma_scale 10000", 0.5),
}


def tune(names: Sequence[str] = tuple(GRID)) -> Tuned:
    """Return each row's best settings by their mean reward on the first 20%, best first."""
    task = load()
    part = task.first(round(len(task.rewards) * TUNING))
    found = {}
    for name in names:
        score = functools.partial(_score, ROWS[name].earn, part)
        found[name] = ranked(GRID[name], score)
    return found


def _score(earn: Earn, task: Journey, seed: int, setting: Setting) -> float:
    return float(earn(task, 0, seed, *setting).mean())
