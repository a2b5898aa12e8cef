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
        int64[E], the eligible arms, the best score first.
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
    """

    arm: int
    ranking: NDArray[np.int64]
    scores: Floats
    propensities: Floats
    propensity: float
    draw: float
    decision: int
