"""``decide-kernel``: score all arms, explore, choose; 20 context features, one core."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nextbest.learners import BayesianRanker
from nextbest.learners.bayesian import EXPERTS
from nextbest.learners.kernels import bayes_serve

from .harness import Result

Floats = NDArray[np.float64]

CONTEXTS = tuple(f"context {i}" for i in range(20))
CATEGORIES = 10
ARMS = (10, 30, 100, 1000)
GAMMA = 1000.0


def run(*, quick: bool) -> Result:
    """Measure; see the module's text.

    A decision is one of 20 categories, K arms, SquareCB and its draw, from codes to arm and
    propensity; time is the thread's processor time. The reference is NumPy, one decision at a
    time, on the same published model of one expert. Beside them: 20 numbers with their full
    covariance, and the default experts.
    """
    runs = 3 if quick else 9
    figures: dict[str, float] = {}
    detail: dict[str, float | int | str] = {"runs": runs, "time": "processor time of one thread"}
    for k in ARMS:
        n = max(200, 200_000 // k)
        case = _Case(k, n)
        ours, plain = [], []
        case.kernel()  # compiles
        for _ in range(runs):  # interleaved, so that both see the same machine
            ours.append(n / _seconds(case.kernel))
            plain.append(case.plain_decisions / _seconds(case.plain))
        assert case.agree()
        figures[f"k{k}"] = statistics.median(ours)
        detail[f"numpy_k{k}"] = statistics.median(plain)
        detail[f"ratio_numpy_k{k}"] = figures[f"k{k}"] / statistics.median(plain)
    for k in ARMS:
        n = max(200, 20_000 // k)
        others = {
            "numbers": _Case(k, n, numbers=20),
            "default_experts": _Case(k, n, experts=EXPERTS),
        }
        for name, case in others.items():
            case.kernel()
            rates = [n / _seconds(case.kernel) for _ in range(runs)]
            detail[f"{name}_k{k}"] = statistics.median(rates)
    return Result("decide-kernel", figures=figures, detail=detail)


def _seconds(step: Callable[[], None]) -> float:
    began = time.thread_time()
    step()
    return time.thread_time() - began


class _Case:
    """A trained model of K arms, published, and N decisions to make."""

    def __init__(
        self,
        k: int,
        n: int,
        numbers: int = 0,
        experts: tuple[tuple[float, float], ...] = ((0.3, 0.0),),
    ) -> None:
        rng = np.random.default_rng(k)
        names = tuple(f"number {i}" for i in range(numbers))
        contexts = () if numbers else CONTEXTS
        ranker = BayesianRanker(
            [f"arm {i}" for i in range(k)],
            numbers=names,
            contexts=contexts,
            experts=experts,
        )
        m = 2000
        columns: dict[str, list[str] | Floats] = {
            name: [f"c{i}" for i in rng.integers(0, CATEGORIES, m)] for name in contexts
        }
        columns |= {name: rng.normal(size=m) for name in names}
        ranker.learn_many(columns, None, rng.integers(0, k, m), rng.integers(0, 2, m))
        model = ranker.publish()
        self.n, self.k, self.plain_decisions = n, k, min(n, 1000)
        self.table, self.dense, self.action, self.weights = model.arrays
        self.rows = rng.integers(0, self.table.shape[1] - 1, (n, len(contexts)))
        self.x = np.ones((n, 1 + numbers), np.float32)
        self.x[:, 1:] = rng.normal(size=(n, numbers))
        self.features = np.empty((n, k, 0), np.float32)
        self.eligible = np.ones(k, np.bool_)
        self.gammas, self.draws = np.full(n, GAMMA), rng.random(n)
        self.arms, self.propensities = np.empty(n, np.int64), np.empty(n)
        self.scores, self.chances = np.empty(k), np.empty(k)
        self.plain_arms = np.empty(self.plain_decisions, np.int64)

    def kernel(self) -> None:
        bayes_serve.decide_rows(
            self.table, self.dense, self.action, self.weights, self.rows, self.x, self.features,
            self.eligible, self.gammas, self.draws, self.arms, self.propensities, self.scores,
            self.chances,
        )  # fmt: skip

    def plain(self) -> None:
        """Decide in NumPy, as one would write it."""
        k = self.k
        for n in range(self.plain_decisions):
            sums = self.table[0][self.rows[n]].sum(axis=0) + self.dense[0, 0]
            z = sums[:k] / np.sqrt(1.0 + np.pi / 8.0 * sums[k:])
            scores = 1.0 / (1.0 + np.exp(-z.astype(np.float64)))
            best = int(scores.argmax())
            chances = 1.0 / (k + GAMMA * (scores[best] - scores))
            chances[best] = 0.0
            chances[best] = 1.0 - chances.sum()
            self.plain_arms[n] = np.searchsorted(np.cumsum(chances), self.draws[n], side="right")

    def agree(self) -> bool:
        """Both choose the same, but for draws that fall on a boundary's rounding."""
        same = self.plain_arms == self.arms[: self.plain_decisions]
        return bool(same.mean() > 0.99)
