"""Plain-Python twins of the confidence sequences: capitals bet one row at a time."""

import math
from collections.abc import Sequence

BETS = [0.9 / 2**j for j in range(20)]


def naive_bernstein_capital(values: Sequence[float], mean: float) -> float:
    """The capital that is sure, mixed over the fractions."""
    total = 0.0
    for b in BETS:
        log = 0.0
        for z in values:
            y = z / mean - 1.0
            log += b * y - (-math.log(1.0 - b) - b) * y * y
        total += math.exp(log)
    return total / len(BETS)


def naive_betting_capital(values: Sequence[float], mean: float) -> float:
    """The capital itself, mixed over the fractions."""
    total = 0.0
    for b in BETS:
        capital = 1.0
        for z in values:
            capital *= 1.0 + b * (z / mean - 1.0)
        total += capital
    return total / len(BETS)


def naive_asymptotic(
    values: Sequence[float], alpha: float, tightest_at: int
) -> tuple[float, float]:
    """Waudby-Smith et al. (2024), theorem 2.2, with rho for one time as in their section B.2."""
    n = len(values)
    mean = sum(values) / n
    deviation = math.sqrt(sum((x - mean) ** 2 for x in values) / n)
    rho = math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / tightest_at)
    inner = 2 * (n * rho**2 + 1) / (n**2 * rho**2) * math.log(math.sqrt(n * rho**2 + 1) / alpha)
    return mean - deviation * math.sqrt(inner), mean + deviation * math.sqrt(inner)
