"""Noticing that what was learned no longer earns."""

from dataclasses import dataclass

import numpy as np

from .checks import within
from .errors import LearnerError
from .kernels import drift

LARGEST_THRESHOLD = 1e6
LONGEST_WARM_UP = 1 << 53


@dataclass(slots=True)
class RewardDrop:
    """Notice that a policy's rewards have dropped below what its model expects.

    It compares two explanations of the latest rewards: that they come with the probabilities that
    the model gave to the chosen arms, and that they come with a part of them. Their log
    likelihood ratio adds up but never falls below 0 (CUSUM), and an alarm comes once it reaches
    the threshold. What is expected is first made smaller, if since the last alarm there was less
    reward than expected, by the ratio of both: a new model expects too much.

    An alarm starts the detector anew. What else starts anew is the caller's choice: a policy that
    learned for long explores too little to see which arms have become good, so that a fresh
    model, with its exploration from decision 1, can find them sooner than one that forgets.

    If what is expected is right, or too little, there are at least `exp(threshold)` rewards
    between false alarms on average, whatever the part. Predictions are not quite right, and a
    lasting drop to less than about three quarters is nearer to a part of 0.5 than to none.

    `dataclasses.asdict` is the snapshot, the class called with it the way back.

    Parameters
    ----------
    part
        Of the expected reward that is left after a drop, in [0.01, 0.99]: the smaller, the fewer
        drops are noticed, and seasons taken for one.
    threshold
        Positive, up to `LARGEST_THRESHOLD`. Half the default notices sooner, and is enough where
        an alarm only starts a challenger.
    warm_up
        Rewards that count towards the ratio alone, after the beginning and after an alarm.
    evidence, total, expected, n
        Since the last alarm: the log likelihood ratio, the sums of the rewards and of what was
        expected, and how many they are.
    alarms
        How many there were.

    Raises
    ------
    LearnerError
        If a value is out of range.

    Examples
    --------
    >>> drop = RewardDrop(warm_up=100)
    >>> [t for t in range(1000) if drop.update(float(t % (2 if t < 500 else 10) == 0), 0.5)]
    [617]

    References
    ----------
    Page (1954), "Continuous inspection schemes"; Lorden (1971), "Procedures for reacting to a
    change in distribution", theorem 2, for the false alarms; Shin, Ramdas and Rinaldo (2023),
    "E-detectors: a nonparametric framework for sequential change detection", for rewards between
    0 and 1.
    """

    part: float = 0.5
    threshold: float = 30.0
    warm_up: int = 500
    evidence: float = 0.0
    total: float = 0.0
    expected: float = 0.0
    n: int = 0
    alarms: int = 0

    def __post_init__(self) -> None:
        within("part", self.part, 0.01, 0.99)
        within("threshold", self.threshold, 1e-6, LARGEST_THRESHOLD)
        within("evidence", self.evidence, 0.0, self.threshold)
        for name in ("warm_up", "n", "alarms"):
            value = getattr(self, name)
            if type(value) is not int:
                raise LearnerError(f"{name} must be an int, got {value!r}")
            within(name, value, 0, LONGEST_WARM_UP)
        within("warm_up", self.warm_up, 1, LONGEST_WARM_UP)
        within("total", self.total, 0.0, self.n)
        within("expected", self.expected, 0.0, self.n)

    def update(self, reward: float, expected: float) -> bool:
        """Take in one reward; return whether it is an alarm.

        Parameters
        ----------
        reward
            In [0, 1].
        expected
            The chosen arm's predicted reward, in [0, 1], from before it was learned.

        Raises
        ------
        LearnerError
            If one is NaN or out of range; then nothing is counted.
        """
        within("reward", reward, 0.0, 1.0)
        within("expected", expected, 0.0, 1.0)
        state = np.array([self.evidence, self.total, self.expected, float(self.n)])
        alarm = drift.dropped(
            state, float(reward), float(expected), self.part, self.threshold, self.warm_up
        )
        self.evidence, self.total, self.expected = map(float, state[: drift.COUNT])
        self.n = int(state[drift.COUNT])
        self.alarms += alarm
        return bool(alarm)
