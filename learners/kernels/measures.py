"""Sums that measures of probabilities are made of: how to add to them, and what they mean.

Every `one_*` adds an outcome ``y`` (0 or 1), predicted with probability ``p``, ``w`` times to
``sums``; its `many_*` adds a column of them in order, which gives the same bits.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ._jit import kernel

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

SPAN = 16.0
"""Logits are told apart between -SPAN and SPAN: probabilities from 1.1e-7."""


@kernel
def log_loss(y: float, p: float) -> float:
    """Return the negative log-likelihood of an outcome; 0 and 1 count as 1e-15 away."""
    of_outcome = p if y > 0.0 else 1.0 - p
    return -math.log(min(max(of_outcome, 1e-15), 1.0 - 1e-15))


@kernel
def place(p: float, bins: int) -> int:
    """Return the bin of a probability among `bins` of equal width on the logits."""
    if p <= 0.0:
        return 0
    if p >= 1.0:
        return bins - 1
    scaled = (math.log(p / (1.0 - p)) + SPAN) * (bins / (2.0 * SPAN))
    return int(min(max(scaled, 0.0), bins - 1.0))


@kernel
def one_log_loss(sums: Floats, y: float, p: float, w: float) -> None:
    """Add to (loss, weight)."""
    sums[0] += w * log_loss(y, p)
    sums[1] += w


@kernel
def many_log_loss(sums: Floats, y: Floats, p: Floats, w: Floats) -> None:
    """As `one_log_loss`, row by row."""
    for i in range(p.shape[0]):
        one_log_loss(sums, y[i], p[i], w[i])


@kernel
def one_brier(sums: Floats, y: float, p: float, w: float) -> None:
    """Add to (squared error, weight)."""
    sums[0] += w * ((p - y) * (p - y))
    sums[1] += w


@kernel
def many_brier(sums: Floats, y: Floats, p: Floats, w: Floats) -> None:
    """As `one_brier`, row by row."""
    for i in range(p.shape[0]):
        one_brier(sums, y[i], p[i], w[i])


@kernel
def one_entropy(sums: Floats, y: float, p: float, w: float) -> None:
    """Add to (loss, weight of what happened, weight)."""
    sums[0] += w * log_loss(y, p)
    sums[1] += w * y
    sums[2] += w


@kernel
def many_entropy(sums: Floats, y: Floats, p: Floats, w: Floats) -> None:
    """As `one_entropy`, row by row."""
    for i in range(p.shape[0]):
        one_entropy(sums, y[i], p[i], w[i])


@kernel
def one_ranked(sums: Floats, y: float, p: float, w: float) -> None:
    """Add to the histograms on the logits: first half what happened, second half what did not."""
    bins = sums.shape[0] // 2
    b = place(p, bins)
    if y > 0.0:
        sums[b] += w
    else:
        sums[bins + b] += w


@kernel
def many_ranked(sums: Floats, y: Floats, p: Floats, w: Floats) -> None:
    """As `one_ranked`, row by row."""
    for i in range(p.shape[0]):
        one_ranked(sums, y[i], p[i], w[i])


@kernel
def area(sums: Floats) -> tuple[float, float]:
    """Return the area under the ROC curve and how far it may be off, of `one_ranked`'s sums."""
    bins = sums.shape[0] // 2
    won = 0.0
    tied = 0.0
    positive = 0.0
    negative = 0.0
    for b in range(bins):
        won += sums[b] * negative
        tied += sums[b] * sums[bins + b]
        positive += sums[b]
        negative += sums[bins + b]
    pairs = positive * negative
    return (won + 0.5 * tied) / pairs, 0.5 * tied / pairs


@kernel
def area_sorted(y: Floats, score: Floats, w: Floats) -> float:
    """Return the area under the ROC curve of rows in ascending order of their scores."""
    won = 0.0
    negative = 0.0
    positive = 0.0
    i = 0
    while i < score.shape[0]:
        j = i
        happened = 0.0
        others = 0.0
        while j < score.shape[0] and score[j] == score[i]:
            if y[j] > 0.0:
                happened += w[j]
            else:
                others += w[j]
            j += 1
        won += happened * (negative + 0.5 * others)
        positive += happened
        negative += others
        i = j
    return won / (positive * negative)


@kernel
def _one_cell(sums: Floats, b: int, y: float, p: float, w: float) -> None:
    sums[3 * b] += w
    sums[3 * b + 1] += w * p
    sums[3 * b + 2] += w * y


@kernel
def one_equal_width(sums: Floats, y: float, p: float, w: float) -> None:
    """Add to (weight, predicted, happened) of the bin, of equal widths on [0, 1]."""
    bins = sums.shape[0] // 3
    _one_cell(sums, min(int(p * bins), bins - 1), y, p, w)


@kernel
def many_equal_width(sums: Floats, y: Floats, p: Floats, w: Floats) -> None:
    """As `one_equal_width`, row by row."""
    for i in range(p.shape[0]):
        one_equal_width(sums, y[i], p[i], w[i])


@kernel
def one_logit_cell(sums: Floats, y: float, p: float, w: float) -> None:
    """Add to (weight, predicted, happened) of the cell, of equal widths on the logits."""
    _one_cell(sums, place(p, sums.shape[0] // 3), y, p, w)


@kernel
def many_logit_cell(sums: Floats, y: Floats, p: Floats, w: Floats) -> None:
    """As `one_logit_cell`, row by row."""
    for i in range(p.shape[0]):
        one_logit_cell(sums, y[i], p[i], w[i])


@kernel
def cells_sorted(y: Floats, p: Floats, w: Floats, sums: Floats, lowest: Floats) -> int:
    """Sum (weight, predicted, happened) of each probability; return how many there are.

    Rows come in ascending order of their probabilities; `lowest` takes one of each.
    """
    count = 0
    for i in range(p.shape[0]):
        if i == 0 or p[i] != p[i - 1]:
            lowest[count] = p[i]
            count += 1
        _one_cell(sums, count - 1, y[i], p[i], w[i])
    return count


@kernel
def equal_mass(cells: Floats, bins: int, out: Floats, first: Indices, last: Indices) -> int:
    """Put neighbouring cells together to at most `bins` of about equal weight; return how many.

    A bin ends with the cell that brings the weight so far to the next multiple of the total by
    `bins`: a cell is never divided. `out` takes the sums, `first` and `last` the cells of each.
    """
    total = 0.0
    for c in range(cells.shape[0] // 3):
        total += cells[3 * c]
    count = 0
    so_far = 0.0
    target = 1.0
    begun = False
    for c in range(cells.shape[0] // 3):
        if cells[3 * c] <= 0.0:
            continue
        if not begun:
            first[count] = c
            out[3 * count : 3 * count + 3] = 0.0
            begun = True
        for k in range(3):
            out[3 * count + k] += cells[3 * c + k]
        last[count] = c
        so_far += cells[3 * c]
        if so_far * bins >= target * total and count < bins - 1:
            target = math.floor(so_far * bins / total) + 1.0
            count += 1
            begun = False
    return count + 1 if begun else count


@kernel
def fade(age: int, half_life: float) -> float:
    """Return the weight of the observation `age` after one that has the weight 1."""
    return math.pow(2.0, age / half_life)


@kernel
def fade_many(age: int, half_life: float, w: Floats, out: Floats) -> None:
    """Write the weights of rows that follow one another, times their own."""
    for i in range(w.shape[0]):
        out[i] = w[i] * fade(age + i, half_life)
