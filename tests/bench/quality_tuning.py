"""How the quality scenarios choose settings, ours and the references' alike.

Every setting of a grid is played with two seeds, and the best quarter of them, if more than one,
with six more. No figure has those seeds. What part of the stream is played is the scenario's.
"""

from __future__ import annotations

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
    """Return the quarter of the settings that is best with two seeds, ranked with all seeds.

    Of equals the first given comes first.

    Parameters
    ----------
    score
        Of a seed and a setting.
    """
    few, more = list(seeds[:FIRST_SEEDS]), list(seeds[FIRST_SEEDS:])
    first = _by_mean([(setting, [score(seed, setting) for seed in few]) for setting in settings])
    kept = first[: max(1, len(settings) // KEPT)]
    if len(kept) == 1:
        return kept
    return _by_mean(
        [
            (s.setting, [*s.scores.tolist(), *(score(seed, s.setting) for seed in more)])
            for s in kept
        ]
    )


def _by_mean(found: list[tuple[Setting, list[float]]]) -> list[Scored]:
    scored = [Scored(setting, np.array(scores)) for setting, scores in found]
    return sorted(scored, key=lambda one: -one.mean)
