"""The references beside the ranker, on the same decisions of the same stream.

Knows no dataflow engine.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..decisions import CLOSE, REWARD, TRIGGER, DecisionPoint, Script
from .baselines import BestConstant, RandomPolicy, RiverPerArm


@dataclass(frozen=True, slots=True)
class Standing:
    """Mean rewards of the references over so many decisions; NaN before the first.

    ``seconds`` is the time that they took in this run.
    """

    decisions: int
    random: float
    constant: float
    river: float
    seconds: float


@dataclass(slots=True)
class _Basket:
    context: dict[str, str]
    bought: NDArray[np.float64]


@dataclass(slots=True)
class _Saved:
    """Everything that goes on after a resume."""

    random: RandomPolicy
    constant: BestConstant
    river: RiverPerArm
    open: dict[str, _Basket] = field(default_factory=dict)
    decisions: int = 0
    next_seq: int | None = None


class Yardsticks:
    """Random, the best constant, and River's per-arm logistic without streamed features.

    A reference chooses when a basket is complete: it learns nothing in between, and its reward
    is known at once.

    Parameters
    ----------
    point
        The decision point.
    state
        What `snapshot` returned; None: begin. It is trusted: it lies in the recovery store of
        the data directory and nowhere else.
    report
        Called after each chunk, and at once on resume.
    """

    def __init__(
        self, point: DecisionPoint, state: bytes | None, report: Callable[[Standing], None]
    ) -> None:
        self._n_arms = len(point.arms)
        self._seconds = 0.0
        self._report = report
        self._scripts: dict[int, Script] = {}
        if state is None:
            self._saved = _Saved(
                RandomPolicy(self._n_arms), BestConstant(self._n_arms), RiverPerArm(self._n_arms)
            )
        else:
            self._saved = pickle.loads(state)  # noqa: S301  # our own recovery store
            self._report(self.standing())

    def on_scripts(self, scripts: list[Script]) -> None:
        """Work through the scripts that have come, in log order."""
        began = time.perf_counter()
        saved = self._saved
        self._scripts.update((script.seq, script) for script in scripts)
        if saved.next_seq is None and self._scripts:
            saved.next_seq = min(self._scripts)
        while saved.next_seq is not None and saved.next_seq in self._scripts:
            self._play(self._scripts.pop(saved.next_seq))
            saved.next_seq += 1
        self._seconds += time.perf_counter() - began
        self._report(self.standing())

    def standing(self) -> Standing:
        """Return the mean rewards so far."""
        saved = self._saved
        return Standing(
            saved.decisions,
            saved.random.mean_reward,
            saved.constant.mean_reward,
            saved.river.mean_reward,
            self._seconds,
        )

    def snapshot(self) -> bytes:
        """Return everything that the next `Yardsticks` needs to go on."""
        return pickle.dumps(self._saved)

    def _play(self, script: Script) -> None:
        waiting = self._saved.open
        entries = zip(
            script.kinds.tolist(), script.arms.tolist(), script.customers, script.contexts,
            strict=True,
        )  # fmt: skip
        for kind, arm, customer, context in entries:
            if kind == TRIGGER:
                known = {k: v for k, v in (context or {}).items() if v is not None}
                waiting[customer] = _Basket(known, np.zeros(self._n_arms))
            elif kind == REWARD and customer in waiting:
                waiting[customer].bought[arm] = 1.0
            elif kind == CLOSE and customer in waiting:
                self._learn(customer, waiting.pop(customer))

    def _learn(self, customer: str, basket: _Basket) -> None:
        saved = self._saved
        rewards: list[float] = basket.bought.tolist()
        saved.constant.learn_all(rewards)
        for policy in (saved.random, saved.river):
            policy.learn(rewards[policy.choose(basket.context, customer)])
        saved.decisions += 1
