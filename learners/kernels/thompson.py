"""Thompson sampling's propensities: the probability that an arm's Gaussian is the highest.

With independent beliefs `N(m, s²)` and `F` the distribution function of an arm's value, the
highest value has the distribution function `G = product of F`, and `d log G = sum of d log F`:
where the highest value falls in a cell `[x, x + h]`, it is arm `a`'s with probability
`Δ log F_a / Δ log G` if the ratio of the reversed hazards `F' / F` does not change within the
cell. Cells are halved until that no longer matters. All parts are positive and telescope, so the
propensities sum to 1 whatever the cells are.

Source: Thompson (1933), "On the likelihood that one unknown probability exceeds another in view
of the evidence of two samples" (probability matching).
"""

import math

import numpy as np
from numpy.typing import NDArray

from ._jit import kernel

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

REACH = 6.0
"""Deviations from its mean that a value is looked for within: beyond are 1e-9."""
FIRST = 8
"""Cells to begin with."""
DEPTH = 64
"""Bound of the cells waiting: a halving needs one."""
STEPS = 32
"""Points of the table of log F for each deviation."""
LEFT, RIGHT = -10.0, 9.0
"""Where the table begins and ends."""


def _tabulated() -> Floats:
    """Return log F and its slope times the step, float64[n, 2]."""
    out = np.empty((int((RIGHT - LEFT) * STEPS) + 2, 2))
    for i in range(len(out)):
        z = LEFT + i / STEPS
        below, above = 0.5 * math.erfc(-z / math.sqrt(2.0)), 0.5 * math.erfc(z / math.sqrt(2.0))
        out[i, 0] = math.log(below) if z < 0.0 else math.log1p(-above)
        out[i, 1] = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) / below / STEPS
    return out


_TABLE = _tabulated()
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@kernel
def log_normal_cdf(z: float) -> float:
    """Return the logarithm of the standard normal distribution function, to about 1e-7.

    A cubic through values and slopes of a table; below it, the asymptotic series.
    """
    if z >= RIGHT:
        return 0.0
    if z <= LEFT:
        r = 1.0 / (z * z)
        series = 1.0 - r * (1.0 - 3.0 * r * (1.0 - 5.0 * r * (1.0 - 7.0 * r)))
        return -0.5 * z * z - _HALF_LOG_2PI + math.log(series / -z)
    at = (z - LEFT) * STEPS
    i = int(at)
    t = at - i
    u = 1.0 - t
    value: float = u * u * ((1.0 + 2.0 * t) * _TABLE[i, 0] + t * _TABLE[i, 1]) + t * t * (
        (1.0 + 2.0 * u) * _TABLE[i + 1, 0] - u * _TABLE[i + 1, 1]
    )
    return value


@kernel
def propensities(
    mean: Floats, variance: Floats, eligible: Bools, width: float, accuracy: float, out: Floats
) -> int:
    """Write the probability that each eligible arm has the highest value; return the cells used.

    An arm's value is `N(mean, width² variance)`. The sum of all errors is about `accuracy` or
    less. An arm that is highest less often than about 1e-9 gets zero.
    """
    k = mean.shape[0]
    low = -math.inf
    for a in range(k):
        out[a] = 0.0
        if eligible[a]:
            low = max(low, mean[a] - REACH * deviation(mean[a], variance[a], width))
    arms = np.empty(k, np.int64)
    n = 0
    high = low
    for a in range(k):
        if eligible[a]:
            reach = mean[a] + REACH * deviation(mean[a], variance[a], width)
            if reach > low:
                arms[n] = a
                n += 1
                high = max(high, reach)
    m = np.empty(n)
    s = np.empty(n)
    for i in range(n):
        m[i] = mean[arms[i]]
        s[i] = deviation(m[i], variance[arms[i]], width)
    if n == 1:
        out[arms[0]] = 1.0
        return 0
    part = np.zeros(n)
    cells = integrate(m, s, low, high, accuracy, part)
    total = part.sum()
    for i in range(n):
        out[arms[i]] = part[i] / total
    return cells


@kernel
def deviation(mean: float, variance: float, width: float) -> float:
    """Return the deviation of an arm's value; what is certain is made a little uncertain.

    So equal certain arms share their probability.
    """
    return max(width * math.sqrt(variance), 1e-9 * max(1.0, abs(mean)))


@kernel
def integrate(m: Floats, s: Floats, low: float, high: float, accuracy: float, part: Floats) -> int:
    """Add to `part` what each arm has of the highest value within [low, high]; return the cells.

    The error of a cell is estimated by halving it; it shrinks with the cube of the width.
    """
    n = m.shape[0]
    # The right ends of the cells to come, the nearest on top.
    ends = np.empty(DEPTH)
    logs = np.empty((DEPTH, n))
    sums = np.empty(DEPTH)
    left = np.empty(n)
    x = low
    left_sum = fill(m, s, x, left)
    for i in range(FIRST):
        ends[i] = high - (high - low) * i / FIRST
        sums[i] = fill(m, s, ends[i], logs[i])
    depth = FIRST
    cells = 0
    middle = np.empty(n)
    fine = np.empty(n)
    while depth > 0:
        right = logs[depth - 1]
        right_sum = sums[depth - 1]
        half = 0.5 * (x + ends[depth - 1])
        middle_sum = fill(m, s, half, middle)
        whole = rate(left_sum, right_sum)
        first = rate(left_sum, middle_sum)
        second = rate(middle_sum, right_sum)
        error = 0.0
        for i in range(n):
            fine[i] = first * (middle[i] - left[i]) + second * (right[i] - middle[i])
            error += abs(fine[i] - whole * (right[i] - left[i]))
        # The error left is about a third of the estimate, more where cells are still wide.
        mass = math.exp(right_sum) - math.exp(left_sum)
        allowed = accuracy * (0.5 * mass + 1.0 / 1024.0)
        if error > allowed and depth < DEPTH and x < half < ends[depth - 1]:
            ends[depth] = half
            sums[depth] = middle_sum
            logs[depth] = middle
            depth += 1
        else:
            for i in range(n):
                part[i] += fine[i]
                left[i] = right[i]
            x = ends[depth - 1]
            left_sum = right_sum
            depth -= 1
            cells += 1
    return cells


@kernel
def fill(m: Floats, s: Floats, x: float, out: Floats) -> float:
    """Write log F of every arm at `x` to `out` and return their sum."""
    total = 0.0
    for i in range(m.shape[0]):
        out[i] = log_normal_cdf((x - m[i]) / s[i])
        total += out[i]
    return total


@kernel
def rate(left: float, right: float) -> float:
    """Return the probability of a cell for each unit of log G that it holds."""
    if right > left:
        return (math.exp(right) - math.exp(left)) / (right - left)
    return 0.0
