"""The evidence that rewards have dropped: CUSUM of a likelihood ratio, step by step."""

import math

import numpy as np
from numpy.typing import NDArray

from ._jit import kernel

Floats = NDArray[np.float64]

EVIDENCE, TOTAL, EXPECTED, COUNT = range(4)
SIZE = 4


@kernel
def dropped(
    state: Floats, reward: float, expected: float, part: float, threshold: float, warm_up: int
) -> bool:
    """Take in one reward; return whether it is an alarm, after which the state begins anew.

    Parameters
    ----------
    state
        float64[SIZE]: evidence, sums of the rewards and of what was expected, number; changed.
        Zeros to begin with.
    reward, expected
        In [0, 1].
    part, threshold, warm_up
        As `drift.RewardDrop`.
    """
    if state[COUNT] >= warm_up:
        chance = expected
        if state[TOTAL] < state[EXPECTED]:
            chance *= state[TOTAL] / state[EXPECTED]
        # A chance of 1 would make any lesser reward infinite evidence.
        chance = min(chance, 1.0 - 1.0 / (state[COUNT] + 1.0))
        gain = (1.0 - part * chance) / (1.0 - chance)
        step = reward * math.log(part) + (1.0 - reward) * math.log(gain)
        state[EVIDENCE] = max(0.0, state[EVIDENCE] + step)
    if state[EVIDENCE] >= threshold:
        state[:] = 0.0
        return True
    state[TOTAL] += reward
    state[EXPECTED] += expected
    state[COUNT] += 1.0
    return False
