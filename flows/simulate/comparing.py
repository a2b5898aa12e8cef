"""Policies side by side in the same worlds, over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...features.errors import SettingsError
from .policies import POLICIES
from .within import play
from .world import Setting, World

F64 = npt.NDArray[np.float64]
PARTS = 12
"""Of the time, in which regret is shown."""


@dataclass(frozen=True)
class Standing:
    """What became of one policy in all worlds.

    Attributes
    ----------
    name
        Its name.
    regret
        float64[seeds], cumulative: of all visits together.
    earned
        float64[seeds], the mean value a visit.
    course
        float64[PARTS], the mean regret a visit, in equal parts of the visits.
    """

    name: str
    regret: F64
    earned: F64
    course: F64


@dataclass(frozen=True)
class Comparison:
    """What became of all policies, and of the oracle.

    Attributes
    ----------
    standings
        In the order asked for.
    visits
        int64[seeds].
    oracle
        float64[seeds], what the oracle expects to earn a visit.
    """

    standings: list[Standing]
    visits: npt.NDArray[np.int64]
    oracle: F64

    def ratio(self, name: str, to: str = "ours") -> float:
        """Return the mean cumulative regret of a policy over that of another one."""
        means = {standing.name: float(standing.regret.mean()) for standing in self.standings}
        return means[name] / means[to]


def compare(
    setting: Setting,
    seeds: Sequence[int],
    names: Sequence[str] = tuple(POLICIES),
    told: Callable[[str, int], object] = lambda name, seed: None,
) -> Comparison:
    """Let each policy live in the worlds of some seeds.

    Parameters
    ----------
    setting
        Of all worlds.
    seeds
        At least one.
    names
        Of `policies.POLICIES`.
    told
        Called with a policy and a seed before they meet.

    Raises
    ------
    SettingsError
        If there is no such policy, or no seed.

    Examples
    --------
    >>> found = compare(Setting(people=4, days=4), [1, 2], ["random", "rules"])
    >>> [standing.name for standing in found.standings], found.standings[0].regret.shape
    (['random', 'rules'], (2,))
    """
    if not seeds:
        raise SettingsError("no seed is given")
    for name in names:
        if name not in POLICIES:
            raise SettingsError(f"no policy {name!r}; there are {', '.join(POLICIES)}")
    played: dict[str, list[_One]] = {name: [] for name in names}
    visits, oracle = [], []
    for seed in seeds:  # one world at a time: they may be large
        world = World(setting, seed)
        visits.append(len(world))
        oracle.append(world.best.mean())
        for name in played:
            told(name, seed)
            done = play(world, POLICIES[name])
            one = _One(done.regret.sum(), done.earned.mean(), course(done.regret))
            played[name].append(one)
    standings = [
        Standing(
            name,
            np.array([one.regret for one in ones]),
            np.array([one.earned for one in ones]),
            np.mean([one.course for one in ones], axis=0),
        )
        for name, ones in played.items()
    ]
    return Comparison(standings, np.array(visits, np.int64), np.array(oracle))


class _One(NamedTuple):
    regret: float
    earned: float
    course: F64


def course(regret: F64) -> F64:
    """Return the means of equal parts, float64[PARTS]; NaN where there is nothing.

    >>> course(np.arange(24.0)).tolist()[:3]
    [0.5, 2.5, 4.5]
    """
    parts = np.array_split(regret, PARTS)
    return np.array([part.mean() if len(part) else np.nan for part in parts])
