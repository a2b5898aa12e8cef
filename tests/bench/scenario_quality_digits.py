"""``quality-digits``: handwritten digits as ten arms, reward 1 for the right one; dense context.

1,797 decisions in an order that the seed draws; the context is the 61 pixels that vary, each less
its mean so far. ``reward`` is the mean reward of `BayesianRanker` (every arm its own full
covariance, nothing shared) with SquareCB, from the first decision on, over 10 seeds (quick: 3).
References, on the same rows: River's LinUCB, River's AdaGrad one model an arm with epsilon .05,
VW's SquareCB; and the best constant.

All settings were chosen by `tune` on 20% of the rows, with seeds that no figure uses: of every
policy's `GRID` the setting of the best mean reward is `CHOSEN` (see `quality_tuning`). ``_rest`` in
the detail is the mean over the decisions about the other rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from river import bandit
from sklearn.datasets import load_digits

from nextbest.learners import BayesianRanker

from . import quality_ours
from .harness import Result
from .quality_policies import RiverPerArm, VowpalWabbit, play
from .quality_tuning import Scored, Setting, ranked

Floats = NDArray[np.float64]

TUNING = 0.2
QUICK_SEEDS, SEEDS = 3, 10
ARMS = 10


class Digits(NamedTuple):
    """The decisions in order: contexts float64[n, 61], rewards float64[n, 10]."""

    contexts: list[dict[str, float]]
    rewards: Floats
    held_out: NDArray[np.bool_]


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    seeds = range(QUICK_SEEDS if quick else SEEDS)
    detail: dict[str, Any] = {"seeds": len(seeds)}
    reward = 0.0
    for name, setting in CHOSEN.items():
        runs = [(task, EARN[name](task, seed, *setting)) for seed, task in _tasks(seeds)]
        means = [float(earned.mean()) for _, earned in runs]
        rest = [float(earned[~task.held_out].mean()) for task, earned in runs]
        if name == "ours":
            reward = float(np.mean(means))
        detail[name] = f"{np.mean(means):.4f} ± {np.std(means):.4f}"
        detail[f"{name}_rest"] = round(float(np.mean(rest)), 4)
        detail[f"{name}_setting"] = str(setting)
    detail["constant"] = round(float(digits(0).rewards.mean(axis=0).max()), 4)
    return Result("quality-digits", {"reward": reward}, detail)


@cache
def _rows() -> tuple[Floats, NDArray[np.int64], NDArray[np.bool_]]:
    data = load_digits()
    pixels = data.data / 16.0
    held_out = np.zeros(len(pixels), np.bool_)
    held_out[np.random.default_rng(20).permutation(len(pixels))[: int(len(pixels) * TUNING)]] = True
    return pixels[:, pixels.std(axis=0) > 0.0], data.target.astype(np.int64), held_out


def digits(seed: int, *, tuning: bool = False) -> Digits:
    """Return the rows (those to tune on only, if asked) in the seed's order."""
    pixels, target, held_out = _rows()
    rows = np.flatnonzero(held_out) if tuning else np.arange(len(target))
    rows = np.random.default_rng(seed).permutation(rows)
    seen = np.arange(1, len(rows) + 1)[:, None]
    centred = pixels[rows] - np.cumsum(pixels[rows], axis=0) / seen
    names = [f"pixel{i}" for i in range(centred.shape[1])]
    contexts = [dict(zip(names, row, strict=True)) for row in centred.tolist()]
    return Digits(contexts, np.eye(ARMS)[target[rows]], held_out[rows])


def _tasks(seeds: range) -> list[tuple[int, Digits]]:
    return [(seed, digits(seed)) for seed in seeds]


def ours(task: Digits, seed: int, variances: tuple[float, ...], gamma: float) -> Floats:
    """Our model: an expert for each variance."""
    model = BayesianRanker(
        [f"{arm}" for arm in range(ARMS)],
        numbers=list(task.contexts[0]),
        experts=[(variance, 0.0) for variance in variances],
        shared_scale=0.0,
    )
    explore = quality_ours.Exploration(gamma, seed=seed)
    return quality_ours.play(model, task.contexts, None, task.rewards, explore).earned


class LinUCB:
    """River's disjoint LinUCB."""

    def __init__(self, task: Digits, seed: int, alpha: float, beta: float) -> None:
        self._contexts = task.contexts
        self._arms = list(range(ARMS))
        self._policy = bandit.LinUCBDisjoint(alpha=alpha, beta=beta, seed=seed)

    def choose(self, t: int) -> int:
        return int(self._policy.pull(self._arms, context=self._contexts[t]))

    def learn(self, t: int, arm: int, reward: float) -> None:
        self._policy.update(arm, self._contexts[t], reward)


def linucb(task: Digits, seed: int, alpha: float, beta: float) -> Floats:
    """River's disjoint LinUCB, with prior precision alpha and noise precision beta."""
    return play(LinUCB(task, seed, alpha, beta), task.rewards)


def river(task: Digits, seed: int, rate: float) -> Floats:
    """River's AdaGrad, one model an arm."""
    none = np.empty((len(task.contexts), ARMS, 0))
    return play(RiverPerArm(task.contexts, none, learning_rate=rate, seed=seed), task.rewards)


def vw(task: Digits, seed: int, gamma: float, rate: float) -> Floats:
    """VW's SquareCB."""
    shared = [" ".join(f"{name}:{value:.6g}" for name, value in x.items()) for x in task.contexts]
    none = np.empty((len(shared), ARMS, 0))
    exploration = f"--squarecb --gamma_scale {gamma}"
    policy = VowpalWabbit(shared, none, exploration, learning_rate=rate, seed=seed)
    earned = play(policy, task.rewards)
    policy.close()
    return earned


EARN: dict[str, Callable[..., Floats]] = {
    "ours": ours,
    "linucb": linucb,
    "river": river,
    "vw": vw,
}
GRID: dict[str, list[tuple[Any, ...]]] = {
    "ours": [((*v,), g) for v in ((1.0,), (3.0,), (1.0, 3.0)) for g in (30.0, 100.0, 300.0)],
    "linucb": [(alpha, beta) for alpha in (0.1, 1.0, 3.0) for beta in (1.0, 10.0, 30.0)],
    "river": [(rate,) for rate in (0.03, 0.1, 0.3, 1.0)],
    "vw": [(g, rate) for g in (10, 100, 1000) for rate in (0.1, 0.5, 2.0)],
}
CHOSEN: dict[str, tuple[Any, ...]] = {
    "ours": ((3.0,), 300.0),
    "linucb": (3.0, 1.0),
    "river": (0.03,),
    "vw": (10, 0.5),
}


def tune() -> dict[str, list[Scored]]:
    """Return each policy's best settings by their mean reward on the rows to tune on."""
    return {name: ranked(GRID[name], partial(_score, earn)) for name, earn in EARN.items()}


def _score(earn: Callable[..., Floats], seed: int, setting: Setting) -> float:
    return float(earn(digits(seed, tuning=True), seed, *setting).mean())
