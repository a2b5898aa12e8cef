"""``fleet``: promotions by evidence that may be looked at after every pair, against a z-test.

Pairs are outcomes of a champion and a challenger that respond with probability 5%; every pair is
looked at. ``false_promotions`` is the share of 1,000 simulations of 20,000 pairs of equals in which
the challenger is promoted at a fleet's alpha of 5%, ``false_promotions_3`` that of a champion with
three equal challengers that share it; ``pairs_to_detect`` is the median number of pairs until one
that responds 20% more often is promoted. The reference is the z-test of a fixed horizon, one-sided
at 5%, looked at just as often: ``false_promotions_z``, ``pairs_to_detect_z``. Its ``horizon_z``, at
which alone it may be looked at, is the number of pairs for a power of 80%. Nothing is timed: the
figures are the same everywhere.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from nextbest.learners.fleet_parts import Levels
from nextbest.learners.kernels.trial import first_proven

from .harness import Result

Floats = NDArray[np.float64]

BASE, LIFT, ALPHA = 0.05, 0.2, 0.05
Z, POWER_Z = 1.6448536269514722, 0.8416212335729143
PAIRS, LONG = 20_000, 100_000
FIRST_LOOK = 100
"""Pairs before the z-test is looked at: of fewer no normal approximation should be asked."""


def run(*, quick: bool) -> Result:
    """Measure; see the module's text. Quick: the same simulations of three challengers are 300."""
    rng = np.random.default_rng(2026)
    runs, threes = 1000, 300 if quick else 1000
    detected = 301 if quick else 1001
    limit, shared = (-math.log(Levels(ALPHA, n, more=False).first) for n in (1, 3))
    false = false_z = 0
    for _ in range(runs):
        differences = _outcomes(rng, PAIRS, BASE) - _outcomes(rng, PAIRS, BASE)
        false += first_proven(differences, limit) > 0
        false_z += _first_z(differences, Z, FIRST_LOOK) > 0
    together = 0
    for _ in range(threes):
        champion = _outcomes(rng, PAIRS, BASE)
        together += any(
            first_proven(_outcomes(rng, PAIRS, BASE) - champion, shared) > 0 for _ in range(3)
        )
    ours, theirs = [], []
    better = BASE * (1 + LIFT)
    for _ in range(detected):
        differences = _outcomes(rng, LONG, better) - _outcomes(rng, LONG, BASE)
        ours.append(_or_never(first_proven(differences, limit)))
        theirs.append(_or_never(_first_z(differences, Z, FIRST_LOOK)))
    variance = BASE * (1 - BASE) + better * (1 - better)
    return Result(
        "fleet",
        figures={
            "false_promotions": false / runs,
            "false_promotions_3": together / threes,
            "pairs_to_detect": float(np.median(ours)),
            "false_promotions_z": false_z / runs,
            "pairs_to_detect_z": float(np.median(theirs)),
        },
        detail={
            "simulations": runs,
            "pairs_of_equals": PAIRS,
            "pairs_to_detect_p90": float(np.quantile(ours, 0.9)),
            "horizon_z": math.ceil(variance * ((Z + POWER_Z) / (BASE * LIFT)) ** 2),
            "base": BASE,
            "lift": LIFT,
            "alpha": ALPHA,
        },
    )


def _outcomes(rng: np.random.Generator, n: int, chance: float) -> Floats:
    return (rng.random(n) < chance).astype(np.float64)


def _or_never(pairs: int) -> float:
    return pairs if pairs > 0 else math.inf


@numba.njit
def _first_z(differences: Floats, z: float, begin: int) -> int:
    """Return after how many differences their mean is first z standard errors above 0; or -1."""
    total, squares = 0.0, 0.0
    for i in range(len(differences)):
        total += differences[i]
        squares += differences[i] ** 2
        n = i + 1
        if n >= begin and total > 0.0:
            variance = (squares - total * total / n) / (n - 1)
            if total * total >= z * z * variance * n:
                return n
    return -1
