"""Keeping the epochs of a cluster's sources in step.

A partition's epoch lasts a fixed time from when the last one ended *there*, but it may only read
once every partition of the cluster has ended that one. A partition that is always a little early
uses up its epochs waiting, ever more of them, until it reads one batch an epoch (bytewax#556). The
engine looks at the clock only when a partition asks to be called. So one that was kept waiting
for long asks, near its epoch's end, to be called that much later: then it ends when the others do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_TOLERATED = 0.05
"""Waiting for so much of an epoch is let be."""

_VERY_LATE = 0.5
_READING = 0.25
_LONGEST_GAP = 0.1
_SAME_CALL = 0.002


class Pace:
    """When one partition should be called; knows no dataflow engine.

    Parameters
    ----------
    epoch_seconds
        How long an epoch lasts.
    clock
        Seconds; for tests.

    Examples
    --------
    An epoch of a second ends at 0.0, and the others are ready at 0.4 only:

    >>> now = 0.0
    >>> pace = Pace(1.0, clock=lambda: now)
    >>> pace.epoch_ended()
    >>> now = 0.4
    >>> pace.called(); pace.hold()
    0.0
    >>> now = 0.9
    >>> pace.called(); round(pace.hold(), 3)
    0.5
    """

    def __init__(self, epoch_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._epoch = epoch_seconds
        self._clock = clock
        self._ended: float | None = None
        self._first: float | None = None
        self._last = clock()
        self._asked = self._last
        self._gap = self._left = self._held = 0.0

    def epoch_ended(self) -> None:
        """Note that an epoch ended here."""
        now = self._clock()
        # The engine's time is that of the call after which it ended the epoch.
        self._ended = self._last if now - self._asked < _SAME_CALL else now
        self._left, self._first = now, None

    def called(self) -> None:
        """Note that the partition is asked for events."""
        now = self._clock()
        if self._first is None:
            self._first = now
        elif not self._held:
            self._gap = now - self._last
        self._last = now

    def reading_seconds(self) -> float:
        """How long the present call should go on reading: 0.0, one read is enough.

        Where the others are so late that hardly any call is left in this epoch, much is read at
        once.
        """
        if self._ended is None or self._first is None or self._first != self._last:
            return 0.0
        late = self._first - self._left > _VERY_LATE * self._epoch
        return _READING * self._epoch if late else 0.0

    def hold(self) -> float:
        """Seconds for which the partition should not be called."""
        if self._ended is None or self._first is None:
            return 0.0
        if self._first - self._left < _TOLERATED * self._epoch:
            return 0.0
        now = self._clock()
        # Twice the last interval: the next call must not come after the engine's own end. One that
        # reads for long at a time is not in a hurry.
        ahead = 2 * min(self._gap, _LONGEST_GAP * self._epoch)
        if now + ahead < self._ended + self._epoch:
            return 0.0
        return max(0.0, self._first + self._epoch - now)

    def awake(self, wanted: datetime | None) -> datetime | None:
        """When to call the partition that wants to be called at ``wanted``."""
        self._held = self.hold()
        self._asked = self._clock()
        return datetime.now(UTC) + timedelta(seconds=self._held) if self._held else wanted
