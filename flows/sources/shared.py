"""One read for all partitions of a log in this process: idle costs little, data waits for nothing.

The engine asks each partition in turn, and again at once or after a pause. Asking the server as
often costs a tenth of a core while nothing happens. Instead the read itself waits: for all
partitions together, so that an entry of any of them ends the wait at once, and for longer the
longer nothing has come.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from ...features.errors import StoreError
from .base import PAUSE_SECONDS
from .outage import AwayError, OnOutage, Outage

T = TypeVar("T")

LONGEST_WAIT = 0.05
_WARM_SECONDS = 0.02
_SHORTEST_WAIT = 0.001
_STEPS = 4
"""Reads left out soon after data: the engine hands items on from step to step between them."""

_OUTAGE_PAUSE = 0.05


def patience(idle: float, longest: float = LONGEST_WAIT) -> float:
    """How long a read may wait for data, seconds, if none has come for `idle` seconds.

    Soon after data not at all: the engine hands items on from step to step between reads. Then a
    twentieth of the time since: a timer that was set when the data came, to publish rows for
    example, is late by as little. The engine is not asked to wait instead: while one of its
    sources pauses it wakes up every millisecond, which costs four times as much.

    >>> patience(0.01), patience(0.1), patience(60.0)
    (0.0, 0.005, 0.05)
    """
    return 0.0 if idle < _WARM_SECONDS else min(idle / 20, longest)


class Feed(Generic[T]):
    """What was read for one partition and not yet taken.

    Attributes
    ----------
    number
        Of the partition.
    waiting
        Entries in log order.
    dry
        The last read looked for entries of this partition and found none.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.waiting: Sequence[T] = ()
        self.dry = False
        self.turn = 0


class SharedReader(ABC, Generic[T]):
    """Reads a log for several partitions at once.

    Not more than one read is ever waiting for a partition: a subclass bounds what one read
    brings, and so this holds no more than that for each of them.

    Parameters
    ----------
    outage_seconds
        How long the log's server may be away in the middle of a run.
    on_outage
        Told when an outage begins and ends.
    reconnect
        Called before each new attempt to reach the server, in a thread of its own.
    """

    def __init__(
        self,
        *,
        outage_seconds: float,
        on_outage: OnOutage | None = None,
        reconnect: Callable[[], None] | None = None,
    ) -> None:
        self._feeds: dict[int, Feed[T]] = {}
        self._reads = 0
        self._outage_seconds = outage_seconds
        self._on_outage = on_outage
        self._reconnect = reconnect
        self._outage: Outage | None = None
        self._last_data = time.monotonic()
        self._steps = 0
        self.pause = PAUSE_SECONDS

    @abstractmethod
    def fetch(self, feeds: Sequence[Feed[T]], seconds: float) -> Mapping[int, Sequence[T]]:
        """Read what there is for `feeds`, by partition; if nothing, wait at most `seconds`.

        Raises
        ------
        AwayError
            The server gives no answer, and a later one will do.
        """

    @abstractmethod
    def ask(self) -> None:
        """Ask the server whether it is there, and whether reading can go on where it was.

        Runs in a thread of its own while nothing is read.
        """

    @abstractmethod
    def disconnect(self) -> None:
        """Give up what is held; the last partition has been closed."""

    def open(self, number: int) -> Feed[T]:
        """Begin to read for a partition."""
        feed = self._feeds[number] = Feed(number)
        feed.turn = self._reads
        return feed

    def close(self, feed: Feed[T]) -> None:
        """Read no more for a partition."""
        if self._feeds.get(feed.number) is feed:
            del self._feeds[feed.number]
            if not self._feeds:
                if self._outage is not None:
                    self._outage.abandon()
                    self._outage = None
                self.disconnect()

    def take(self, feed: Feed[T]) -> Sequence[T]:
        """The next entries of a partition; empty if there are none yet.

        Afterwards `pause` says how long a partition that got none should wait: no time at all
        if the next read itself will wait.
        """
        # Each partition has a turn between two reads, so that no entry lies around, and none
        # reads when another one has just done it for all.
        if not feed.waiting and feed.turn == self._reads:
            self._read()
        feed.turn = self._reads
        taken, feed.waiting = feed.waiting, ()
        return taken

    def _read(self) -> None:
        self._reads += 1
        if self._outage is not None:
            if not self._outage.over():
                return
            self._outage = None
        idle = time.monotonic() - self._last_data
        # Where calls are rare, as many of them may be whole epochs.
        if self._steps and idle < _WARM_SECONDS:
            self._steps -= 1
            self.pause = 0.0
            return
        empty = [feed for feed in self._feeds.values() if not feed.waiting]
        seconds = 0.0
        if len(empty) == len(self._feeds):
            seconds = max(_SHORTEST_WAIT, patience(idle))
        try:
            found = self.fetch(empty, seconds)
        except AwayError as error:
            self._outage = Outage(
                str(error), self._retry, seconds=self._outage_seconds, tell=self._on_outage
            )
            self.pause = _OUTAGE_PAUSE
            return
        for feed in empty:
            feed.dry = feed.number not in found
        for number, entries in found.items():
            feed = self._feeds[number]
            feed.waiting = [*feed.waiting, *entries] if feed.waiting else entries
        if found:
            self._last_data = time.monotonic()
            self._steps = _STEPS
        self.pause = PAUSE_SECONDS if seconds == 0.0 else 0.0

    def _retry(self) -> None:
        if self._reconnect is not None:
            try:
                self._reconnect()
            except StoreError as error:
                raise AwayError(str(error)) from error
        self.ask()
