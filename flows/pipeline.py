"""The dataflow: sources, the steps, sinks. Only adapters; the steps know no dataflow engine.

source ─► decode ─┬─► dead letters
                  ├─► featurize (one key a shard) ─┬─► rows in the store
                  │                                ├─► archive of events
                  └─► script ─► learn ◄─ features ─┴─► model in the store, archive of examples
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic

from ..features.errors import SettingsError
from ..features.plan import Plan
from .dead_letters import DeadLetter
from .decisions import DecisionPoint, Script
from .decode import ADDED_COLUMNS, ChunkDecoder, ShardEvents
from .embedded import revive_server
from .featurize import Archived, Counted, Pointer, Published, ReadFeatures, ShardLogic
from .learn import Examples, LearnLogic, Model, Progress
from .resp import encode_command
from .settings import Settings
from .sinks.archive import ArchiveSink
from .sinks.dead_letters import DeadLetterSink
from .sinks.flush import RowFlush
from .sinks.rows import RowSink
from .sources.base import EventSource

_LEARNER = "learner"
_LOG = "0"  # the partition of what has no order of its own but the log's


@dataclass
class Observers:
    """Functions that a run reports to, called in the worker; each does nothing by default."""

    counted: Callable[[Counted], None] = field(default=lambda _: None)
    stored: Callable[[int, float], None] = field(default=lambda rows, seconds: None)
    outage: Callable[[str, float | None], None] = field(default=lambda reason, seconds: None)
    refused: Callable[[DeadLetter], None] = field(default=lambda _: None)
    progress: Callable[[Progress], None] = field(default=lambda _: None)


def model_key(plan: Plan, point: DecisionPoint) -> str:
    """Return the store's key of a decision point's model."""
    return f"nextbest:{plan.catalog.name}:model:{point.name}"


class _Shard(StatefulBatchLogic[ShardEvents, Any, Pointer]):
    """One key of the featurize step; the key is only known from its first item."""

    def __init__(self, plan: Plan, settings: Settings, resume: Pointer | None) -> None:
        self._make = partial(ShardLogic, plan, state_dir=settings.state_dir, peers=settings.shards)
        self._logic: ShardLogic | None = None
        if resume is not None:
            self._logic = self._make(resume[0], pointer=resume[1])

    def on_batch(self, values: list[ShardEvents]) -> tuple[list[Any], bool]:
        if self._logic is None:
            self._logic = self._make(values[0].shard)
        out: list[Any] = []
        for part in values:
            out.extend(self._logic.on_events(part))
        out.extend(self._logic.publish())
        return out, StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[list[Any], bool]:
        out = [] if self._logic is None else list(self._logic.publish())
        return out, StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[list[Any], bool]:
        out = [] if self._logic is None else list(self._logic.publish(force=True))
        return out, StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        return None if self._logic is None else _at(self._logic.publish_at())

    def snapshot(self) -> Pointer:
        assert self._logic is not None
        return self._logic.snapshot()


class _Learner(StatefulBatchLogic[Script | ReadFeatures, Any, bytes]):
    def __init__(self, logic: LearnLogic) -> None:
        self._logic = logic

    def on_batch(self, values: list[Script | ReadFeatures]) -> tuple[list[Any], bool]:
        return list(self._logic.on_items(values)), StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[list[Any], bool]:
        return list(self._logic.publish()), StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[list[Any], bool]:
        return list(self._logic.publish()), StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        return _at(self._logic.publish_at())

    def snapshot(self) -> bytes:
        return self._logic.snapshot()


def build_flow(
    source: EventSource[Any],
    plan: Plan,
    settings: Settings,
    store_url: str,
    *,
    decisions: DecisionPoint | None = None,
    observers: Observers | None = None,
    beside: Callable[[Any], Any] | None = None,
    name: str = "nextbest",
) -> Dataflow:
    """Build the dataflow from a source to the online store, the archive and the learner.

    Parameters
    ----------
    source
        The event log.
    plan
        The compiled catalog.
    settings
        Limits and paths.
    store_url
        The online store.
    decisions
        A decision point to decide and learn in the stream; None: features only.
    observers
        What the run reports to.
    beside
        Adds steps that see the decisions' scripts too: it is given the stream of
        ``(key, Script)`` and returns one that emits nothing, or row flushes.
    name
        The dataflow's id: recovery finds its state by it.

    Raises
    ------
    SettingsError
        If decisions are to be made from a log of several partitions: between those there is no
        order to learn in.
    DeclarationError
        If the decision point asks for what events do not carry.
    """
    partitions = source.list_parts()
    if decisions is not None and len(partitions) != 1:
        raise SettingsError(
            f"{decisions.name}: decisions need a log of one partition, "
            f"{source.describe()} has {len(partitions)}"
        )
    watch = observers or Observers()
    decoder = ChunkDecoder(plan, settings, decisions)
    flow = Dataflow(name)
    chunks = op.input("source", flow, source)
    decoded = op.flat_map("decode", chunks, decoder)

    dead, alive = _divide("dead_or_alive", decoded, DeadLetter)
    dead = op.map("count_dead", dead, partial(_tell, watch.refused))
    letters = op.key_on("key_dead", dead, lambda _: _LOG)
    op.output("dead_letters", letters, DeadLetterSink(settings.dead_letters_dir / "dead.ndjson"))

    scripts, events = _divide("script_or_events", alive, Script)
    keyed = op.key_on("key_shard", events, lambda part: str(part.shard))
    shards = op.stateful_batch("featurize", keyed, partial(_Shard, plan, settings))

    rows = op.flat_map("row_flushes", shards, _row_flushes)
    stores = [str(shard) for shard in range(settings.shards)]
    if settings.archive:
        archived = op.flat_map("archived", shards, _archived)
        sink = ArchiveSink(settings.archive_dir / "events", partitions, order_by=ADDED_COLUMNS[0])
        op.output("archive", archived, sink)
    counted = op.flat_map("counted", shards, partial(_counts, watch.counted))
    if decisions is None:
        merged = op.merge("store_in", rows, counted)
        op.output("rows", merged, _row_sink(store_url, stores, settings, watch))
        return flow

    features = op.flat_map("read_features", shards, _reads)
    keyed_scripts = op.key_on("key_script", scripts, lambda _: _LEARNER)
    inputs = op.merge("learn_in", keyed_scripts, features)
    logic = partial(_learner, decisions, watch)
    learned = op.stateful_batch("learn", inputs, logic)
    examples = op.flat_map("examples", learned, _examples)
    op.output("training_examples", examples, ArchiveSink(settings.archive_dir / "examples", 1))
    models = op.flat_map("models", learned, partial(_models, model_key(plan, decisions)))
    others = [] if beside is None else [beside(keyed_scripts)]
    merged = op.merge("store_in", rows, counted, models, *others)
    op.output("rows", merged, _row_sink(store_url, [*stores, _LEARNER], settings, watch))
    return flow


def _at(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)


def _row_sink(url: str, parts: list[str], settings: Settings, watch: Observers) -> RowSink:
    return RowSink(
        url,
        parts,
        timeout=settings.redis_timeout_seconds,
        outage_seconds=settings.outage_seconds,
        reconnect=(
            None
            if settings.redis_url
            else partial(revive_server, settings.data_dir, settings.embedded_fsync)
        ),
        on_outage=watch.outage,
        on_stored=watch.stored,
    )


def _learner(point: DecisionPoint, watch: Observers, resume: bytes | None) -> _Learner:
    return _Learner(LearnLogic(point, resume, on_progress=watch.progress))


def _divide(step: str, stream: Any, kind: type) -> tuple[Any, Any]:
    branches = op.branch(step, stream, lambda item: isinstance(item, kind))
    return branches.trues, branches.falses


def _tell(observer: Callable[[Any], None], item: Any) -> Any:
    observer(item)
    return item


def _row_flushes(item: tuple[str, Any]) -> Iterator[tuple[str, RowFlush]]:
    key, out = item
    if isinstance(out, Published):
        commands = out.commands
        flush = RowFlush(commands.payload, commands.replies, commands.rows, out.received)
        yield key, flush


def _archived(item: tuple[str, Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(item[1], Archived):
        yield str(item[1].partition), item[1].table


def _examples(item: tuple[str, Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(item[1], Examples):
        yield _LOG, item[1].table


def _counts(observer: Callable[[Counted], None], item: tuple[str, Any]) -> Iterator[Any]:
    """Report counts; emit nothing (a stream must end in a sink to be run)."""
    if isinstance(item[1], Counted):
        observer(item[1])
    return iter(())


def _reads(item: tuple[str, Any]) -> Iterator[tuple[str, ReadFeatures]]:
    if isinstance(item[1], ReadFeatures):
        yield _LEARNER, item[1]


def _models(key: str, item: tuple[str, Any]) -> Iterator[tuple[str, RowFlush]]:
    if isinstance(item[1], Model):
        yield _LEARNER, RowFlush(encode_command(b"SET", key.encode(), item[1].data), 1, 0)
