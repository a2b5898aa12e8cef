"""Our policy of the quality scenarios: a model of arms, a customer's own weights, SquareCB."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextbest.learners.base import NOTHING, ArmModel, Offset
from nextbest.learners.kernels import squarecb

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Own:
    """One more weight for each customer and arm, which learns in the model's joint step.

    Parameters
    ----------
    customers
        int64[n], who each decision is about.
    variance
        Prior variance of a weight (logits squared).
    """

    def __init__(self, customers: Ints, arms: int, variance: float) -> None:
        self._customers = customers.tolist()
        people = int(customers.max()) + 1
        self._mean = np.zeros((people, arms))
        self._variance = np.full((people, arms), variance)

    def belief(self, t: int) -> tuple[Floats, Floats]:
        """Return mean and variance of the weights of decision ``t``, float64[K] each."""
        person = self._customers[t]
        return self._mean[person], self._variance[person]

    def offset(self, t: int, arm: int) -> Offset:
        """Return the weight that the arm has in decision ``t``."""
        mean, variance = self.belief(t)
        return Offset(float(mean[arm]), float(variance[arm]))

    def learn(self, t: int, arm: int, slope: float, curvature: float) -> None:
        """Take the model's step."""
        mean, variance = self.belief(t)
        v = float(variance[arm])
        mean[arm] += v * slope
        variance[arm] = v - v * v * curvature


class Ours:
    """A model of arms that explores by SquareCB.

    Parameters
    ----------
    model
        Any model of arms.
    contexts
        Context of each decision.
    actions
        float64[n, K, A], or None if the model has no action features.
    gamma, exponent
        In decision t, from 1, SquareCB exploits with ``gamma * t**exponent``; inf is greedy.
    seed
        Of the draws.
    own
        The customers' own weights, or None.
    """

    def __init__(
        self,
        model: ArmModel,
        contexts: Sequence[Mapping[str, Any]],
        actions: Floats | None,
        *,
        gamma: float,
        exponent: float = 0.5,
        seed: int = 0,
        own: Own | None = None,
    ) -> None:
        self.model = model
        self._contexts, self._actions, self._own = contexts, actions, own
        self._gamma, self._exponent, self._seed = gamma, exponent, seed
        self._eligible = np.ones(len(model.arms), np.bool_)
        self._chances = np.empty(len(model.arms))

    def choose(self, t: int) -> int:
        features = None if self._actions is None else self._actions[t]
        mean, variance, chance = self.model.belief(self._contexts[t], features)
        if self._own is not None:
            m, v = self._own.belief(t)
            z = (mean + m) / np.sqrt(1.0 + math.pi / 8.0 * (variance + v))
            chance = 1.0 / (1.0 + np.exp(-z))
        gamma = self._gamma * (t + 1) ** self._exponent
        squarecb.probabilities(chance, self._eligible, gamma, self._chances)
        return squarecb.sample(self._chances, squarecb.uniform(self._seed, t + 1))

    def learn(self, t: int, arm: int, reward: float) -> None:
        row = None if self._actions is None else self._actions[t, arm]
        offset = NOTHING if self._own is None else self._own.offset(t, arm)
        step = self.model.learn(self._contexts[t], row, arm, reward, offset)
        if self._own is not None:
            self._own.learn(t, arm, step.slope, step.curvature)
