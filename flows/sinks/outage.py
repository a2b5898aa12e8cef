"""Waiting for a store that went away: how long, how often, and what is said."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import redis

from ...features.errors import StoreError
from ...features.store_url import without_password
from ..connection import explained
from ..pauses import pauses
from ..sources.base import StopFlag

_LOOK_SECONDS = 0.05  # how late a stop is noticed


def _unheard(reason: str, seconds: float | None) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Patience:
    """How a store's outage is met.

    Attributes
    ----------
    seconds
        To wait for it, at most; 0: not at all.
    stop
        Ends a wait once it is set.
    reconnect
        Called before each try, to start a server that died, say. What it raises ends the wait.
    on_outage
        Told the reason and None when an outage begins, and its seconds when it ends.
    """

    seconds: float = 600.0
    stop: StopFlag | None = None
    reconnect: Callable[[], None] | None = None
    on_outage: Callable[[str, float | None], None] = field(default=_unheard)


class Outage:
    """One outage: each `wait` is longer than the last, up to two seconds.

    A stop ends the wait under way, and there is one more try: a store that is back by then lets the
    run end well.

    Parameters
    ----------
    patience
        How it is met.
    url
        The store.
    error
        What told of it.

    Examples
    --------
    >>> outage = Outage(Patience(seconds=0), "redis://cache", redis.ConnectionError("reset"))
    >>> outage.wait()
    Traceback (most recent call last):
        ...
    nextbest.features.errors.StoreError: redis://cache: no answer: reset. Start that server, or \
set NEXTBEST_REDIS_URL to one that runs (unset, an embedded server is started)
    """

    def __init__(self, patience: Patience, url: str, error: redis.RedisError) -> None:
        self._patience = patience
        self._url = url
        self._error = error
        self._reason = str(explained(url, error))
        self._began = time.monotonic()
        self._pauses = pauses()
        self._tries_last = False
        if patience.seconds:
            patience.on_outage(self._reason, None)

    def wait(self) -> None:
        """Wait for a moment, then let the server be started again.

        Raises
        ------
        StoreError
            There was enough waiting, or the last try after a stop has failed.
        """
        if self._tries_last:
            raise StoreError(
                f"{without_password(self._url)}: stopped while the store was away. Nothing is "
                "lost: the next run goes on from the last snapshot"
            ) from self._error
        waited = time.monotonic() - self._began
        if waited >= self._patience.seconds:
            more = f" (waited {waited:.0f} s for it)" if self._patience.seconds else ""
            raise StoreError(f"{explained(self._url, self._error)}{more}") from self._error
        end = time.monotonic() + min(next(self._pauses), self._patience.seconds - waited)
        stop = self._patience.stop
        while (left := end - time.monotonic()) > 0:
            if stop is not None and stop.is_set():
                self._tries_last = True
                break
            time.sleep(min(left, _LOOK_SECONDS))
        if self._patience.reconnect is not None:
            self._patience.reconnect()

    def goes_on(self, error: redis.RedisError) -> None:
        """A try failed; this is why."""
        self._error = error

    def ends(self) -> None:
        """The store is back and has everything."""
        self._patience.on_outage(self._reason, time.monotonic() - self._began)
