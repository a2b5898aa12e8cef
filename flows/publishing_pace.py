"""When something that costs time is done again: soon, but never so often that it takes over."""

from __future__ import annotations

import time
from collections.abc import Callable


class PublishingPace:
    """Spaces out what is done again and again, the more the longer it takes.

    Parameters
    ----------
    least
        Seconds between two times, at least.
    share
        Of the time, at most, that it may take.
    clock
        Seconds.

    Examples
    --------
    >>> now = 0.0
    >>> pace = PublishingPace(0.2, share=0.1, clock=lambda: now)
    >>> pace.wait
    0.0
    >>> pace.done(cost=0.001)
    >>> pace.wait
    0.2
    >>> pace.done(cost=0.5)
    >>> pace.wait
    4.5
    """

    def __init__(
        self, least: float, share: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._least, self._rest = least, 1.0 / share - 1.0
        self._clock = clock
        self._next = float("-inf")

    @property
    def wait(self) -> float:
        """Seconds until it may be done again."""
        return max(0.0, self._next - self._clock())

    def done(self, cost: float) -> None:
        """Note that it was done just now, and the seconds that it took."""
        self._next = self._clock() + max(self._least, self._rest * cost)
