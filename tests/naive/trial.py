"""A trial as its text says it, one difference after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nextbest.learners.kernels.trial import BETS, LOG_WEIGHTS


def bounded_capital(differences: Sequence[float], mean: float) -> float:
    """Return what the mixture is sure to have won by betting on more than a mean."""
    won = 0.0
    for bet, log_weight in zip(BETS.tolist(), LOG_WEIGHTS.tolist(), strict=True):
        log = log_weight
        for d in differences:
            y = (d - mean) / (1.0 + mean)
            log += bet * y - (-math.log(1.0 - bet) - bet) * y * y
        won += math.exp(log)
    return won


def real_capital(differences: Sequence[float], mean: float) -> float:
    """Return what the mixture has won in fact."""
    won = 0.0
    for bet, log_weight in zip(BETS.tolist(), LOG_WEIGHTS.tolist(), strict=True):
        log = log_weight
        for d in differences:
            log += math.log(1.0 + bet * (d - mean) / (1.0 + mean))
        won += math.exp(log)
    return won


def pairs_of(outcomes: Sequence[tuple[bool, float]], most: int) -> list[tuple[float, float]]:
    """Pair outcomes, each told with whether it is the first's: the newest that waits is taken."""
    waiting: list[tuple[bool, float]] = []
    found = []
    for first, value in outcomes:
        others = [place for place, one in enumerate(waiting) if one[0] != first]
        if others:
            partner = waiting.pop(others[-1])
            found.append((value, partner[1]) if first else (partner[1], value))
        else:
            waiting.append((first, value))
            waiting = waiting[-most:]
    return found
