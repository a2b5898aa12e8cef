"""Looking at the marks of a worker's shards in the online store, all at once and seldom."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .connection import ask, pool

CHECK_SECONDS = 2.0
_TIMEOUT_SECONDS = 0.5


class Sighting(NamedTuple):
    """What the store had under a mark's key, and when it was asked (seconds of the clock)."""

    found: bytes | None
    at: float


class MarkReader:
    """Reads the marks of all shards of a worker with one command, at most every few seconds.

    A store that is away is no error here: there is then nothing to see.

    Parameters
    ----------
    url
        The online store.
    keys
        The marks that are asked for; more are added when they are asked for.
    seconds
        Between two looks, at least.
    timeout
        Seconds that a look may take.
    clock
        Seconds.

    Raises
    ------
    SettingsError
        The URL is no Redis URL.

    Examples
    --------
    >>> reader = MarkReader("unix:///nowhere/server.sock", [b"nextbest:demo:shard:0:published"])
    >>> reader.look(b"nextbest:demo:shard:0:published") is None
    True
    """

    def __init__(
        self,
        url: str,
        keys: Iterable[bytes] = (),
        *,
        seconds: float = CHECK_SECONDS,
        timeout: float = _TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = redis.Redis(connection_pool=pool(url, seconds=timeout))
        self._client.set_retry(Retry(NoBackoff(), 0))
        self._seconds = seconds
        self._clock = clock
        self._keys = dict.fromkeys(keys)
        self._seen: dict[bytes, Sighting] = {}
        self._next = float("-inf")
        self._lock = threading.Lock()

    def look(self, key: bytes) -> Sighting | None:
        """Return a sighting of a mark that was not returned before; None: nothing new is known."""
        with self._lock:
            if key not in self._keys:
                self._keys[key] = None
                self._next = float("-inf")
            now = self._clock()
            if now >= self._next:
                self._read(now)
            return self._seen.pop(key, None)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _read(self, now: float) -> None:
        self._seen.clear()
        with contextlib.suppress(redis.RedisError):
            found: Any = ask(self._client, "MGET", *self._keys)
            self._seen = {k: Sighting(v, now) for k, v in zip(self._keys, found, strict=True)}
        self._next = self._clock() + self._seconds
