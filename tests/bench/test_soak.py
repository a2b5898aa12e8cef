"""The soak's arithmetic: a slope and how sure it is, and the minutes of what was seen."""

from __future__ import annotations

import math
import random

from .scenario_soak import _Found, _series, slope


def test_a_slope_is_found_within_its_error() -> None:
    rng = random.Random(5)
    inside = 0
    for _ in range(40):
        level, series = 0.0, []
        for number in range(900):
            level = 0.9 * level + rng.gauss(0, 1)  # neighbours are alike
            series.append((2.0 * number, 200 + 30 * number / 1800 + level))
        found, error = slope([(0.0, 5000.0), *series], after=1.0)
        inside += abs(found - 30) < 2 * error
    assert inside >= 34
    assert slope(series[:3], after=0.0) == (0.0, math.inf)
    flat, error = slope([(float(n), 7.0) for n in range(100)], after=10.0)
    assert abs(flat) + error < 1e-6


def test_what_was_seen_is_told_minute_by_minute() -> None:
    found = _Found(
        memory={"worker": [(1.0, 100.0), (61.0, 110.0), (62.0, 120.0)]},
        fresh=[(0.5, 2.0), (70.0, 4.0)],
        lags=[(1.0, 3), (2.0, 9), (80.0, 0)],
    )
    assert _series(found, 60.0) == [
        {"from_s": 0.0, "p50_ms": 2.0, "p99_ms": 2.0, "lag_entries": 9, "worker_mb": 100.0},
        {"from_s": 60.0, "p50_ms": 4.0, "p99_ms": 4.0, "lag_entries": 0, "worker_mb": 115.0},
    ]
