"""The engine's side of the steps that keep state: adapters, and what they keep where."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet

from bytewax.operators import StatefulBatchLogic

from ..features.manifest import Manifest
from ..features.plans import Plans
from ..features.row_commands import RowCommands
from ..features.state_log import StateLog
from .assemble import Assembler, ChunkTable, Verdict, WholeChunk
from .decisions import Script
from .disk import disk_errors
from .entities import EntityLogic
from .featurize import ReadFeatures, ShardLogic
from .learn import LearnLogic, LearnOutput, Model
from .marks import CHECK_SECONDS
from .publication import LAG_SECONDS, Marks, Publication, new_timeline
from .settings import Settings
from .shard import CUSTOMERS, NO_COMMANDS, Origin, Published, Shard, Snapshot
from .watch import Look, MarkWatch


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A model to store, and what is to be executed before and after it."""

    data: bytes
    marks: Marks | None


class MakeShard(Protocol):
    """Makes the logic of one shard, from its last snapshot if there is one."""

    def __call__(self, entity: str, shard: int, snapshot: Snapshot | None = None) -> Shard:
        """Make it."""


def shard_maker(
    plans: Plans, settings: Settings, look: Look, declaration: RowCommands = NO_COMMANDS
) -> MakeShard:
    """Return what makes the shards of every entity; customers' shards send the declaration."""
    each = settings.shards * (1 + len(plans.others))
    shared: dict[str, Any] = {
        "home": home_name(settings),
        "lag_seconds": lag_seconds(settings),
        "memory_bytes": settings.memory_bytes // each,
        "idle_seconds": settings.idle_seconds,
        "look": look,
        "peers": each,
    }
    others = {plan.catalog.entity.name: plan for plan in plans.others}
    schema_id = plans.schema_id

    def make(entity: str, shard: int, snapshot: Snapshot | None = None) -> Shard:
        generation = ""
        if snapshot is not None:
            Origin(declaration=schema_id).check(snapshot)
            generation = Origin.of(snapshot).generation
        origin = Origin(generation, schema_id)
        directory = state_directory(settings, origin, entity)
        if entity == CUSTOMERS:
            return ShardLogic(
                plans.customer, shard, directory, snapshot, origin=origin,
                publishes=plans.serves_customers, declaration=declaration, **shared,
            )  # fmt: skip
        return EntityLogic(others[entity], shard, directory, snapshot, origin=origin, **shared)

    return make


def state_directory(settings: Settings, origin: Origin, entity: str) -> Path:
    """Return where the shards of an entity keep their state.

    >>> state_directory(Settings(), Origin("rebuilt-7"), "product").as_posix()
    '.nextbest/state/rebuilt-7/entity-product'
    """
    place = settings.state_dir / origin.generation
    return place if entity == CUSTOMERS else place / f"entity-{entity}"


class ShardStep(StatefulBatchLogic[Any, Any, Snapshot]):
    """One key of a step of shards; which shard it is is known from its first item only.

    Items are `ShardEvents`, or the `EntityEvents` of one entity. The engine asks for one snapshot
    after the other. At the first of an epoch all ``peers``, the steps of this worker, hand their
    changes to the disk.
    """

    def __init__(self, make: MakeShard, peers: WeakSet[ShardStep], resume: Snapshot | None) -> None:
        self._peers = peers
        self._is_prepared = False
        peers.add(self)
        self._make = make
        self._logic: Shard | None = None
        if resume is not None:
            self._logic = make(resume["entity"], resume["shard"], resume)

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        """Apply events, and publish if it is time."""
        if self._logic is None:
            self._logic = self._make(values[0].entity, values[0].shard)
        out: list[Any] = []
        for part in values:
            out.extend(self._logic.on_events(part))
        out.extend(self._logic.publish())
        return out, StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[list[Any], bool]:
        """Publish what waited for its time."""
        return self._publish(force=False), StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[list[Any], bool]:
        """Publish whatever waits."""
        return self._publish(force=True), StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        """When rows should be published, or the store be looked at."""
        return None if self._logic is None else _after(self._logic.publish_at())

    def snapshot(self) -> Snapshot:
        """Make the shard's state durable."""
        assert self._logic is not None
        if not self._is_prepared:
            for step in self._peers:
                step.prepare()
        self._is_prepared = False
        return self._logic.snapshot()

    def prepare(self) -> None:
        """Begin what the snapshot will wait for."""
        self._is_prepared = True
        if self._logic is not None:
            self._logic.prepare()

    def _publish(self, *, force: bool) -> list[Published]:
        return [] if self._logic is None else list(self._logic.publish(force=force))


