"""Reference policies of the quality scenarios: River and Vowpal Wabbit on the same decisions.

A policy chooses for decision ``t`` of a task that it was made for, and is told the reward of a
decision at once or later; it sees no other arm's reward.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from river import drift, linear_model, optim
from vowpalwabbit import pyvw

Floats = NDArray[np.float64]


class Policy(Protocol):
    """What `play` needs."""

    def choose(self, t: int) -> int:
        """Return the arm for decision ``t``."""

    def learn(self, t: int, arm: int, reward: float) -> None:
        """Learn what ``arm`` earned in decision ``t``."""


def play(policy: Policy, rewards: Floats, late: int = 0) -> Floats:
    """Return the reward of each decision, float64[n].

    With ``late``, a reward is learned only after so many further decisions were made.
    """
    n = len(rewards)
    earned, arms = np.empty(n), np.empty(n, np.int64)
    for t in range(n + late):
        if t < n:
            arms[t] = arm = policy.choose(t)
            earned[t] = rewards[t, arm]
        if 0 <= (told := t - late) < n:
            policy.learn(told, int(arms[told]), float(earned[told]))
    return earned


class RiverPerArm:
    """River's logistic regression with AdaGrad, one model an arm, epsilon-greedy.

    Parameters
    ----------
    shared
        Active features of each decision, n dicts.
    actions
        float64[n, K, D], features of each arm; D may be 0.
    delta
        Of River's ADWIN over the rewards, at whose alarms all models begin anew; None for none.
    """

    def __init__(
        self,
        shared: Sequence[dict[str, float]],
        actions: Floats,
        *,
        learning_rate: float,
        epsilon: float = 0.05,
        delta: float | None = None,
        seed: int = 0,
    ) -> None:
        self.epsilon = epsilon
        self._rate = learning_rate
        self._drift = None if delta is None else drift.ADWIN(delta=delta)
        self._shared, self._actions = shared, actions
        self._names = [f"action{d}" for d in range(actions.shape[2])]
        self._models = self._new_models()
        self._random = random.Random(seed)

    def _new_models(self) -> list[linear_model.LogisticRegression]:
        return [
            linear_model.LogisticRegression(optim.AdaGrad(self._rate))
            for _ in range(self._actions.shape[1])
        ]

    def _x(self, t: int, arm: int) -> dict[Any, Any]:
        if not self._names:
            return self._shared[t]  # type: ignore[return-value]  # dict is invariant
        named = zip(self._names, self._actions[t, arm].tolist(), strict=True)
        return self._shared[t] | dict(named)

    def choose(self, t: int) -> int:
        if self._random.random() < self.epsilon:
            return self._random.randrange(len(self._models))
        scores = [m.predict_proba_one(self._x(t, a))[True] for a, m in enumerate(self._models)]
        return scores.index(max(scores))

    def learn(self, t: int, arm: int, reward: float) -> None:
        self._models[arm].learn_one(self._x(t, arm), reward > 0.5)
        if self._drift is not None:
            self._drift.update(reward)
            if self._drift.drift_detected:
                self._models = self._new_models()


class VowpalWabbit:
    """VW's contextual bandit with action-dependent features, shared crossed with arm.

    Parameters
    ----------
    shared
        The shared features of each decision, in VW's text form.
    actions
        As `RiverPerArm`; one weight a feature, shared by all arms.
    exploration
        VW's options of the exploration.
    """

    def __init__(
        self,
        shared: Sequence[str],
        actions: Floats,
        exploration: str,
        *,
        learning_rate: float,
        bits: int = 20,
        seed: int = 0,
    ) -> None:
        self._shared, self._actions = shared, actions
        options = (
            f"--cb_explore_adf {exploration} --cb_type mtr -q sa --ignore_linear s -b {bits} "
            f"-l {learning_rate} --random_seed {seed + 1} --quiet"
        )
        self._vw = pyvw.Workspace(options)
        self._random = random.Random(seed)
        self._names = [f" |f{d}" for d in range(actions.shape[2])]
        self._constant = [f"|a {a}" for a in range(actions.shape[1])]
        self._pending: dict[int, tuple[list[Any], float]] = {}

    def _lines(self, t: int) -> list[str]:
        lines = self._constant
        if self._names:
            lines = [
                line + " |f" + "".join(f" {d}:{x:.6g}" for d, x in enumerate(row))
                for line, row in zip(lines, self._actions[t].tolist(), strict=True)
            ]
        return [f"shared |s {self._shared[t]}", *lines]

    def choose(self, t: int) -> int:
        examples = self._vw.parse(self._lines(t))
        chances = self._vw.predict(examples)
        draw, total = self._random.random(), 0.0
        arm = 0
        for arm, chance in enumerate(chances):  # noqa: B007  # the last one takes what is left
            total += chance
            if draw < total:
                break
        self._pending[t] = examples, chances[arm]
        return arm

    def learn(self, t: int, arm: int, reward: float) -> None:
        examples, chance = self._pending.pop(t)
        examples[1 + arm].set_label_string(f"0:{-reward}:{chance:.9g}")
        self._vw.learn(examples)
        self._vw.finish_example(examples)

    def close(self) -> None:
        """Give VW's memory back."""
        self._vw.finish()
