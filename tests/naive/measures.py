"""Plain-Python twins of the measures: definitions as published, quadratic where that is plain."""

import math
from collections.abc import Sequence
from fractions import Fraction

Rows = Sequence[tuple[bool, float, float]]
"""Outcome, probability, weight."""


def naive_auc(rows: Rows) -> float:
    """Of every pair of one that happened and one that did not: who was given more."""
    won = pairs = 0.0
    for y, p, w in rows:
        for z, q, v in rows:
            if y and not z:
                won += w * v * (1.0 if p > q else 0.5 if p == q else 0.0)
                pairs += w * v
    return won / pairs if pairs else math.nan


def naive_log_loss(rows: Rows) -> float:
    total = weight = 0.0
    for y, p, w in rows:
        total += w * -math.log(min(max(p if y else 1.0 - p, 1e-15), 1.0 - 1e-15))
        weight += w
    return total / weight if weight else math.nan


def naive_brier(rows: Rows) -> float:
    weight = sum(w for _, _, w in rows)
    return sum(w * (p - y) ** 2 for y, p, w in rows) / weight if weight else math.nan


def naive_normalized_entropy(rows: Rows) -> float:
    weight = sum(w for _, _, w in rows)
    rate = sum(w for y, _, w in rows if y) / weight if weight else 0.0
    if not 0.0 < rate < 1.0:
        return math.nan
    return naive_log_loss(rows) / -(rate * math.log(rate) + (1 - rate) * math.log1p(-rate))


def naive_bins(rows: Rows, bins: int, equal_mass: bool) -> list[Rows]:
    """Rows by bin, in order of probability; a probability is never divided between two."""
    found: dict[int, list[tuple[bool, float, float]]] = {}
    total, so_far = sum(Fraction(w) for _, _, w in rows), Fraction(0)
    for p in sorted({p for _, p, _ in rows}):
        same = [row for row in rows if row[1] == p]
        # A bin has ended whenever another `1 / bins` of the total was full.
        key = so_far * bins // total if equal_mass else min(int(p * bins), bins - 1)
        found.setdefault(int(key), []).extend(same)
        so_far += sum(Fraction(w) for _, _, w in same)
    return list(found.values())


def naive_calibration(rows: Rows, bins: int, equal_mass: bool) -> float:
    total = sum(w for _, _, w in rows)
    error = 0.0
    for part in naive_bins(rows, bins, equal_mass):
        error += abs(sum(w * (p - y) for y, p, w in part))
    return error / total if total else math.nan
