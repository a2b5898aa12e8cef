"""All rows of shards that no dataflow runs, published as the next run would."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import redis

from ..features.plans import Plans
from .connection import ask, pool, store_errors
from .embedded import reviver
from .marks import Sighting
from .publication import mark_key, position_of
from .settings import Settings
from .shard import CUSTOMERS, Published, Snapshot
from .sinks.flush import RowFlush
from .sinks.rows import RowSink
from .sources.announce import declaration_of
from .sources.base import StopFlag
from .steps import shard_maker
from .watch import Look


class Republished(NamedTuple):
    """Rows in the store by entity; how many shards were left to the next run."""

    rows: dict[str, int]
    left: int


def republish(
    plans: Plans,
    settings: Settings,
    url: str,
    snapshots: Mapping[tuple[str, int], Snapshot],
    *,
    stop: StopFlag | None = None,
    on_outage: Callable[[str, float | None], None] = lambda reason, seconds: None,
    on_shard: Callable[[int], None] = lambda done: None,
) -> Republished:
    """Publish the declaration and every row; marks tell the next run that they are there.

    Rows appear in their last form only, so that no reader sees one go back in time. A shard whose
    rows in the store are newer than its snapshot (the last run was killed) is left to the next
    run, which takes in those events again at once.

    Parameters
    ----------
    plans
        What the snapshots are of.
    settings
        Where the state is, and the limits of waiting.
    url
        The online store.
    snapshots
        Of every shard, by entity and number; the caller holds the data directory.
    stop
        Ends a wait for a store that is away.
    on_outage
        Told as `RowSink` tells.
    on_shard
        Told how many shards are done.

    Raises
    ------
    StoreError
        The store is away for too long, or refuses.
    StateError
        If a shard's state is damaged.
    """
    declaration = declaration_of(plans.catalog)
    catalogs = {CUSTOMERS: plans.customer.catalog}
    catalogs |= {plan.catalog.entity.name: plan.catalog for plan in plans.others}
    rows = dict.fromkeys(catalogs, 0)
    left = 0
    with contextlib.ExitStack() as held:
        client = redis.Redis(connection_pool=pool(url, seconds=settings.redis_timeout_seconds))
        held.callback(client.close)
        sink = RowSink(
            url, ["0"], timeout=settings.redis_timeout_seconds,
            outage_seconds=settings.outage_seconds, stop=stop, reconnect=reviver(settings),
            on_outage=on_outage,
        )  # fmt: skip
        wire = sink.build_part("rows", "0", None)
        held.callback(wire.close)
        wire.write_batch([RowFlush(declaration.payload, declaration.replies, 0)])
        for done, ((entity, number), snapshot) in enumerate(snapshots.items()):
            on_shard(done)
            key = mark_key(catalogs[entity], number)
            with store_errors(url):
                found = ask(client, "GET", key)
            if position_of(found) > int(snapshot["position"]):
                left += 1
                continue
            # One look: what the store loses from here on is missed by the next run.
            make = shard_maker(
                plans, settings, _once(Sighting(found, time.monotonic())), declaration
            )
            shard = make(entity, number, snapshot)
            try:
                for out in shard.publish(force=True):
                    rows[entity] += out.commands.rows
                    wire.write_batch([_flush(out)])
            finally:
                shard.store.close()
        wire.snapshot()
        on_shard(len(snapshots))
    return Republished(rows, left)


def _once(sighting: Sighting) -> Look:
    """Return what sees that, and then nothing more."""
    sightings = [sighting]
    return lambda key: sightings.pop() if sightings else None


def _flush(out: Published) -> RowFlush:
    commands = out.commands
    return RowFlush(commands.payload, commands.replies, commands.rows, marks=out.marks)
