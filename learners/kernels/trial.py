"""The evidence of a trial: a mixture of bets on a mean difference, from three sums."""

import math

import numpy as np
from numpy.typing import NDArray

from ._jit import kernel

Floats = NDArray[np.float64]

_BETS = 24
_SCALE = 0.1
_EVEN = 0.1


def _mixture() -> tuple[Floats, Floats, Floats]:
    bets = np.geomspace(0.005, 0.9, _BETS)
    likely = bets * np.exp(-0.5 * (bets / _SCALE) ** 2)
    weights = (1.0 - _EVEN) * likely / likely.sum() + _EVEN / _BETS
    return bets, np.log(weights), -np.log1p(-bets) - bets


BETS, LOG_WEIGHTS, COSTS = _mixture()
"""The parts of the capital that are bet, their weights' logarithms, what their variance costs.

A bet of b is the best one if differences that are not 0 are 1 with probability (1 + b) / 2. Most of
the weight is on small ones, since good challengers are a little better, and a tenth is even.
"""


@kernel
def log_evidence(n: int, total: float, squares: float, mean: float) -> float:
    """Return the logarithm of what is surely won by betting that differences exceed a mean.

    Parameters
    ----------
    n, total, squares
        How many differences in [-1, 1] there were, their sum and that of their squares.
    mean
        What is bet against, above -1.
    """
    scale = 1.0 / (1.0 + mean)
    first = (total - n * mean) * scale
    second = (squares - 2.0 * mean * total + n * mean * mean) * scale * scale
    top = -math.inf
    for i in range(_BETS):
        top = max(top, LOG_WEIGHTS[i] + BETS[i] * first - COSTS[i] * second)
    won = 0.0
    for i in range(_BETS):
        won += math.exp(LOG_WEIGHTS[i] + BETS[i] * first - COSTS[i] * second - top)
    return top + math.log(won)


@kernel
def lowest_mean(n: int, total: float, squares: float, limit: float) -> float:
    """Return the largest mean found that is refuted; -1 if none is.

    What is refuted by a bet on "more than m" refutes every smaller mean too.
    """
    if n == 0:
        return -1.0
    mean = total / n
    above, found = mean, -2.0
    for step in range(60, -1, -1):
        m = mean - (1.0 + mean) * 2.0 ** (-0.25 * step)
        if m <= -1.0:
            break
        if log_evidence(n, total, squares, m) >= limit:
            found = m
            break
        above = m
    if found < 0.0 < above and log_evidence(n, total, squares, 0.0) >= limit:
        found = 0.0
    if found < -1.0:
        return -1.0
    for _ in range(40):
        middle = 0.5 * (found + above)
        if log_evidence(n, total, squares, middle) >= limit:
            found = middle
        else:
            above = middle
    return found


@kernel
def first_proven(differences: Floats, limit: float) -> int:
    """Return after how many differences, float64[n], the evidence first reaches a limit; or -1."""
    total, squares = 0.0, 0.0
    for i in range(len(differences)):
        d = differences[i]
        total += d
        squares += d * d
        # Only a gain can add to the evidence.
        if d > 0.0 and log_evidence(i + 1, total, squares, 0.0) >= limit:
            return i + 1
    return -1
