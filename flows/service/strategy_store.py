"""Strategies and models as they are in the store."""

from __future__ import annotations

from typing import Any

import msgspec
import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff

from ...features.errors import StateError
from ..connection import explained
from ..decision.keys import Keys
from ..decision.loading import Loaded
from ..decision.stored import Stored
from ..publisher import own_connections

_MOST_STRATEGIES = 100


class StrategyStore:
    """Reads and writes strategies, and reads models; of one event loop.

    Parameters
    ----------
    url
        Of the store.

    Every method raises a `StoreError` when the store is away.
    """

    def __init__(self, url: str) -> None:
        none = redis.asyncio.retry.Retry(NoBackoff(), 0)
        connections = own_connections(url, redis.asyncio.ConnectionPool, none)
        self._client: Any = redis.asyncio.Redis(connection_pool=connections)
        self._url = url

    async def publish(self, keys: Keys, loaded: Loaded) -> None:
        """Make a strategy the current one, and keep this version of it."""
        value = msgspec.json.encode(Stored(loaded.version, loaded.text))
        await self.ask(
            ("SET", keys.version(loaded.version), value),
            ("SET", keys.current(), value),
            ("SADD", keys.all_strategies(), keys.strategy),
        )

    async def has(self, keys: Keys, version: str) -> bool:
        """Return whether a version of a strategy is kept."""
        (found,) = await self.ask(("EXISTS", keys.version(version)))
        return bool(found)

    async def names(self, catalog: str) -> list[str]:
        """Return the names of a catalog's strategies, in order."""
        (found,) = await self.ask(("SMEMBERS", Keys(catalog, "").all_strategies()))
        return sorted(name.decode() for name in found)[:_MOST_STRATEGIES]

    async def current(self, keys: Keys) -> Stored | None:
        """Return the text of a strategy as it is now; None: there is none."""
        return await self._stored(keys.current())

    async def version(self, keys: Keys, version: str) -> Stored | None:
        """Return the text of a strategy as it was; None: it is not kept."""
        return await self._stored(keys.version(version))

    async def get(self, key: str) -> bytes:
        """Return what a key holds; empty: nothing."""
        (found,) = await self.ask(("GET", key))
        return found or b""

    async def ask(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Return the replies to commands, in one round trip."""
        if not commands:
            return []
        try:
            pipeline = self._client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            found: list[Any] = await pipeline.execute()
        except redis.RedisError as error:
            raise explained(self._url, error) from error
        return found

    async def newest(self, key: str, most: int) -> list[bytes]:
        """Return the members of a sorted set, those of the highest scores first."""
        (found,) = await self.ask(("ZREVRANGE", key, 0, most - 1))
        return list(found)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.connection_pool.disconnect()

    async def _stored(self, key: str) -> Stored | None:
        value = await self.get(key)
        if not value:
            return None
        try:
            return msgspec.json.decode(value, type=Stored)
        except msgspec.DecodeError as error:
            raise StateError(f"{key} holds no strategy: {error}") from None
