"""What a choice among arms leaves for the log."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Pull(NamedTuple):
    """A choice among K arms, with all that a log needs to learn from it without bias.

    Attributes
    ----------
    arm
        Position of the chosen arm.
    ranking
        int64[E], the eligible arms, the best score first. Where a shortlist was made, only the
        arms on it, and the chosen arm may be another.
    scores
        float64[K], predicted probability of reward 1, of every arm.
    propensities
        float64[K], the exact probability that each arm was to be chosen; 0 if not eligible.
    propensity
        That of the chosen arm.
    draw
        The uniform number in [0, 1) that chose.
    decision
        The number of the decision, which together with the seed gives the draw.
    control
        Whether the customer belongs to the control group, which the scores do not choose for.
    floored
        Whether it was the floor, and not the explorer, that chose the arm.
    version
        The policy and the state of its model; empty if whoever chose names none.
    exploration
        The number of the decision as the explorer counts, which may have begun anew; 0 if whoever
        chose names none.
    """

    arm: int
    ranking: NDArray[np.int64]
    scores: Floats
    propensities: Floats
    propensity: float
    draw: float
    decision: int
    control: bool = False
    floored: bool = False
    version: str = ""
    exploration: int = 0

    @property
    def explored(self) -> bool:
        """Whether the chosen arm has a lower score than the best eligible one."""
        return bool(self.scores[self.arm] < self.scores[self.ranking[0]])
