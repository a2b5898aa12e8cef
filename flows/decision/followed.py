"""The models that the stream decides with, as they are in the store: looked at again and again."""

from __future__ import annotations

import logging
import threading

import msgspec
import redis

from .engine import Engine
from .errors import ModelError
from .keys import Keys
from .published import PublishedModels, read_models
from .stored import Stored

FOLLOW_SECONDS = 0.2
_log = logging.getLogger("nextbest.decisions")


class Followed:
    """Gives an engine the models that are published, and keeps its strategy's text in the store.

    A thread of its own looks, so that no decision waits for a model that has changed.

    Parameters
    ----------
    engine
        Whose models are replaced.
    keys
        Of its strategy.
    client
        Of the store, without decoding; used by the thread too.

    Attributes
    ----------
    fault
        Why there is no model that can be used; empty: nothing is wrong.
    """

    def __init__(self, engine: Engine, keys: Keys, client: redis.Redis) -> None:
        self._engine, self._keys, self._client = engine, keys, client
        strategy = engine.loaded.strategy
        self._models = PublishedModels(
            keys, list(strategy.objectives), fleet=strategy.fleet is not None
        )
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.fault = ""

    def start(self) -> None:
        """Look once; then again and again, until `close`. Once is enough.

        Raises
        ------
        redis.RedisError
            If the store is away now; later that is passed over.
        """
        if self._thread is None:
            self.look()
            self._thread = threading.Thread(target=self._follow, name="models", daemon=True)
            self._thread.start()

    def look(self) -> None:
        """Take up what has changed; what cannot be used is said, and not taken up.

        Raises
        ------
        redis.RedisError
            If the store is away.
        """
        loaded, models = self._engine.loaded, self._models
        version = self._keys.version(loaded.version)
        if not self._client.exists(version):  # whoever asks why needs it
            value = msgspec.json.encode(Stored(loaded.version, loaded.text))
            self._client.set(version, value)
        try:
            if read_models(self._client, models):
                self._engine.models = models.with_found(loaded.strategy, {})
            elif not models.none_published:
                return
        except ModelError as error:
            # Without one that could be used, decisions fall back until it changes.
            if not self._engine.models.published:
                self.fault = f"models: {error}"
            _log.error("a model is not taken up: %s", error)
            return
        self.fault = ""

    def end(self) -> None:
        """Look no more; the thread may still be at it."""
        self._ended.set()

    def close(self) -> None:
        """Look no more."""
        self.end()
        if self._thread is not None:
            self._thread.join()

    def _follow(self) -> None:
        while not self._ended.wait(FOLLOW_SECONDS):
            try:
                self.look()
            except redis.RedisError:
                continue  # decisions notice that
            except Exception as error:  # whatever it is, decisions go on with what there is
                _log.error("following the models: %s", error)
