"""The dataflow's part that decides by itself: at events, and where a delivery failed.

features right after marked events ───┬─► act (a part a shard) ─► decisions: log, store, outbound
outcomes in the log: failures, refusals ┘                     └─► contacts: blocks, cool-downs

It is a sink, because only what ends in a sink's part is sure to be done before an epoch is
committed; what a crash leaves undone, or done but not committed, comes again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import bytewax.operators as op
import redis
from bytewax.outputs import StatefulSinkPartition
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..features.catalog import Catalog
from ..features.errors import StoreError
from ..features.kernels.hashing import hash_string
from .assemble import ChunkTable
from .connection import explained, passes
from .decision.acting import Actor
from .decision.appending import Appender
from .decision.committing import Log
from .decision.contacts import CapRules
from .decision.loading import Loaded
from .decision.reported import Reported, reported_in
from .decision.triggering import Occasions, trigger_events
from .featurize import ReadFeatures
from .marking import EventMarker
from .publisher import own_connections
from .settings import Settings
from .sinks.base import KeyedSink
from .sinks.outage import Outage, Patience

MakeLog = Callable[[], Log | Appender]


@dataclass(frozen=True)
class Acting:
    """What the dataflow needs to decide by itself.

    Attributes
    ----------
    loaded
        The strategy.
    catalog
        It was loaded with.
    log
        Makes what decisions are appended to: the log that is read.
    """

    loaded: Loaded
    catalog: Catalog
    log: MakeLog

    @classmethod
    def of(cls, loaded: Loaded, catalog: Catalog, log: MakeLog | None) -> Acting | None:
        """Return it; None: there is nothing to do for the strategy, or the log is only read."""
        needed = acts(loaded) or loaded.strategy.cool_downs
        return cls(loaded, catalog, log) if log is not None and needed else None

    def marker(self) -> EventMarker | None:
        """Return what finds the events of triggers; None: there are no triggers."""
        types = trigger_events(self.loaded.strategy)
        return EventMarker(types) if types else None


def acts(loaded: Loaded) -> bool:
    """Whether a strategy can decide by itself: at an event, or after a failed delivery."""
    channels = loaded.strategy.channels.values()
    return any(channel.direction == "outbound" for channel in channels)


def attach_acting(
    acting: Acting,
    shards: Any,
    tables: Any,
    keys: Sequence[str],
    url: str,
    settings: Settings,
    patience: Patience,
    place: Any,
    tell: Callable[[Mapping[str, int]], None],
) -> None:
    """Add the steps to a dataflow.

    Parameters
    ----------
    acting
        The strategy, and the log.
    shards
        The stream of what shards say.
    tables
        The stream of chunks' tables.
    keys
        Of the shards.
    url
        The store.
    settings
        Limits.
    patience
        How outages of the store are met.
    place
        Puts steps where they belong in a cluster.
    tell
        See `Actor`.
    """
    occasions = op.flat_map("occasions", shards, _occasions)
    rules = CapRules.compile(acting.loaded.strategy)
    reported = op.flat_map("reported", tables, partial(_reported, keys, rules))
    both = op.merge("act_in", occasions, reported)
    sink = ActSink(acting, keys, url, settings, patience, tell)
    op.output("act", both, place.sink(sink, place.of_key))


def _occasions(item: tuple[str, Any]) -> Iterator[tuple[str, Occasions]]:
    key, out = item
    if isinstance(out, ReadFeatures):
        found = out.occasions()
        if found is not None:
            yield key, found


def _reported(
    keys: Sequence[str], rules: CapRules, chunk: ChunkTable
) -> Iterator[tuple[str, Reported]]:
    for event in chunk.loop:
        one = reported_in(event, rules)
        if one is not None:
            yield keys[int(hash_string(one.customer)[0]) % len(keys)], one


class ActSink(KeyedSink[Occasions | Reported, int]):
    """Decides, and commits what was decided: a part a shard, all of a worker on one connection.

    When an epoch ends, all that came in it is done. A store that is away is waited for.

    Parameters
    ----------
    acting
        The strategy, and the log.
    keys
        Of the shards: the names of the parts.
    url
        The store.
    settings
        Limits.
    patience
        How outages are met.
    tell
        See `Actor`.
    """

    def __init__(
        self,
        acting: Acting,
        keys: Sequence[str],
        url: str,
        settings: Settings,
        patience: Patience,
        tell: Callable[[Mapping[str, int]], None],
    ) -> None:
        super().__init__(keys)
        self._acting, self._url, self._settings = acting, url, settings
        self._patience, self._tell = patience, tell
        # A worker is a thread, and an actor is of one.
        self._shared: dict[int, _Shared] = {}

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _ActPartition:
        """A part that uses this worker's actor; ``resume_state`` counts what came."""
        thread = threading.get_ident()
        shared = self._shared.get(thread)
        if shared is None or not shared.users:
            shared = self._shared[thread] = _Shared(self._make())
        return _ActPartition(shared, resume_state or 0)

    def _make(self) -> Actor:
        acting, settings = self._acting, self._settings
        connections = own_connections(self._url, redis.ConnectionPool, Retry(NoBackoff(), 0))
        connections.connection_kwargs["socket_timeout"] = settings.redis_timeout_seconds
        actor = Actor(
            acting.loaded, acting.catalog, redis.Redis(connection_pool=connections), acting.log(),
            record_seconds=settings.decision_seconds, tell=self._tell,
            patiently=partial(_patiently, self._url, self._patience),
        )  # fmt: skip
        if acts(acting.loaded):
            actor.warm()
        return actor


class _Shared:
    """The actor of a worker, and how many parts use it."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.users = 0


class _ActPartition(StatefulSinkPartition[Occasions | Reported, int]):
    def __init__(self, shared: _Shared, came: int) -> None:
        shared.users += 1
        self._shared = shared
        self._came = came

    def write_batch(self, items: list[Occasions | Reported]) -> None:
        self._shared.actor.act(
            [item for item in items if isinstance(item, Occasions)],
            [item for item in items if isinstance(item, Reported)],
        )
        self._came += len(items)

    def snapshot(self) -> int:
        return self._came

    def close(self) -> None:
        self._shared.users -= 1
        if not self._shared.users:
            self._shared.actor.close()


def _patiently(url: str, patience: Patience, ask: Callable[[], Any]) -> Any:
    """Ask until there is an answer; errors that no wait can help are raised."""
    outage: Outage | None = None
    while True:
        try:
            answer = ask()
        except (redis.RedisError, StoreError) as error:
            why = _reason(error)
            if not passes(why):
                raise error if isinstance(error, StoreError) else explained(url, why) from error
            outage = outage or Outage(patience, url, why)
            outage.goes_on(why)
            outage.wait()
        else:
            if outage is not None:
                outage.ends()
            return answer


def _reason(error: redis.RedisError | StoreError) -> redis.RedisError:
    if isinstance(error, redis.RedisError):
        return error
    cause = error.__cause__
    return cause if isinstance(cause, redis.RedisError) else redis.ConnectionError(str(error))
