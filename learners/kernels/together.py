"""What several published models believe of the same arms, for many contexts in one pass.

The models' arrays lie in three, as each array that a kernel is given costs more than an arm does.
A table of integers (`together_layout`) says where everything is: `HEAD` words, `PLACE` words a
model, and a hash table of the arms' keys: `SLOTS` keys, and as many arms.

Of a model with E experts the singles have: `table` float32[R + 1, 2, E, K], the rows of categories;
`dense` float32[D (D + 1) / 2, 2, E, K]; `action` float32[E, 2, A]; `moments` float32[2, S, K] of
its segments. First means, then variances; else as in `bayes_serve`. The doubles have the experts'
weights, the variances of segments that are unseen, and the candidates of a person's levels,
float64[2, 2, C]. So a category is one row of all experts, and a sum runs along all of them.
"""

import math

import numpy as np
from numpy.typing import NDArray

from . import adf, single
from ._jit import bare, inline
from .together_layout import (
    ACTION,
    ARMS,
    CONTEXTS,
    DENSE,
    EXPERTS,
    FEATURES,
    HEAD,
    HEIGHT,
    MOMENTS,
    PERSONS,
    PLACE,
    SEGMENTS,
    TABLE,
    UNSEEN,
    WEIGHTS,
)
from .together_persons import add_person

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Words = NDArray[np.uint32]
Bools = NDArray[np.bool_]

BAD_FEATURES, BAD_PERSON = 1, 2
"""What `believe` refuses."""

_EIGHTH_OF_PI = np.float32(math.pi / 8.0)
_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)


@inline
def scratch(arms: int, experts: int) -> tuple[int, int]:
    """Return how many singles and doubles of working memory `believe` needs."""
    return (3 * experts + 1) * arms, 6 * arms


@inline
def _add(out: Singles, part: Singles) -> None:
    for j in range(out.shape[0]):
        out[j] += part[j]


@inline
def _add_times(out: Singles, part: Singles, value: np.float32) -> None:
    for j in range(out.shape[0]):
        out[j] += part[j] * value


@inline
def _moved(mean: float, variance: float, p: float, shift: float, more: float) -> float:
    """As `levels.moved`."""
    if shift == 0.0 and more == 0.0:
        return p
    if 0.0 < p < 1.0:
        scale = math.sqrt(1.0 + math.pi * variance / 8.0)
        z = math.log(p / (1.0 - p)) * scale
        return adf.moderated(z + shift, variance + more)
    return adf.moderated(mean + shift, variance + more)


@inline
def _gather(
    table: Indices,
    singles: Singles,
    at: int,
    rows: Indices,
    models: int,
    x: Singles,
    sums: Singles,
) -> None:
    """Write what contexts and numbers say of every expert's arms: means, then variances.

    `rows` begins at this model's row of the first context; the next is `models` further.
    """
    size = sums.shape[0]
    half = size // 2
    first = table[at + DENSE]
    for j in range(size):
        sums[j] = singles[first + j]
    for c in range(table[CONTEXTS]):
        start = table[at + TABLE] + rows[c * models] * size
        _add(sums, singles[start : start + size])
    first += size
    for i in range(1, x.shape[0]):
        _add_times(sums[:half], singles[first : first + half], x[i])
        for j in range(i + 1):
            _add_times(sums[half:], singles[first + half : first + size], x[i] * x[j])
            first += size


@inline
def _add_features(
    action: Singles, experts: int, n: int, features: Floats, sums: Singles, column: Singles
) -> None:
    """Add what the arms' own n features say; one that is NaN is missing."""
    k = column.shape[0]
    half = experts * k
    for f in range(n):
        for a in range(k):
            column[a] = features[a * n + f]
        for e in range(experts):
            m = action[2 * n * e + f]
            v = action[2 * n * e + n + f]
            mean = sums[e * k : e * k + k]
            variance = sums[half + e * k : half + e * k + k]
            for a in range(k):
                value = column[a]
                moved = mean[a] + m * value
                mean[a] = moved if value == value else mean[a]
            for a in range(k):
                value = column[a]
                moved = variance[a] + v * value * value
                variance[a] = moved if value == value else variance[a]


