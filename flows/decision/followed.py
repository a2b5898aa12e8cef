"""The models that the stream decides with, as they are in the store: looked at again and again."""

from __future__ import annotations

import logging
import threading
from typing import Any

import msgspec
import redis

from .engine import Engine
from .errors import ModelError
from .keys import Keys
from .models import Models
from .stored import TAG_BYTES, Stored, model_of

FOLLOW_SECONDS = 1.0
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
        self._tags: dict[str, bytes] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.fault = ""

    def start(self) -> None:
        """Look once; then again each second, until `close`. Once is enough.

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
        loaded = self._engine.loaded
        names = list(loaded.strategy.objectives)
        version = self._keys.version(loaded.version)
        there, *tags = self._all(
            ("EXISTS", version),
            *(("GETRANGE", self._keys.model(name), -TAG_BYTES, -1) for name in names),
        )
        if not there:  # whoever asks why needs it
            self._all(("SET", version, msgspec.json.encode(Stored(loaded.version, loaded.text))))
        found = dict(zip(names, tags, strict=True))
        changed = [name for name in names if found[name] != self._tags.get(name, b"")]
        if changed:
            self._take_up(found, changed)
        elif self.fault and not any(tags):
            self.fault = ""  # there is nothing that is wrong

    def end(self) -> None:
        """Look no more; the thread may still be at it."""
        self._ended.set()

    def close(self) -> None:
        """Look no more."""
        self.end()
        if self._thread is not None:
            self._thread.join()

    def _take_up(self, tags: dict[str, bytes], changed: list[str]) -> None:
        published = dict(self._engine.models.published)
        data = self._all(*(("GET", self._keys.model(name)) for name in changed))
        self._tags = tags
        try:
            for name, one in zip(changed, data, strict=True):
                if one:
                    published[name] = model_of(name, one)
            self._engine.models = Models(self._engine.loaded.strategy, published)
        except ModelError as error:
            # Without one that could be used, decisions fall back until it changes.
            if not self._engine.models.published:
                self.fault = f"models: {error}"
            _log.error("a model is not taken up: %s", error)
            return
        self.fault = ""

    def _follow(self) -> None:
        while not self._ended.wait(FOLLOW_SECONDS):
            try:
                self.look()
            except redis.RedisError:
                continue  # decisions notice that
            except Exception as error:  # whatever it is, decisions go on with what there is
                _log.error("following the models: %s", error)

    def _all(self, *commands: tuple[Any, ...]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]  # the client's
        found: list[Any] = pipeline.execute()
        return found
