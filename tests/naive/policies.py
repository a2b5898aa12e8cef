"""Plain-Python twins of exploration: lists, no kernels, formulas as published."""

import hashlib
import math
import statistics
from collections.abc import Sequence
from fractions import Fraction


def naive_top(values: Sequence[float], eligible: Sequence[bool]) -> list[float]:
    highest = max(v for v, ok in zip(values, eligible, strict=True) if ok)
    winners = [ok and v == highest for v, ok in zip(values, eligible, strict=True)]
    return [won / sum(winners) for won in winners]


def naive_epsilon(values: Sequence[float], eligible: Sequence[bool], epsilon: float) -> list[float]:
    best, n = naive_top(values, eligible), sum(eligible)
    return [
        (1 - epsilon) * p + epsilon / n if ok else 0.0 for p, ok in zip(best, eligible, strict=True)
    ]


def naive_upper(
    mean: Sequence[float], variance: Sequence[float], eligible: Sequence[bool], alpha: float
) -> list[float]:
    bounds = [m + alpha * math.sqrt(v) for m, v in zip(mean, variance, strict=True)]
    return naive_top(bounds, eligible)


def naive_relative(
    values: Sequence[float], eligible: Sequence[bool], gamma: float, unit: float | None
) -> list[float]:
    """SquareCB with gaps in a unit; None is the best value."""
    arms = [a for a, ok in enumerate(eligible) if ok]
    best = max(arms, key=lambda a: values[a])
    unit = values[best] if unit is None else unit
    out = [0.0] * len(values)
    for a in arms:
        gap = (values[best] - values[a]) / unit if unit else 0.0
        out[a] = 1 / (len(arms) + gamma * gap)
    out[best] += 1 - sum(out)
    return out


def naive_highest(
    mean: Sequence[float], variance: Sequence[float], eligible: Sequence[bool], width: float
) -> list[float]:
    """The probability that each Gaussian is the highest: the textbook integral, by trapezoids.

    Points are laid around every mean at every scale, so that the narrowest arm is resolved.
    """
    arms = {
        a: statistics.NormalDist(mean[a], width * math.sqrt(variance[a]))
        for a, ok in enumerate(eligible)
        if ok
    }
    points = sorted(
        {g.mean + g.stdev * z / 60 for g in arms.values() for z in range(-8 * 60, 8 * 60 + 1)}
    )
    out = [0.0] * len(mean)
    for a, own in arms.items():
        heights = [
            own.pdf(x) * math.prod(g.cdf(x) for b, g in arms.items() if b != a) for x in points
        ]
        out[a] = sum(
            (x1 - x0) * (h0 + h1) / 2
            for x0, x1, h0, h1 in zip(points, points[1:], heights, heights[1:], strict=False)
        )
    return out


def naive_floor(wanted: Sequence[float], eligible: Sequence[bool], floor: float) -> list[float]:
    n = sum(eligible)
    f = min(floor, 1 / n)
    above = [max(p - f, 0.0) if ok else 0.0 for p, ok in zip(wanted, eligible, strict=True)]
    left = 1 - n * f
    total = sum(above)
    return [
        f + (a * left / total if total else 0.0) if ok else 0.0
        for a, ok in zip(above, eligible, strict=True)
    ]


def naive_budget(
    values: Sequence[float],
    eligible: Sequence[bool],
    chances: Sequence[float],
    floor: float,
    share: float,
    cost: float,
) -> list[float]:
    """The largest factor on what arms have above the floor that keeps both bounds, by bisection."""
    arms = [a for a, ok in enumerate(eligible) if ok]
    best = max(arms, key=lambda a: values[a])
    f = min(floor, 1 / len(arms))

    def shrunk(keep: float) -> list[float]:
        out = [0.0] * len(values)
        for a in arms:
            if a != best:
                out[a] = f + (chances[a] - f) * keep
        out[best] = 1 - sum(out)
        return out

    def kept(p: Sequence[float]) -> bool:
        loss = sum(p[a] * (values[best] - values[a]) for a in arms)
        others = sum(p[a] for a in arms if a != best)
        return others <= share and loss <= cost * values[best]

    if kept(chances):
        return list(chances)
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if kept(shrunk(middle)) else (low, middle)
    return shrunk(low)


def naive_shortlist(
    values: Sequence[float],
    variance: Sequence[float],
    eligible: Sequence[bool],
    best: int,
    uncertain: int,
) -> list[bool]:
    arms = [a for a, ok in enumerate(eligible) if ok]
    first = sorted(arms, key=lambda a: (-values[a], a))[:best]
    others = [a for a in arms if a not in first]
    first += sorted(others, key=lambda a: (-variance[a], a))[:uncertain]
    return [a in first for a in range(len(values))]


def naive_holds(customer: str, share: float, salt: str) -> bool:
    key = hashlib.blake2b(salt.encode()).digest()
    digest = hashlib.blake2b(customer.encode(), digest_size=8, key=key).digest()
    return Fraction(int.from_bytes(digest, "little"), 2**64) < Fraction(share)
