"""A model of arms and a policy, put together: decide, learn, let arms come and go."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from ..base import ArmModel
from ..checkpoint import Data, pack, reading, unpack
from ..drift import RewardDrop
from ..errors import LearnerError
from ..pull import Pull
from .asking import Eligible, matrix
from .explorers import Explorer
from .policy import Policy

_KIND = "Bandit"
_COUNTS = ("decisions", "updates", "began", "latest")


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
    drop
        Notices when rewards have dropped below what the model expects. At its alarms `model` is
        replaced by one that has learned nothing, with the same arms, and the exploration begins
        anew; decisions, and so their draws, are counted on. None for none.

    Raises
    ------
    LearnerError
        If the reward range is empty or not finite, or there is a drop and the model has no method
        `anew`.

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
        drop: RewardDrop | None = None,
    ) -> None:
        low, high = (float(bound) for bound in reward_range)
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise LearnerError(f"reward_range must be (low, high), got {reward_range!r}")
        if drop is not None and (not hasattr(model, "anew") or hasattr(model, "person_bytes")):
            # A model with persons' blocks, which the caller keeps, is his to begin anew.
            raise LearnerError(f"a {type(model).__name__} cannot begin anew when rewards drop")
        self.model, self.drop = model, drop
        self.policy = policy if isinstance(policy, Policy) else Policy(policy)
        self.reward_range = (low, high)
        self.decisions = 0
        """Decisions made so far, but for those whose number was given."""
        self.updates = 0
        """Rewards learned and arms added or retired: the version of the model, set by whoever
        restores one."""
        self.began = 0
        """The last decision before the exploration began anew."""
        self.latest = 0
        """The largest number that a decision had."""

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
        # One that was made before the alarm is made again by a snapshot from before it.
        exploration = max(number - self.began, min(number, 1))
        pull = self.policy.pull(
            self.model,
            context,
            features,
            eligible,
            decision=number,
            customer=customer,
            version=self.version,
            exploration=exploration,
        )
        self.latest = max(self.latest, number)
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
        y = self.scaled(reward)
        step = self.model.learn(context, matrix(features), place, y)
        self.updates += 1
        if self.drop is not None and self.drop.update(y, step.probability):
            self.model, self.began = self.model.anew(), self.latest  # type: ignore[attr-defined]

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

    def to_bytes(self) -> bytes:
        """Return a snapshot of all but the policy, of which it has the version.

        Raises
        ------
        LearnerError
            If the model cannot be written.
        """
        write = getattr(self.model, "to_bytes", None)
        if write is None:
            raise LearnerError(f"a {type(self.model).__name__} has no to_bytes")
        values = {
            "policy": self.policy.version,
            "reward_range": self.reward_range,
            "drop": None if self.drop is None else asdict(self.drop),
            **{name: getattr(self, name) for name in _COUNTS},
        }
        return pack(_KIND, values, {"model": np.frombuffer(write(), np.uint8)})

    @classmethod
    def from_bytes(
        cls, data: Data, load: Callable[[bytes], ArmModel], policy: Policy | Explorer
    ) -> Self:
        """Return the bandit of a snapshot; it continues bit for bit.

        Parameters
        ----------
        data
            As of `to_bytes`.
        load
            Makes the model from its bytes, such as its class's `from_bytes`.
        policy
            The same as before.

        Raises
        ------
        LearnerError
            If the bytes are damaged, of another version or kind, or of a bandit with another
            policy.
        """
        values, arrays = unpack(data, _KIND)
        with reading(_KIND):
            low, high = values["reward_range"]
            drop = None if values["drop"] is None else RewardDrop(**values["drop"])
            model = load(arrays["model"].tobytes())
            bandit = cls(model, policy, reward_range=(low, high), drop=drop)
            if values["policy"] != bandit.policy.version:
                raise LearnerError(
                    f"snapshot of a bandit with policy {values['policy']!r:.20}, "
                    f"this one is {bandit.policy.version!r}: give it one of the same settings"
                )
            for name in _COUNTS:
                if type(values[name]) is not int or not 0 <= values[name] < 2**63:
                    raise LearnerError(f"snapshot of a bandit with {name} {values[name]!r:.40}")
                setattr(bandit, name, values[name])
        return bandit

    def _place(self, arm: int | str) -> int:
        if isinstance(arm, str):
            if not arm or arm not in self.model.arms:
                raise LearnerError(f"unknown arm {arm!r}")
            arm = list(self.model.arms).index(arm)
        if not 0 <= arm < len(self.model.live) or not self.model.live[arm]:
            raise LearnerError(f"unknown arm {arm!r}: no arm is at this place")
        return int(arm)
