"""Plain-Python twins of off-policy evaluation: one loop a formula, as published."""

import math
from collections.abc import Sequence

Row = tuple[float, float, float, float, float]
"""Reward, behaviour propensity, target probability, expected and predicted reward."""


def naive_ips(rows: Sequence[Row], clip: float = math.inf) -> float:
    total = 0.0
    for r, b, t, _, _ in rows:
        total += min(t / b, clip) * r
    return total / len(rows)


def naive_snips(rows: Sequence[Row], clip: float = math.inf) -> float:
    total = weight = 0.0
    for r, b, t, _, _ in rows:
        total += min(t / b, clip) * r
        weight += min(t / b, clip)
    return total / weight


def naive_dm(rows: Sequence[Row]) -> float:
    total = 0.0
    for _, _, _, v, _ in rows:
        total += v
    return total / len(rows)


def naive_dr(rows: Sequence[Row], clip: float = math.inf) -> float:
    total = 0.0
    for r, b, t, v, q in rows:
        total += v + min(t / b, clip) * (r - q)
    return total / len(rows)


def naive_sndr(rows: Sequence[Row]) -> float:
    mean_weight = sum(t / b for _, b, t, _, _ in rows) / len(rows)
    total = 0.0
    for r, b, t, v, q in rows:
        total += v + t / b * (r - q) / mean_weight
    return total / len(rows)


def naive_switch_dr(rows: Sequence[Row], threshold: float) -> float:
    total = 0.0
    for r, b, t, v, q in rows:
        total += v
        if t / b <= threshold:
            total += t / b * (r - q)
    return total / len(rows)


def naive_dros(rows: Sequence[Row], shrinkage: float) -> float:
    total = 0.0
    for r, b, t, v, q in rows:
        w = t / b
        total += v + shrinkage * w / (w**2 + shrinkage) * (r - q)
    return total / len(rows)
