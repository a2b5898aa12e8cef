"""What arms are worth to whoever wants several things of them, and how far they are apart."""

import numpy as np
from numpy.typing import NDArray

from . import explore, squarecb
from ._jit import kernel

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]

_63_BITS = (1 << 63) - 1
LARGEST_FACTOR = 1e100
"""What the product of factors counts as at most, so that every worth is finite."""


@kernel
def worth(
    chances: Floats,
    gains: Floats,
    base: Floats,
    lever: Floats,
    boosts: Floats,
    cost: Floats,
    out: Floats,
) -> None:
    """Write `lever * boosts * (base + sum over o of gains[o] * chances[o]) - cost` to `out`.

    `chances` and `gains` are float64[O, K], the others float64[K]. The sum is taken in the order of
    the objectives.
    """
    for a in range(out.shape[0]):
        total = base[a]
        for o in range(chances.shape[0]):
            total += gains[o, a] * chances[o, a]
        factor = 0.0
        if lever[a] > 0.0 and boosts[a] > 0.0:
            factor = min(lever[a] * boosts[a], LARGEST_FACTOR)
        out[a] = factor * total - cost[a]


@kernel
def relative(worths: Floats, eligible: Bools, out: Floats) -> None:
    """Write how good each arm is beside the best eligible one, in [0, 1], to `out`.

    The best one is 1. One that is worse by a share `g` of the best one's magnitude is `1 - g`, and
    0 if it is worse by all of it or more: the unit of worth plays no part. An arm that is not
    eligible is 0.
    """
    winner = explore.best(worths, eligible)
    for a in range(out.shape[0]):
        if not eligible[a]:
            out[a] = 0.0
        elif worths[a] == worths[winner]:
            out[a] = 1.0
        else:
            unit = abs(worths[winner])
            gap = worths[winner] - worths[a]
            out[a] = 1.0 - gap / unit if gap < unit else 0.0


SQUARECB, EPSILON, GREEDY = 0, 1, 2
"""What `pick` explores by."""


@kernel
def pick(
    worths: Floats,
    eligible: Bools,
    method: int,
    strength: float,
    floor: float,
    share: float,
    draw: float,
    relatives: Floats,
    chances: Floats,
) -> int:
    """Choose an arm by its worth; return it, -1 if none is eligible.

    What `Policy.choose` does with an explorer, a floor and a budget's share, in one step.
    `strength` is SquareCB's gamma (finite), or epsilon. Writes to `relatives` what `relative` says,
    and to `chances` the exact probability of each arm.
    """
    if explore.best(worths, eligible) < 0:
        return -1
    relative(worths, eligible, relatives)
    wanted = chances if floor == 0.0 and share >= 1.0 else np.empty(chances.shape[0])
    if method == SQUARECB:
        explore.inverse_gap(relatives, eligible, strength, 1.0, wanted)
    elif method == EPSILON:
        explore.epsilon_greedy(relatives, eligible, strength, wanted)
    else:
        explore.top(relatives, eligible, wanted)
    if floor > 0.0 or share < 1.0:
        explore.limit(relatives, eligible, wanted, floor, share, 1.0, chances)
    return squarecb.sample(chances, draw)


@kernel
def by_lot(eligible: Bools, fixed: Indices, draw: float, chances: Floats) -> int:
    """Choose an arm as for a control group; return it, -1 if none is eligible.

    As `ControlGroup.write`, whose fixed arms are given by place, then `squarecb.sample`.
    """
    n = eligible.sum()
    if n == 0:
        return -1
    for a in range(chances.shape[0]):
        chances[a] = 0.0
    for place in fixed:
        if eligible[place]:
            chances[place] = 1.0
            return squarecb.sample(chances, draw)
    for a in range(chances.shape[0]):
        if eligible[a]:
            chances[a] = 1.0 / n
    return squarecb.sample(chances, draw)


@kernel
def rank(
    chances: Floats,
    prices: Floats,
    boosts: Floats,
    eligible: Bools,
    method: int,
    strength: float,
    floor: float,
    share: float,
    lot: bool,
    fixed: Indices,
    seed: int,
    numbers: Indices,
    worths: Floats,
    kept: Floats,
    picks: Floats,
) -> tuple[int, bool]:
    """Find the worth of every arm, and choose arms rank by rank, none twice.

    As `worth`, then `pick` for each rank among the arms that are left. Return how many, and whether
    an arm was chosen where one that was left is worth more.

    Parameters
    ----------
    chances
        float64[O, K].
    prices
        float64[O + 3, K]: each objective's gains, then base, lever and cost, as of `worth`.
    lot, fixed
        Whether it is for a control group: then by `by_lot` instead.
    seed, numbers
        The draw of rank i is `squarecb.uniform(seed, numbers[i])`, of whose bits the highest does
        not count; int64[as many as are wanted].
    worths, kept
        float64[K], and float64[(1 + O) K] that receives the worths of the eligible arms, then
        their chances of each objective, end to end.
    picks
        float64[wanted, 3], receives of each choice the arm's place, its probability at its rank
        given those before it, and the draw.
    """
    models, k = chances.shape
    worth(
        chances, prices[:models], prices[models], prices[models + 1], boosts,
        prices[models + 2], worths,
    )  # fmt: skip
    end = 0
    for a in range(k):
        if eligible[a]:
            kept[end] = worths[a]
            end += 1
    for o in range(models):
        for a in range(k):
            if eligible[a]:
                kept[end] = chances[o, a]
                end += 1
    left, relatives, propensities = eligible.copy(), np.empty(k), np.empty(k)
    tried = False
    for i in range(numbers.shape[0]):
        draw = squarecb.uniform(seed, numbers[i] & _63_BITS)
        if lot:
            place = by_lot(left, fixed, draw, propensities)
        else:
            place = pick(
                worths, left, method, strength, floor, share, draw, relatives, propensities
            )
        if place < 0:
            return i, tried
        picks[i, 0], picks[i, 1], picks[i, 2] = place, propensities[place], draw
        tried |= worths[place] < worths[explore.best(worths, left)]
        left[place] = False
    return len(numbers), tried
