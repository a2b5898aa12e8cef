"""Bandits for River's tools: its interface in front, ours behind it.

Not part of what `policies` imports, because `river.bandit` brings much with it.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from river.bandit import base

from ..base import ArmModel
from ..errors import LearnerError
from ..pull import Pull
from .bandit import Bandit
from .explorers import Explorer
from .policy import Policy


class _Adapter(base.Policy):
    """What both of River's kinds of policy share: River's arm ids are a bandit's arms by name."""

    def __init__(
        self,
        model: ArmModel,
        policy: Policy | Explorer,
        reward_range: tuple[float, float] = (0.0, 1.0),
        reward_obj: base.RewardObj | None = None,
    ) -> None:
        super().__init__(reward_obj=reward_obj)
        _no_control(policy)
        self.model, self.policy, self.reward_range = model, policy, reward_range
        # A clone begins as this one did: with the model as it was given.
        self.bandit = Bandit(copy.deepcopy(model), policy, reward_range=reward_range)
        self.last: Pull | None = None
        self._ids: dict[str, Any] = {}

    def _choose(self, arm_ids: Iterable[Any], context: Mapping[str, Any] | None) -> Any:
        names = [self._name(arm_id) for arm_id in arm_ids]
        for name in names:
            if name not in self.bandit.arms:
                self.bandit.add_arm(name)
        self.last = self.bandit.pull(context or {}, eligible=names)
        return self._ids[self.bandit.arms[self.last.arm]]

    def _learn(self, arm_id: Any, context: Mapping[str, Any] | None, reward: float) -> None:
        name = self._name(arm_id)
        if name not in self.bandit.arms:
            self.bandit.add_arm(name)
        self.bandit.update(context or {}, None, name, float(reward))

    def _name(self, arm_id: Any) -> str:
        if not isinstance(arm_id, int | str | np.integer):
            raise LearnerError(f"an arm id must be an integer or a string, got {arm_id!r}")
        name = str(arm_id)
        if self._ids.setdefault(name, arm_id) != arm_id:
            raise LearnerError(f"arm ids {arm_id!r} and {self._ids[name]!r} have the same name")
        return name


class ContextualBanditPolicy(_Adapter, base.ContextualPolicy):
    """A bandit as a contextual policy of River, for example for its `evaluate_offline`.

    River's `evaluate` knows no contexts: give it a `BanditPolicy`.

    Parameters
    ----------
    model
        Of the arms, which appear as they are met; with fixed arms, their names must be the arm
        ids as strings. It is copied, never taught itself, so that River's `clone` starts afresh.
    policy
        As of `Bandit`. It must have no control group: River knows no customers.
    reward_range
        As of `Bandit`.
    reward_obj
        River's record of each arm's rewards; the mean if None.

    Attributes
    ----------
    bandit
        The bandit behind it.
    last
        The `Pull` of the last choice, with its exact propensity; None before.

    Raises
    ------
    LearnerError
        If the policy has a control group or the reward range is empty.

    Examples
    --------
    >>> import random
    >>> from river import bandit, linear_model, stats
    >>> from nextbest.learners.policies import ClassifierArms, SquareCB
    >>> rng = random.Random(42)
    >>> def logged():
    ...     for _ in range(2000):
    ...         morning, arm = rng.random() < 0.5, rng.choice(["tea", "coffee"])
    ...         liked = (arm == "coffee") == morning
    ...         yield ["tea", "coffee"], {"morning": float(morning)}, arm, float(liked)
    >>> policy = ContextualBanditPolicy(
    ...     ClassifierArms(linear_model.LogisticRegression(), []), SquareCB(gamma=20.0)
    ... )
    >>> reward, used = bandit.evaluate_offline(policy, logged(), stats.Mean())
    >>> used, round(reward.get(), 2)
    (1009, 0.96)
    """

    def _pull(  # type: ignore[override]
        self, arm_ids: Iterable[Any], context: Mapping[str, Any] | None
    ) -> Any:
        return self._choose(arm_ids, context)

    def update(self, arm_id: Any, context: Mapping[str, Any] | None, reward: float) -> None:
        """Learn the reward of an arm in a context.

        Raises
        ------
        LearnerError
            As `Bandit.update`.
        """
        self._learn(arm_id, context, reward)
        super().update(arm_id, context, reward)  # type: ignore[no-untyped-call]


class BanditPolicy(_Adapter):
    """A bandit without contexts as a policy of River, for its `evaluate` and the like.

    Parameters, attributes and errors are those of `ContextualBanditPolicy`.

    Examples
    --------
    >>> from river import linear_model
    >>> from nextbest.learners import ADFLogisticRegression
    >>> from nextbest.learners.policies import ClassifierArms, Thompson
    >>> policy = BanditPolicy(ClassifierArms(ADFLogisticRegression(), []), Thompson())
    >>> for _ in range(100):
    ...     arm = policy.pull(range(3))
    ...     policy.update(arm, reward=arm == 2)
    >>> policy.pull(range(3)), policy.last.propensity > 0.9
    (2, True)
    """

    def _pull(self, arm_ids: Iterable[Any]) -> Any:
        return self._choose(arm_ids, None)

    def update(self, arm_id: Any, reward: float) -> None:
        """Learn the reward of an arm.

        Raises
        ------
        LearnerError
            As `Bandit.update`.
        """
        self._learn(arm_id, None, reward)
        super().update(arm_id, reward)  # type: ignore[no-untyped-call]


def _no_control(policy: Policy | Explorer) -> None:
    if isinstance(policy, Policy) and policy.control is not None:
        raise LearnerError("a policy for River can have no control group: it knows no customers")