@inline
def _mix(
    sums: Singles, weights: Floats, chances: Singles, mean: Floats, variance: Floats, out: Floats
) -> None:
    """Write the mean, the variance and the probability of every arm under weighted experts."""
    k = out.shape[0]
    half = sums.shape[0] // 2
    for j in range(half):
        chances[j] = -sums[j] / math.sqrt(_ONE + _EIGHTH_OF_PI * max(sums[half + j], _ZERO))
    for j in range(half):
        chances[j] = _ONE / (_ONE + single.exp(chances[j]))
    mean[:] = 0.0
    variance[:] = 0.0
    out[:] = 0.0
    for e in range(weights.shape[0]):
        weight = weights[e]
        own = chances[e * k : e * k + k]
        means = sums[e * k : e * k + k]
        for a in range(k):
            out[a] += weight * own[a]
        for a in range(k):
            mean[a] += weight * means[a]
    for e in range(weights.shape[0]):
        weight = weights[e]
        means = sums[e * k : e * k + k]
        spreads = sums[half + e * k : half + e * k + k]
        for a in range(k):
            away = means[a] - mean[a]
            variance[a] += weight * (max(spreads[a], _ZERO) + away * away)
    for a in range(k):
        out[a] = min(out[a], 1.0)


@inline
def _add_segments(
    table: Indices,
    singles: Singles,
    doubles: Floats,
    at: int,
    rows: Indices,
    models: int,
    shift: Floats,
    more: Floats,
) -> None:
    """Add what the segments say; `rows` begins at this model's row of the first of them."""
    k = shift.shape[0]
    for s in range(table[SEGMENTS]):
        row = rows[s * models]
        if row >= 0:
            means = table[at + MOMENTS] + row * k
            spreads = means + table[at + HEIGHT] * k
            for a in range(k):
                shift[a] += singles[means + a]
                more[a] += singles[spreads + a]
        else:
            unseen = doubles[table[at + UNSEEN] + s]
            for a in range(k):
                more[a] += unseen


@bare
def believe_one(
    table: Indices,
    singles: Singles,
    doubles: Floats,
    rows: Indices,
    x: Singles,
    features: Floats,
    known: bool,
    blocks: Indices,
    words: Words,
    work: Singles,
    memory: Floats,
    out: Floats,
) -> bool:
    """As `believe` for one context; False if the person's numbers cannot be used."""
    k = table[ARMS]
    models = out.shape[0]
    n = table[FEATURES]
    mean = memory[:k]
    variance = memory[k : 2 * k]
    shift = memory[2 * k : 3 * k]
    more = memory[3 * k : 4 * k]
    for m in range(models):
        at = HEAD + PLACE * m
        experts = table[at + EXPERTS]
        sums = work[: 2 * experts * k]
        chances = work[2 * experts * k : 3 * experts * k]
        column = work[3 * experts * k : 3 * experts * k + k]
        found = out[m]
        _gather(table, singles, at, rows[m:], models, x, sums)
        first = table[at + ACTION]
        _add_features(singles[first : first + 2 * experts * n], experts, n, features, sums, column)
        first = table[at + WEIGHTS]
        _mix(sums, doubles[first : first + experts], chances, mean, variance, found)
        if table[at + HEIGHT] < 0:
            continue
        shift[:] = 0.0
        more[:] = 0.0
        own = rows[table[CONTEXTS] * models + m :]
        _add_segments(table, singles, doubles, at, own, models, shift, more)
        if known and not add_person(
            table, doubles, table[at + PERSONS], HEAD + PLACE * models, words,
            blocks[2 * m], blocks[2 * m + 1], memory[4 * k : 6 * k], shift, more,
        ):  # fmt: skip
            return False
        for a in range(k):
            found[a] = _moved(mean[a], variance[a], found[a], shift[a], more[a])
    return True


@bare
def believe(
    table: Indices,
    singles: Singles,
    doubles: Floats,
    rows: Indices,
    x: Singles,
    features: Floats,
    largest: float,
    known: bool,
    blocks: Indices,
    words: Words,
    work: Singles,
    memory: Floats,
    out: Floats,
) -> int:
    """Write the probability of reward 1 of every arm by every model to `out`, float64[N, O, K].

    The same bits as `bayes_serve.believe` and `levels.move`, one context and model at a time.

    Parameters
    ----------
    table, singles, doubles
        The models, see above.
    rows
        int64[N, (C + S) O], of every context and then of every segment the row in each model; a
        negative one of a segment is one that was not seen.
    x
        float32[N, 1 + numbers], with 1 first.
    features
        float64[N, K A], magnitudes up to `largest`; NaN for missing.
    known
        Whether there are persons: of each model, `blocks` int64[N, 2 O] says where a person's
        block begins in `words` uint32, and for how many arms it has room; -1: nothing is known of
        the person.
    work, memory
        As many singles and doubles as `scratch` says, at least.

    Returns
    -------
    0; or what is refused.
    """
    for i in range(out.shape[0]):
        for j in range(features.shape[1]):
            if abs(features[i, j]) > largest:
                return BAD_FEATURES
        if not believe_one(
            table, singles, doubles, rows[i], x[i], features[i], known, blocks[i], words,
            work, memory, out[i],
        ):  # fmt: skip
            return BAD_PERSON
    return 0
