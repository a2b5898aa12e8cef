"""Three references that see the same decisions as the ranker: what it has to beat.

Each chooses one of K arms for a context and a customer, then is told the reward of that choice;
`mean_reward` is what it has earned so far. They do without streamed features.
"""

import random
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from river import base, linear_model, optim

from ...learners import MeanReward


class RandomPolicy:
    """Choose any arm with equal probability.

    Parameters
    ----------
    n_arms
        Number of arms, K.
    seed
        Seed of the choices.

    Examples
    --------
    >>> policy = RandomPolicy(n_arms=30, seed=1)
    >>> [policy.choose({}, "900") for _ in range(5)]
    [4, 18, 27, 25, 24]
    """

    def __init__(self, n_arms: int, seed: int = 0) -> None:
        self.n_arms = n_arms
        self._random = random.Random(seed)
        self._metric = MeanReward()

    @property
    def mean_reward(self) -> float:
        """Mean reward so far; NaN before the first."""
        return self._metric.get()

    def choose(self, context: Mapping[str, str], customer_id: str) -> int:
        """Return the position of an arm."""
        return self._random.randrange(self.n_arms)

    def learn(self, reward: float) -> None:
        """Count the reward of the last choice."""
        self._metric.update(reward)


class BestConstant:
    """The arm that would have earned most if it had always been chosen: known in hindsight only.

    To say this of the past it has to see the rewards of all arms, which no policy can; it is
    a yardstick.

    Parameters
    ----------
    n_arms
        Number of arms, K.

    Examples
    --------
    >>> policy = BestConstant(n_arms=2)
    >>> for rewards in ([1.0, 0.0], [0.0, 1.0], [0.0, 1.0]):
    ...     policy.learn_all(rewards)
    >>> policy.choose({}, "900"), round(policy.mean_reward, 3)
    (1, 0.667)
    """

    def __init__(self, n_arms: int) -> None:
        self._metrics = [MeanReward() for _ in range(n_arms)]

    @property
    def mean_reward(self) -> float:
        """Mean reward of the best arm so far; NaN before the first."""
        return self._metrics[self.choose({}, "")].get()

    def choose(self, context: Mapping[str, str], customer_id: str) -> int:
        """Return the arm that is the best so far (the first of equals)."""
        totals = [metric.total for metric in self._metrics]
        return totals.index(max(totals))

    def learn_all(self, rewards: Sequence[float]) -> None:
        """Count what each arm would have earned in one decision, in arm order."""
        for metric, reward in zip(self._metrics, rewards, strict=True):
            metric.update(reward)


class RiverPerArm:
    """River's logistic regression with AdaGrad, one model an arm, epsilon-greedy.

    Contexts and the customer are one-hot; only the chosen arm's model learns.

    Parameters
    ----------
    n_arms
        Number of arms, K.
    epsilon
        Probability of a random arm.
    learning_rate
        Of AdaGrad; 0.3 earned most of 0.03, 0.1, 0.3, 0.5 and 1 on the demo's data.
    seed
        Seed of the exploration.

    Examples
    --------
    >>> policy = RiverPerArm(n_arms=2, seed=1)
    >>> for _ in range(100):
    ...     policy.learn(float(policy.choose({"hour": "morning"}, "900") == 1))
    >>> policy.mean_reward
    0.95
    """

    def __init__(
        self, n_arms: int, epsilon: float = 0.05, learning_rate: float = 0.3, seed: int = 0
    ) -> None:
        self.epsilon = epsilon
        self.models: list[base.Classifier] = [
            linear_model.LogisticRegression(optim.AdaGrad(learning_rate)) for _ in range(n_arms)
        ]
        self._random = random.Random(seed)
        self._metric = MeanReward()
        self._last: tuple[int, dict[Hashable, Any]] | None = None

    @property
    def mean_reward(self) -> float:
        """Mean reward so far; NaN before the first."""
        return self._metric.get()

    def choose(self, context: Mapping[str, str], customer_id: str) -> int:
        """Return the arm with the highest predicted probability (the first of equals)."""
        x: dict[Hashable, Any] = {f"{name}={value}": 1.0 for name, value in context.items()}
        x[f"customer={customer_id}"] = 1.0
        if self._random.random() < self.epsilon:
            arm = self._random.randrange(len(self.models))
        else:
            scores = [model.predict_proba_one(x)[True] for model in self.models]
            arm = scores.index(max(scores))
        self._last = (arm, x)
        return arm

    def learn(self, reward: float) -> None:
        """Learn and count the reward of the last choice.

        Raises
        ------
        RuntimeError
            If there is no choice that waits for its reward.
        """
        if self._last is None:
            raise RuntimeError("learn follows choose: no choice waits for a reward")
        arm, x = self._last
        self._last = None
        self.models[arm].learn_one(x, reward > 0.5)
        self._metric.update(reward)