class AssembleStep(StatefulBatchLogic[ChunkTable | Verdict, WholeChunk, int]):
    """One partition's chunks become whole; within an epoch, so there is nothing to keep."""

    def __init__(self, resume: int | None) -> None:
        self._assembler = Assembler()

    def on_batch(self, values: list[ChunkTable | Verdict]) -> tuple[list[WholeChunk], bool]:
        """Take chunks and verdicts about them."""
        return list(self._assembler.on_items(values)), StatefulBatchLogic.RETAIN

    def snapshot(self) -> int:
        """Check that nothing is left over."""
        self._assembler.check_empty()
        return 1


class LearnStep(StatefulBatchLogic[Script | ReadFeatures, Any, Manifest]):
    """The one key of the learning step; its state is kept in a log beside the shards'."""

    def __init__(
        self,
        make: Callable[[bytes | None], LearnLogic],
        settings: Settings,
        name: str,
        mark_key: bytes,
        look: Look,
        resume: Manifest | None,
    ) -> None:
        self._log = StateLog(settings.state_dir, f"learner-{name}", resume)
        self._logic = make(self._log.load())
        # The model is published at each start, so that a mark need not outlive the process.
        publication = Publication(
            mark_key, new_timeline(), resumed_timeline="", resumed_version=0,
            lag_seconds=lag_seconds(settings),
        )  # fmt: skip
        self._watch = MarkWatch(look, publication)
        self._published = 0

    def on_batch(self, values: list[Script | ReadFeatures]) -> tuple[list[Any], bool]:
        """Decide and learn as far as the log is complete."""
        return self._marked([*self._logic.on_items(values)]), StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[list[Any], bool]:
        """Publish the model if it has learned, or if the store lost it."""
        again = self._watch.look()
        if again is not None and again.needed:
            self._logic.publish_again()
        return self._marked([*self._logic.publish()]), StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[list[Any], bool]:
        """Publish the model if it has learned."""
        return self.on_notify()

    def notify_at(self) -> datetime | None:
        """When the model should be published, or the store be looked at."""
        wait = self._logic.publish_at()
        return _after(CHECK_SECONDS if wait is None else wait)

    def snapshot(self) -> Manifest:
        """Make weights and open decisions durable."""
        return self._log.save(self._logic.snapshot())

    def _marked(self, out: list[LearnOutput]) -> list[Any]:
        return [self._mark(item) if isinstance(item, Model) else item for item in out]

    def _mark(self, model: Model) -> PublishedModel:
        self._published += self._watch.resumed
        return PublishedModel(model.data, self._watch.marks(self._published, 0))


def home_name(settings: Settings) -> str:
    """Return a name of the data directory that no other has, made at the first call."""
    path = settings.data_dir / "name"
    with contextlib.suppress(FileNotFoundError):
        return path.read_text()
    with disk_errors(path):
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"name-{new_timeline()}")
        fresh.write_text(new_timeline())
        with contextlib.suppress(FileExistsError):  # another worker was faster
            os.link(fresh, path)
        fresh.unlink()
        return path.read_text()


def lag_seconds(settings: Settings) -> float:
    """Return how long the store may be behind: marks are closed when an epoch ends, at the latest.

    >>> lag_seconds(Settings(epoch_seconds=10.0))
    40.0
    """
    return max(LAG_SECONDS, 4 * settings.epoch_seconds)


def _after(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
