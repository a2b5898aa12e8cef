"""A model of arms and a policy, put together: decide, learn, let arms come and go."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..base import ArmModel
from ..errors import LearnerError
from ..pull import Pull
from .asking import Eligible, matrix
from .explorers import Explorer
from .policy import Policy


class Bandit:
    """Decide by the belief of a model, and teach the model what came of it.

    Parameters
    ----------
    model
        Of the arms; it may be asked and taught elsewhere too.
    policy
        How to choose. An explorer alone is a policy without limits, with seed 0.
    reward_range
        The lowest and the highest reward, which the model learns as 0 and 1. A reward outside is
        refused, never cut off. Gaps between arms relative to the best one (see `SquareCB`) are
        relative to the lowest reward, so let that be one's zero.

    Raises
    ------
    LearnerError
        If the reward range is empty or not finite.

    Examples
    --------
    >>> from river.linear_model import LogisticRegression
    >>> from nextbest.learners.policies import ClassifierArms, SquareCB
    >>> model = ClassifierArms(LogisticRegression(), ["tea", "coffee"])
    >>> bandit = Bandit(model, Policy(SquareCB(gamma=20.0), floor=0.01, seed=3))
    >>> for _ in range(300):
    ...     arm = bandit.pull({"morning": 1.0}).arm
    ...     bandit.update({"morning": 1.0}, None, arm, reward=float(arm == 1))
    >>> bandit.pull({"morning": 1.0}).propensities.round(2).tolist()
    [0.01, 0.99]
    >>> bandit.pull({"morning": 1.0}, eligible=["tea"]).propensities.tolist()
    [1.0, 0.0]

    Arms come and go while it runs:

    >>> bandit.add_arm("water")
    2
    >>> bandit.retire_arm("tea")
    >>> bandit.pull({"morning": 1.0}, decision=1).propensities.round(2).tolist()
    [0.0, 0.9, 0.1]
    """

    def __init__(
        self,
        model: ArmModel,
        policy: Policy | Explorer,
        *,
        reward_range: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        low, high = (float(bound) for bound in reward_range)
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise LearnerError(f"reward_range must be (low, high), got {reward_range!r}")
        self.model = model
        self.policy = policy if isinstance(policy, Policy) else Policy(policy)
        self.reward_range = (low, high)
        self.decisions = 0
        """Decisions made so far, but for those whose number was given."""
        self.updates = 0
        """Rewards learned and arms added or retired: the version of the model, set by whoever
        restores one."""

    @property
    def version(self) -> str:
        """What a pull now names: the policy's settings and the state of the model."""
        return f"{self.policy.version}.{self.updates}"

    @property
    def arms(self) -> Sequence[str]:
        """The name of the arm at each place; empty where there is none."""
        return self.model.arms

    def pull(
        self,
        context: Mapping[str, Any],
        features: ArrayLike | None = None,
        eligible: Eligible | None = None,
        *,
        customer: str | None = None,
        decision: int | None = None,
    ) -> Pull:
        """Choose an arm. The model is not changed.

        Parameters
        ----------
        context
            As the model takes it.
        features
            float64[K, A], action features, if the model has any; NaN is missing.
        eligible
            The arms that may be chosen, bool[K] or names; None for all there are. Places without
            an arm never are.
        customer
            Their id; needed where the policy has a control group.
        decision
            Number of the decision (from 1), which sets the draw and the exploration; None for
            the next one. Give it to make a logged decision again; the own count then stays.

        Raises
        ------
        LearnerError
            If no arm is eligible, an arm is unknown, a shape is wrong, or as the model and
            `Policy.choose` raise.
        """
        number = self.decisions + 1 if decision is None else decision
        pull = self.policy.pull(
            self.model,
            context,
            features,
            eligible,
            decision=number,
            customer=customer,
            version=self.version,
        )
        if decision is None:
            self.decisions = number
        return pull

    def update(
        self,
        context: Mapping[str, Any],
        features: ArrayLike | None,
        arm: int | str,
        reward: float,
    ) -> None:
        """Learn the reward of the arm that was chosen, at once or any time later.

        Parameters
        ----------
        context, features
            As given to `pull`.
        arm
            Its place or its name. Where rewards come late and arms retire, give the name: the
            place may have a new arm by then.
        reward
            Within the reward range.

        Raises
        ------
        LearnerError
            If the arm is unknown or retired, the reward is NaN or out of range, or as the model
            raises.
        """
        place = self._place(arm)
        self.model.learn(context, matrix(features), place, self.scaled(reward))
        self.updates += 1

    def scaled(self, reward: float) -> float:
        """Return a reward as the model learns it, in [0, 1].

        Raises
        ------
        LearnerError
            If the reward is NaN or out of range.
        """
        low, high = self.reward_range
        if not low <= reward <= high:
            raise LearnerError(f"reward must be in [{low:g}, {high:g}], got {reward!r}")
        return min((reward - low) / (high - low), 1.0)

    def add_arm(self, arm: str) -> int:
        """Give the model a new arm; return its place.

        Raises
        ------
        LearnerError
            If the model's arms are fixed, or as the model raises.
        """
        add = getattr(self.model, "add_arm", None)
        if add is None:
            raise LearnerError(f"the arms of a {type(self.model).__name__} are fixed")
        place = add(arm)
        self.updates += 1
        return int(self._place(arm) if place is None else place)

    def retire_arm(self, arm: str) -> None:
        """Take an arm away.

        Raises
        ------
        LearnerError
            If the arm is unknown, the model's arms are fixed, or as the model raises.
        """
        retire = getattr(self.model, "retire_arm", None)
        if retire is None:
            raise LearnerError(f"the arms of a {type(self.model).__name__} are fixed")
        self._place(arm)
        retire(arm)
        self.updates += 1

    def _place(self, arm: int | str) -> int:
        if isinstance(arm, str):
            if not arm or arm not in self.model.arms:
                raise LearnerError(f"unknown arm {arm!r}")
            arm = list(self.model.arms).index(arm)
        if not 0 <= arm < len(self.model.live) or not self.model.live[arm]:
            raise LearnerError(f"unknown arm {arm!r}: no arm is at this place")
        return int(arm)
