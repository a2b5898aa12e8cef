"""Features of other entities than the customer: accepted events, by the entities' own keys.

The log is in order of customers. Their rows say which events are duplicates and which are late;
what they accepted goes on to shards of its own for each other entity. Those features are free of
order (a declaration with sessions is refused), so partitions may come in any interleaving. An
event that lacks one of an entity's join keys does not count for that entity.

Knows no dataflow engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..features.batch import EVENT_ID, POSITION, EventBatch
from ..features.decoded import join_tables
from ..features.encoder import KeyEncoder
from ..features.plans import Plans
from .assemble import WholeChunk
from .routing import shard_keys
from .shard import Published, Shard


@dataclass(frozen=True, slots=True)
class EntityEvents:
    """Accepted events that belong to one shard of an entity.

    Attributes
    ----------
    entity, shard
        Whose.
    batch
        The events, not numbered yet.
    received
        When the oldest of them entered the worker, ``time.perf_counter`` seconds.
    too_long
        How many events more did not count, as their keys were too long; told to shard 0.
    """

    entity: str
    shard: int
    batch: EventBatch
    received: float
    too_long: int = 0


@dataclass(frozen=True, slots=True)
class EntityCounted:
    """What became of the events of one part."""

    entity: str
    applied: int
    too_long: int
    rows: int
    shard: int = 0
    evicted: int = 0


def entity_keys(plans: Plans, shards: int) -> dict[str, tuple[str, ...]]:
    """Return the dataflow's keys of every other entity's shards.

    They go by the places of the entities: another set of entities is another declaration.
    """
    return {
        plan.catalog.entity.name: shard_keys(shards, f"e{place}s")
        for place, plan in enumerate(plans.others)
    }


class EntitySplitter:
    """From whole chunks to the events of each entity's shards.

    Parameters
    ----------
    plans
        Whose ``others`` want events.
    shards
        How many shards each entity has.
    """

    def __init__(self, plans: Plans, shards: int) -> None:
        self._shards = shards
        self._keys = entity_keys(plans, shards)
        self._encoders = {plan.catalog.entity.name: KeyEncoder(plan) for plan in plans.others}

    def __call__(
        self, items: Iterable[tuple[str, WholeChunk]]
    ) -> Iterator[tuple[str, EntityEvents]]:
        """Yield the accepted events under the keys of their shards."""
        several = [whole for _, whole in items]
        if not several:
            return
        table = _table_of(several)
        accepted = np.concatenate([whole.accepted for whole in several])
        received = min(whole.chunk.received for whole in several)
        for entity, encoder in self._encoders.items():
            batch, too_long = encoder.encode(table, accepted)
            for shard, part, _ in batch.split(self._shards):
                yield self._keys[entity][shard], EntityEvents(entity, shard, part, received)
            if too_long:
                nothing = EventBatch(batch.records[:0], batch.ids[:0])
                told = EntityEvents(entity, 0, nothing, received, too_long)
                yield self._keys[entity][0], told


def _table_of(several: Sequence[WholeChunk]) -> Any:
    if len(several) == 1:
        return several[0].chunk.events.table  # kept there: the archive needs it too
    return join_tables([whole.chunk.events for whole in several])


class EntityLogic(Shard):
    """One shard of another entity.

    The shard is a log of its own: its events are numbered as they come, and a row's log position
    is the number of its last event. That is nothing to compare a receipt with.
    """

    names = ("accepted", "too_long")

    def on_events(self, part: EntityEvents) -> Iterator[Published | EntityCounted]:
        """Apply events; yield what follows from them."""
        n = len(part.batch)
        self._number(part.batch)
        yield from self._take(part.batch, None, part.received)
        self._count([n, part.too_long], always=part.too_long > 0)
        state = self.store.state
        yield EntityCounted(part.entity, n, part.too_long, len(state), self.shard, state.evicted)

    def _number(self, batch: EventBatch) -> None:
        """Give events positions, and ids that no other event of the shard has.

        Which are duplicates is decided already; rows must not take them for any.
        """
        numbers = np.arange(self._position + 1, self._position + 1 + len(batch), dtype=np.uint64)
        batch.records[:, POSITION] = numbers
        batch.records[:, EVENT_ID] = numbers + np.uint64(1)
