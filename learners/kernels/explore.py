"""Exploration over a belief about K arms: exact propensities, their limits, and the choice.

An arm's propensity is the probability that it is chosen. Every kernel writes propensities that
sum to 1 over the eligible arms and are 0 elsewhere, and the choice is drawn from what was
written. At least one arm must be eligible.

Sources: Foster and Krishnamurthy (2021), "Efficient first-order contextual bandits: prediction,
allocation, and triangular discrimination", section 3 (inverse gap weighting by relative gaps);
Li, Chu, Langford and Schapire (2010), "A contextual-bandit approach to personalized news article
recommendation", section 3 (an upper bound per arm); Sutton and Barto (2018), "Reinforcement
learning", section 2.2 (epsilon-greedy).
"""

import math

import numpy as np
from numpy.typing import NDArray

from . import squarecb
from ._jit import kernel

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]


@kernel
def unusable(mean: Floats, variance: Floats, probability: Floats, eligible: Bools) -> int:
    """Return the first eligible arm with a belief that is none, -1 if all can be used."""
    for a in range(eligible.shape[0]):
        if eligible[a] and not (
            math.isfinite(mean[a])
            and math.isfinite(variance[a])
            and variance[a] >= 0.0
            and 0.0 <= probability[a] <= 1.0
        ):
            return a
    return -1


@kernel
def best(values: Floats, eligible: Bools) -> int:
    """Return the eligible arm of the highest value, the first of equals, -1 if there is none."""
    found = -1
    for a in range(values.shape[0]):
        if eligible[a] and (found < 0 or values[a] > values[found]):
            found = a
    return found


@kernel
def top(values: Floats, eligible: Bools, out: Floats) -> None:
    """Share 1 equally among the eligible arms of the highest value."""
    winner = best(values, eligible)
    n = 0
    for a in range(values.shape[0]):
        if eligible[a] and values[a] == values[winner]:
            n += 1
    for a in range(values.shape[0]):
        out[a] = 1.0 / n if eligible[a] and values[a] == values[winner] else 0.0


@kernel
def equal(eligible: Bools, out: Floats) -> None:
    """Share 1 equally among the eligible arms."""
    n = eligible.sum()
    for a in range(eligible.shape[0]):
        out[a] = 1.0 / n if eligible[a] else 0.0


@kernel
def epsilon_greedy(values: Floats, eligible: Bools, epsilon: float, out: Floats) -> None:
    """Give `epsilon` to all eligible arms equally, the rest to the best."""
    top(values, eligible, out)
    n = eligible.sum()
    for a in range(values.shape[0]):
        if eligible[a]:
            out[a] = (1.0 - epsilon) * out[a] + epsilon / n


@kernel
def upper(mean: Floats, variance: Floats, eligible: Bools, alpha: float, out: Floats) -> None:
    """Share 1 equally among the eligible arms of the highest `mean + alpha * deviation`."""
    bounds = np.empty(mean.shape[0])
    for a in range(mean.shape[0]):
        bounds[a] = mean[a] + alpha * math.sqrt(variance[a]) if eligible[a] else 0.0
    top(bounds, eligible, out)


@kernel
def inverse_gap(values: Floats, eligible: Bools, gamma: float, scale: float, out: Floats) -> None:
    """Write SquareCB's probabilities, with gaps in units of `scale` (0: of the best value).

    `gamma` is finite. If the best value itself is the unit and is zero, all arms are alike.
    """
    winner = best(values, eligible)
    unit = scale if scale > 0.0 else values[winner]
    if not unit > 0.0:
        equal(eligible, out)
        return
    k = eligible.sum()
    rest = 0.0
    for a in range(values.shape[0]):
        out[a] = 0.0
        if eligible[a] and a != winner:
            out[a] = 1.0 / (k + gamma * ((values[winner] - values[a]) / unit))
            rest += out[a]
    out[winner] = 1.0 - rest


