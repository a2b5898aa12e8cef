"""What a version of a strategy meant by its objectives, in the terms of another one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .cap_tables import longest, span
from .goals import longest_window
from .strategy import Objective, Strategy

F64 = npt.NDArray[np.float64]


class Terms(NamedTuple):
    """How the rewards and chances of one version read in those of another.

    Attributes
    ----------
    begins, slopes
        float64[objectives, 1]: a share of the older range counts as ``begin + slope * share`` of
        the other's, as far as that is within 0 to 1.
    window
        For how long after a decision something may come of it, microseconds.
    otherwise
        The objectives for which something else counted: what and from which window.
    unseen
        The rules of the other that need contacts which the older did not keep.
    """

    begins: F64
    slopes: F64
    window: int
    otherwise: tuple[str, ...]
    unseen: tuple[str, ...]

    def read(self, shares: F64) -> F64:
        """Return shares of the older ranges, float64[objectives, n], as those of the other's."""
        return np.clip(self.begins + self.slopes * shares, 0.0, 1.0)


def terms(older: Strategy, other: Strategy) -> Terms:
    """Return how an older version is read; objectives that it had not are taken as they are.

    Examples
    --------
    >>> from .strategy import Action, Channel
    >>> def spent(most, window="1d"):
    ...     return Strategy(
    ...         name="s", channels={"web": Channel()}, actions={"tea": Action(channels=["web"])},
    ...         objectives={"spend": Objective(response="buy", range=(0, most), window=window)},
    ...     )
    >>> found = terms(spent(50), spent(100, "2d"))
    >>> found.read(np.array([[0.5]])).tolist(), found.otherwise
    ([[0.25]], ('spend',))
    """
    begins, slopes, otherwise = [], [], []
    for name, mine in other.objectives.items():
        theirs = older.objectives.get(name, mine)
        low, high = mine.range
        begins.append((theirs.range[0] - low) / (high - low))
        slopes.append((theirs.range[1] - theirs.range[0]) / (high - low))
        if _meaning(theirs) != _meaning(mine):
            otherwise.append(name)
    return Terms(
        np.array(begins)[:, None], np.array(slopes)[:, None], longest_window(older),
        tuple(otherwise), _unseen(older, other),
    )  # fmt: skip


def _meaning(objective: Objective) -> tuple[object, ...]:
    one = objective
    return one.response, one.event, one.where, one.value, one.window


def _unseen(older: Strategy, other: Strategy) -> tuple[str, ...]:
    found = []
    if any(
        _kept(other, name, channel) > _kept(older, name, channel)
        for name, action in other.actions.items()
        for channel in action.channels
    ):
        found.append("caps that reach back further")
    found += [
        f"a cool-down after {rest.after!r}"
        for rest in other.cool_downs
        if not any(
            (known.after, known.of) == (rest.after, rest.of)
            and span("cool-down", known.pause) >= span("cool-down", rest.pause)
            for known in older.cool_downs
        )
    ]
    return tuple(found)


def _kept(strategy: Strategy, action: str, channel: str) -> int:
    """Return for how long a strategy keeps an offer among a customer's contacts, microseconds."""
    caps = [strategy.caps]
    if action in strategy.actions:
        caps.append(strategy.actions[action].caps)
    if channel in strategy.channels:
        caps.append(strategy.channels[channel].caps)
    return max(map(longest, caps))
