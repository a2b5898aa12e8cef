"""Running measures of a policy's rewards, as a few plain numbers.

`dataclasses.asdict` is the snapshot of any of them, the class called with it the way back, and
`merge` adds what another worker has measured.
"""

import math
from dataclasses import dataclass

from ..errors import LearnerError


@dataclass(slots=True)
class MeanReward:
    """The mean of all rewards so far (progressive: each was measured before it was learned).

    Examples
    --------
    >>> metric = MeanReward()
    >>> for reward in (0.0, 1.0, 1.0, 0.0, 1.0):
    ...     metric.update(reward)
    >>> metric.get()
    0.6
    """

    total: float = 0.0
    n: int = 0

    def update(self, reward: float) -> None:
        """Count one reward; NaN or an infinity is a `LearnerError`."""
        self.total += _finite("reward", reward)
        self.n += 1

    def get(self) -> float:
        """Return the mean, NaN before the first reward."""
        return self.total / self.n if self.n else math.nan

    def merge(self, other: "MeanReward") -> None:
        """Add the rewards that `other` has counted."""
        self.total += other.total
        self.n += other.n


@dataclass(slots=True)
class RecentReward:
    """The mean reward with exponentially fading weights: how the policy does lately.

    Parameters
    ----------
    half_life
        After so many further rewards, a reward counts half. Positive.

    Examples
    --------
    >>> metric = RecentReward(half_life=1.0)
    >>> for reward in (0.0, 1.0):
    ...     metric.update(reward)
    >>> round(metric.get(), 3)
    0.667
    """

    half_life: float = 1000.0
    total: float = 0.0
    weight: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.half_life < math.inf:
            raise LearnerError(f"half_life must be positive, got {self.half_life}")

    def update(self, reward: float) -> None:
        """Count one reward; NaN or an infinity is a `LearnerError`."""
        value = _finite("reward", reward)
        keep = 0.5 ** (1.0 / self.half_life)
        self.total = keep * self.total + value
        self.weight = keep * self.weight + 1.0

    def get(self) -> float:
        """Return the mean, NaN before the first reward."""
        return self.total / self.weight if self.weight else math.nan

    def merge(self, other: "RecentReward") -> None:
        """Add what `other` counted alongside; half-lives that differ are a `LearnerError`."""
        if self.half_life != other.half_life:
            raise LearnerError(
                f"cannot merge half-lives {self.half_life} and {other.half_life} into one"
            )
        self.total += other.total
        self.weight += other.weight


def _finite(what: str, value: float) -> float:
    if not math.isfinite(value):
        raise LearnerError(f"a {what} must be a finite number, got {value!r}")
    return value
