"""How the quality scenarios choose settings, ours and the references' alike.

Every setting of a grid is played with two seeds, and the best quarter of them with six more. No
figure has those seeds, nor a part of the stream that the settings are not to see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Setting = tuple[Any, ...]

SEEDS = range(100, 108)
FIRST_SEEDS, KEPT = 2, 4


class Scored(NamedTuple):
    """A setting and its score with each seed, float64[seeds]; more is better."""

    setting: Setting
    scores: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(self.scores.mean())

    def level_with(self, best: Scored) -> bool:
        """Return whether it lacks at most one standard error of the seeds' differences."""
        lacks = best.scores - self.scores
        return bool(lacks.mean() <= lacks.std(ddof=1) / len(lacks) ** 0.5)


def ranked(
    settings: Sequence[Setting],
    score: Callable[[int, Setting], float],
    seeds: Sequence[int] = SEEDS,
) -> list[Scored]:
    """Return the quarter of the settings that is best with two seeds, ranked with all.

    Of equals the first given comes first.

    Parameters
    ----------
    score
        Of a seed and a setting.
    """
    first = _by_mean(settings, score, seeds[:FIRST_SEEDS])
    kept = [scored.setting for scored in first[: math.ceil(len(settings) / KEPT)]]
    return _by_mean(kept, score, seeds)


def _by_mean(
    settings: Sequence[Setting], score: Callable[[int, Setting], float], seeds: Sequence[int]
) -> list[Scored]:
    found = [Scored(s, np.array([score(seed, s) for seed in seeds])) for s in settings]
    return sorted(found, key=lambda scored: -scored.mean)
