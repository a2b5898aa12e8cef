"""Keeping the epochs of a cluster's sources in step.

A partition's epoch lasts a fixed time from when the last one ended *there*, but it may only read
once every partition of the cluster has ended that one. A partition that is always a little early
uses up its epochs waiting, ever more of them, until it reads one batch an epoch (bytewax#556). The
engine looks at the clock only when a partition asks to be called. So one that was kept waiting
for long asks, near its epoch's end, to be called that much later: then it ends when the others do.

What it still waits after that is what the commit itself takes, of which no hold is the cure: while
it holds it does not read, so this much is let be from then on.

One that waits for a whole epoch, as after another worker stood still for so long, is called when
its time is over already: the engine ends the epoch after the one call, and so ever after. It asks
to be called in the middle of the others' next epoch. That one ends with its first call too, but
half an epoch before theirs, so that there is time left in those that follow.

The engine has a partition that waits for the others look again and again, without a pause, unless
it asked to be called later. So one that nothing comes to asks for that with the call that ends its
epoch: for about as long as it had to wait lately.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_TOLERATED = 0.05
"""Waiting for so much of an epoch longer than commits take is let be."""

_FORGOTTEN = 0.95
"""So much of what commits were found to take is still believed an epoch later."""

_VERY_LATE = 0.5
_SHIFT = 1.5
"""Epochs from a call that ends an epoch to the next one; the others end theirs at 1 and 2."""

_REST = 8
"""Epochs from one shift to the next, at least: one that does not help must not cost much."""

_QUIET = 2
"""Epochs that end without data before a partition rests: at least one whole one."""
_LONGEST_REST = 0.1
_SHORTER = 0.7
"""Of a rest that was long enough is asked for next time: how much of it was needed is not known."""
_LOOKED = 0.005
"""Seconds after a rest within which a call does not mean that it was too short."""

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

    The next one is open at once, but they are ready 1.2 s after its end. There is no time left:

    >>> now = 1.4
    >>> pace.called(); pace.epoch_ended()
    >>> now = 2.6
    >>> pace.called(); pace.hold()
    1.5
    """

    def __init__(self, epoch_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._epoch = epoch_seconds
        self._clock = clock
        self._ended: float | None = None
        self._first: float | None = None
        self._last = clock()
        self._asked = self._last
        self._gap = self._left = self._held = 0.0
        self._due = self._waited = self._commit = 0.0
        self._has_held = self._in_step = False
        self._until_shift = 0
        self._quiet, self._rest, self._resting = 0, 0.0, False

    def epoch_ended(self) -> None:
        """Note that an epoch ended here."""
        now = self._clock()
        # The engine's time is that of the call after which it ended the epoch.
        self._ended = self._last if now - self._asked < _SAME_CALL else now
        self._left, self._first = now, None
        self._in_step, self._has_held = self._has_held, False
        self._until_shift = max(0, self._until_shift - 1)
        self._quiet += 1

    def called(self) -> None:
        """Note that the partition is asked for events."""
        now = self._clock()
        if self._first is None:
            self._first = now
            # Not what it asked for itself.
            self._waited = max(0.0, now - max(self._left, self._due))
            self._learn_rest(now)
            known = self._waited if self._in_step else self._commit * _FORGOTTEN
            self._commit = min(known, self._waited)
        elif not self._held:
            self._gap = now - self._last
        self._last = now

    def brought(self) -> None:
        """Note that the present call has brought events."""
        self._quiet, self._resting = 0, False

    def rests(self) -> bool:
        """Should the present call bring nothing, as it ends the epoch of a quiet partition?

        Then `awake` asks for a rest. With a read that waits the epoch would end later.
        """
        if self._quiet < _QUIET or self._resting or self._ended is None:
            return False
        is_last = self._first != self._last and self._last >= self._ended + self._epoch
        self._resting = is_last
        return is_last

    def _learn_rest(self, now: float) -> None:
        """See from the first call of an epoch whether the rest was too short."""
        if self._quiet < _QUIET:
            return
        waited = now - self._left
        if not self._resting or waited > self._rest + _LOOKED:
            self._rest = min(waited, _LONGEST_REST * self._epoch)
        else:
            self._rest *= _SHORTER
            # How long the others took is not known: nothing to follow.
            self._waited = min(self._waited, self._commit)
        self._resting = False

    def reading_seconds(self) -> float:
        """How long the present call should go on reading: 0.0, one read is enough.

        Where the others are so late that hardly any call is left in this epoch, much is read at
        once.
        """
        if self._ended is None or self._first is None or self._first != self._last:
            return 0.0
        late = self._waited > _VERY_LATE * self._epoch
        return _READING * self._epoch if late else 0.0

    def hold(self) -> float:
        """Seconds for which the partition should not be called."""
        if self._ended is None or self._first is None:
            return 0.0
        if self._resting:
            return self._rest
        if self._is_spent():
            return 0.0 if self._until_shift else _SHIFT * self._epoch
        if self._waited - self._commit < _TOLERATED * self._epoch:
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
        self._due = self._asked
        if not self._resting:
            self._due += self._held
            if self._held and self._is_spent():
                self._until_shift = _REST
            elif self._held:
                self._has_held = True
        return datetime.now(UTC) + timedelta(seconds=self._held) if self._held else wanted

    def _is_spent(self) -> bool:
        """Is the present call the first one of an epoch whose time is over?"""
        assert self._ended is not None
        return self._first == self._last and self._last >= self._ended + self._epoch