@kernel
def limit(
    values: Floats,
    eligible: Bools,
    wanted: Floats,
    floor: float,
    share: float,
    cost: float,
    out: Floats,
) -> float:
    """Write `wanted` with a floor under every arm and a bound of what is explored to `out`.

    With E eligible arms the floor is `f = min(floor, 1 / E)`. Arms below it are lifted to it, and
    what they need is taken from the others in proportion to what those have above it: no other
    distribution that keeps the floor is nearer to `wanted` in total variation. Then, if arms
    other than the best (by `values`) together have more than `share`, or the expected loss
    `sum(p * (best - value))` is more than `cost * best`, what these arms have above the floor
    shrinks by one common factor until neither is, or the floor is all that is left; the best arm
    gets what is gained. Returns `f`.
    """
    k = values.shape[0]
    n = eligible.sum()
    f: float = min(floor, 1.0 / n)
    surplus = 0.0
    for a in range(k):
        if eligible[a]:
            surplus += max(wanted[a] - f, 0.0)
    spare = 1.0 - n * f
    factor = spare / surplus if f > 0.0 and surplus > 0.0 and spare > 0.0 else 0.0
    for a in range(k):
        if not eligible[a]:
            out[a] = 0.0
        elif f > 0.0:
            out[a] = f + max(wanted[a] - f, 0.0) * factor
        else:
            out[a] = wanted[a]
    winner = best(values, eligible)
    explored, lost, lost_floor = 0.0, 0.0, 0.0
    for a in range(k):
        if eligible[a] and a != winner:
            gap = values[winner] - values[a]
            explored += out[a] - f
            lost += (out[a] - f) * gap
            lost_floor += f * gap
    keep = 1.0
    left = max(share - (n - 1) * f, 0.0)
    if explored > left:
        keep = left / explored
    left = max(cost * values[winner] - lost_floor, 0.0)
    if lost * keep > left:
        keep = left / lost
    if keep < 1.0:
        rest = 0.0
        for a in range(k):
            if eligible[a] and a != winner:
                out[a] = f + (out[a] - f) * keep
                rest += out[a]
        out[winner] = max(1.0 - rest, 0.0)
    return f


@kernel
def choose(chances: Floats, wanted: Floats, floor: float, draw: float) -> tuple[int, bool]:
    """Return the arm that holds `draw`, as `squarecb.sample`, and whether only by the floor.

    The last part of an arm's piece of [0, 1), as long as the floor exceeds what was wanted, is
    the floor's.
    """
    arm = squarecb.sample(chances, draw)
    end = 0.0
    for a in range(arm + 1):
        end += chances[a]
    by_floor = min(floor, chances[arm]) - wanted[arm]
    return arm, by_floor > 0.0 and draw >= end - by_floor


@kernel
def order(values: Floats, eligible: Bools) -> Indices:
    """Return the eligible arms, the best value first, equal values in arm order."""
    arms = np.flatnonzero(eligible)
    return arms[np.argsort(-values[arms], kind="mergesort")]


@kernel
def shortlist(
    values: Floats, variance: Floats, eligible: Bools, top_n: int, uncertain: int, out: Bools
) -> None:
    """Mark the `top_n` eligible arms of highest value and the `uncertain` most uncertain others.

    Of equals, the first in arm order is kept.
    """
    for a in range(out.shape[0]):
        out[a] = False
    keep_highest(values, eligible, top_n, out)
    keep_highest(variance, eligible, uncertain, out)


@kernel
def keep_highest(values: Floats, eligible: Bools, n: int, out: Bools) -> None:
    """Mark the `n` arms of highest value that are not marked yet; of equals the first."""
    kept = np.empty(n, np.int64)  # the best so far, the best first
    m = 0
    for a in range(values.shape[0]):
        if not eligible[a] or out[a] or n == 0:
            continue
        if m == n and values[a] <= values[kept[m - 1]]:
            continue
        i = m if m < n else n - 1
        while i > 0 and values[kept[i - 1]] < values[a]:
            kept[i] = kept[i - 1]
            i -= 1
        kept[i] = a
        m = min(m + 1, n)
    for i in range(m):
        out[kept[i]] = True
