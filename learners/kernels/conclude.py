"""From what is known of N decisions to the arms that are chosen: beliefs, worth, exploration."""

import numpy as np
from numpy.typing import NDArray

from . import arbitrate, together
from ._jit import kernel
from .together_layout import FEATURES, MOST, NUMBERS

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Words = NDArray[np.uint32]
Bools = NDArray[np.bool_]


@kernel
def conclude(
    table: Indices,
    singles: Singles,
    doubles: Floats,
    prices: Floats,
    many: int,
    asked: Indices,
    numbers: Indices,
    words: Words,
    seen: Floats,
    first: int,
    eligible: Bools,
    foretell: bool,
    known: bool,
    method: int,
    strength: float,
    floor: float,
    share: float,
    lots: Bools,
    fixed: Indices,
    seed: int,
    kept: Floats,
    picks: Floats,
    found: Indices,
    tried: Bools,
) -> int:
    """Ask the models, and choose arms by what they are worth; return the first decision refused.

    As `together.believe`, then `arbitrate.rank`, for one decision after the other; where no arm is
    eligible, nothing is asked.

    Parameters
    ----------
    table, singles, doubles
        The models, see `together`.
    prices, method, strength, floor, share, fixed, seed
        As of `arbitrate.rank`.
    many
        N: as many rows of the others are read and written; they may have more.
    asked
        int64[N, (C + S) O + 2 O + 1]: rows and blocks, as of `together.believe`, and where the
        `numbers` of the draws end.
    words, known
        As of `together.believe`.
    seen
        float64[N, .], from place `first` on: the numbers, the arms' features, then the boosts.
    eligible
        bool[N, K].
    foretell
        If not, the chances are those in `kept`.
    kept
        float64[N, (1 + O) K], receives of each decision the worths of the eligible arms, then their
        chances by each model, end to end.
    picks
        float64[numbers, 4 + O + A], receives of each choice what `arbitrate.rank` writes; then what
        the arm is worth, its chances and its features. Those of a decision begin where its numbers
        do.
    lots
        bool[N], which decisions are for the control group.
    found, tried
        int64[N], receives how many choices each decision has; bool[N], whether one of them is an
        arm where another one is worth more.

    Returns
    -------
    -1 if there is none; a decision is refused for the weights of its person.
    """
    k = eligible.shape[1]
    models = prices.shape[0] - 3
    wide, doubled = together.scratch(k, table[MOST])
    work = np.empty(wide, np.float32)
    memory = np.empty(doubled)
    chances = np.empty((models, k))
    worths = np.empty(k)
    x = np.empty(table[NUMBERS], np.float32)
    n = table[FEATURES]
    blocks = asked.shape[1] - 1 - 2 * models
    features = first + len(x) - 1
    boosts = features + k * n
    start = 0
    for i in range(many):
        end = asked[i, blocks + 2 * models]
        found[i], tried[i] = 0, False
        m = 0
        for a in range(k):
            m += eligible[i, a]
        if m == 0:
            start = end
            continue
        if foretell:
            x[0] = 1.0
            for j in range(1, len(x)):
                x[j] = seen[i, first + j - 1]
            if not together.believe_one(
                table, singles, doubles, asked[i, :blocks], x, seen[i, features:boosts], known,
                asked[i, blocks : blocks + 2 * models], words, work, memory, chances,
            ):  # fmt: skip
                return i
        else:
            at = m
            for o in range(models):
                for a in range(k):
                    chances[o, a] = 0.0
                    if eligible[i, a]:
                        chances[o, a] = kept[i, at]
                        at += 1
        found[i], tried[i] = arbitrate.rank(
            chances, prices, seen[i, boosts : boosts + k], eligible[i], method, strength, floor,
            share, lots[i], fixed, seed, numbers[start:end], worths, kept[i], picks[start:end],
        )  # fmt: skip
        for p in range(start, start + found[i]):
            place = np.int64(picks[p, 0])
            picks[p, 3] = worths[place]
            for o in range(models):
                picks[p, 4 + o] = chances[o, place]
            for f in range(n):
                picks[p, 4 + models + f] = seen[i, features + place * n + f]
        start = end
    return -1
