"""The dataflow: sources, the steps, sinks. Only adapters; the steps know no dataflow engine.

source ─► decode ─┬─► dead letters
                  ├─► a chunk's table ─► assemble ◄─ verdicts ─┐     ─┬─► archive of events
                  │                                            │      ├─► entities ─► rows ─► store
                  │                                            │      └─► the loop: `loop_flow`
                  ├─► events ─► featurize (one key a shard) ───┼─► rows  ─► store
                  │                            └─► the strategy's own decisions: `trigger_flow`
                  └─► script ─► learn ◄─────── features ───────┘ ─► model ─► store
                                  └─► archive of examples

Shards of customers decide which events are duplicates; the shards of other entities, if the
catalog has any, take what was accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakSet

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from ..features.catalog import Catalog
from ..features.errors import DeclarationError, SettingsError
from ..features.plans import Plans
from ..features.row_commands import RowCommands
from .assemble import ChunkTable, Verdict
from .cluster import Member
from .dead_letters import DeadLetter
from .decisions import DecisionPoint, Script
from .decode import ChunkDecoder
from .embedded import reviver
from .entities import EntityCounted, EntitySplitter, entity_keys
from .featurize import Counted, ReadFeatures
from .learn import Examples, LearnLogic, Progress
from .loop_flow import LEARNER as LOOP_LEARNER
from .loop_flow import Loop, attach_loop, loop_meter
from .marks import MarkReader
from .owned import OwnedSink, OwnedSource, noting_failures, owned_logic
from .publication import mark_key
from .resp import encode_command
from .routing import shard_keys, worker_of
from .settings import Settings
from .shard import Published
from .sinks.archive import ArchiveSink
from .sinks.dead_letter_topic import as_message, topic_sink
from .sinks.dead_letters import DeadLetterSink
from .sinks.flush import RowFlush
from .sinks.outage import Patience
from .sinks.rows import RowSink
from .sources.announce import Announcement, declaration_of
from .sources.base import EventSource, StopFlag
from .steps import AssembleStep, LearnStep, PublishedModel, ShardStep, shard_maker
from .telemetry.running import RunMeter
from .trigger_flow import Acting, attach_acting

_LEARNER = "learner"
_LOG = "0"  # the partition of what has no order of its own but the log's


@dataclass
class Observers:
    """Functions that a run reports to, called in the worker; each does nothing by default.

    ``meter`` counts for those who operate it, if there is one; see `telemetry.observing`.
    """

    counted: Callable[[Counted], None] = field(default=lambda _: None)
    keyed: Callable[[EntityCounted], None] = field(default=lambda _: None)
    stored: Callable[[int, float], None] = field(default=lambda rows, seconds: None)
    outage: Callable[[str, float | None], None] = field(default=lambda reason, seconds: None)
    refused: Callable[[DeadLetter], None] = field(default=lambda _: None)
    progress: Callable[[Progress], None] = field(default=lambda _: None)
    looped: Callable[[Mapping[str, int]], None] = field(default=lambda _: None)
    acted: Callable[[Mapping[str, int]], None] = field(default=lambda _: None)
    meter: RunMeter | None = None


def model_key(catalog: Catalog, point: DecisionPoint) -> str:
    """Return the store's key of a decision point's model."""
    return f"nextbest:{catalog.name}:model:{point.name}"


def build_flow(
    source: EventSource[Any],
    catalog: Catalog,
    settings: Settings,
    store_url: str,
    *,
    decisions: DecisionPoint | None = None,
    loop: Loop | None = None,
    acting: Acting | None = None,
    observers: Observers | None = None,
    beside: Callable[[Any], Any] | None = None,
    member: Member | None = None,
    stop: StopFlag | None = None,
    name: str = "nextbest",
) -> Dataflow:
    """Build the dataflow from a source to the online store, the archive and the learner.

    Parameters
    ----------
    source
        The event log.
    catalog
        What to compute; its views may be of several entities.
    settings
        Limits and paths.
    store_url
        The online store.
    decisions
        A decision point to decide and learn in the stream, from the customers' features; None:
        features only.
    loop
        A strategy whose decisions and outcomes are in the log; None: there are none. Not together
        with ``decisions``.
    acting
        To decide by itself too, with ``loop``; None: it only learns.
    observers
        What the run reports to.
    beside
        Adds steps that see the decisions' scripts too: it is given the stream of
        ``(key, Script)`` and returns one that emits nothing, or row flushes.
    member
        This process's part in a cluster; None: it is alone.
    stop
        When set, a wait for a store that is away ends.
    name
        The dataflow's id: recovery finds its state by it.

    Raises
    ------
    SettingsError
        If decisions are to be made from a log of several partitions, as between those there is no
        order to learn in; if there are no brokers for a topic of dead letters; or if both a
        decision point and a strategy are given.
    DeclarationError
        If the decision point asks for what events do not carry, or no view is of customers.
    """
    partitions = [str(number) for number in range(source.partitions())]
    if decisions is not None and len(partitions) != 1:
        raise SettingsError(
            f"{decisions.name}: decisions need a log of one partition, "
            f"{source.describe()} has {len(partitions)}"
        )
    if decisions is not None and loop is not None:
        raise SettingsError(f"give {decisions.name} or {loop.strategy.name}, not both")
    plans = Plans.compile(catalog)
    if decisions is not None and not plans.serves_customers:
        raise DeclarationError(
            f"{catalog.name}:{decisions.name}", "decisions need a view of customers: none is"
        )
    watch = observers or Observers()
    meter = watch.meter
    place = _Place(member, meter)
    tables_needed = settings.archive or bool(plans.others) or loop is not None
    marker = None if acting is None else acting.marker()
    decoder = ChunkDecoder(
        plans.customer, settings, decisions,
        tables=tables_needed, loop=loop is not None, marker=marker,
    )  # fmt: skip
    decode = place.step(decoder if meter is None else meter.decoding(decoder))
    flow = Dataflow(name)
    chunks = op.input("source", flow, place.source(source, settings.epoch_seconds))
    decoded = op.flat_map("decode", chunks, decode)

    dead, alive = _divide("dead_or_alive", decoded, DeadLetter)
    scripts, others = _divide("script_or_not", alive, Script)
    tables, events = _divide("table_or_events", others, ChunkTable)
    stores = shard_keys(settings.shards)
    sink_parts = [
        *stores,
        *(key for keys in entity_keys(plans, settings.shards).values() for key in keys),
    ]
    marks = [
        mark_key(plan.catalog, shard)
        for plan in (plans.customer, *plans.others)
        for shard in range(settings.shards)
    ]
    model = None if decisions is None else model_key(catalog, decisions)
    if model is not None:
        marks.append(_model_mark(model))
        sink_parts.append(_LEARNER)
    if loop is not None:
        marks.append(loop.keys.published().encode())
        sink_parts.append(LOOP_LEARNER)
    look = MarkReader(store_url, marks).look
    declaration = declaration_of(catalog)
    make_shard = shard_maker(plans, settings, look, declaration)
    keyed = op.key_on("key_shard", events, lambda part: stores[part.shard])
    step = place.logic(partial(ShardStep, make_shard, WeakSet()))
    shards = op.stateful_batch("featurize", keyed, step)

    first = op.input("declaration", flow, place.announcement(declaration))
    flushes = [
        op.flat_map("row_flushes", shards, _row_flushes),
        op.flat_map("counted", shards, partial(_report, Counted, watch.counted)),
        op.key_on("key_declaration", first, lambda _: stores[0]),
    ]
    if tables_needed:
        keys = shard_keys(len(partitions))
        keyed_tables = op.key_on("key_table", tables, lambda chunk: keys[chunk.partition])
        verdicts = op.flat_map("verdicts", shards, partial(_verdicts, keys))
        parts = op.merge("assemble_in", keyed_tables, verdicts)
        whole = op.stateful_batch("assemble", parts, place.logic(AssembleStep))
        named = dict(zip(keys, partitions, strict=True))
        if loop is not None:
            more = attach_loop(
                loop, whole, named, settings, place, look, watch.looped,
                lambda: stop is not None and stop.is_set(), store_url,
                None if meter is None else loop_meter(meter, loop, named),
            )  # fmt: skip
            dead = op.merge("dead_and_refused", dead, more.refused)
            flushes += more.flushes
            whole = op.filter("with_events", whole, lambda item: item[1].rows > 0)
        if settings.archive:
            archived = op.map("archived", whole, lambda item: (named[item[0]], item[1]))
            archive = ArchiveSink(settings.archive_dir / "events", partitions)
            op.output("archive", archived, place.sink(archive, int))
        if plans.others:
            split = place.step(EntitySplitter(plans, settings.shards))
            theirs = op.flat_map_batch("key_entities", whole, split)
            step = place.logic(partial(ShardStep, make_shard, WeakSet()))
            entities = op.stateful_batch("entities", theirs, step)
            flushes += [
                op.flat_map("entity_flushes", entities, _row_flushes),
                op.flat_map(
                    "entity_counted", entities, partial(_report, EntityCounted, watch.keyed)
                ),
            ]
    _keep_dead(dead, settings, place, watch)
    patience = Patience(settings.outage_seconds, stop, reviver(settings), watch.outage)
    if acting is not None:
        attach_acting(
            acting, shards, tables, stores, store_url, settings, patience, place, watch.acted
        )
    if decisions is not None and model is not None:
        features = op.flat_map("read_features", shards, _reads)
        keyed_scripts = op.key_on("key_script", scripts, lambda _: _LEARNER)
        inputs = op.merge("learn_in", keyed_scripts, features)
        logic = partial(_learner, decisions, watch)
        make_learner = partial(LearnStep, logic, settings, decisions.name, _model_mark(model), look)
        learned = op.stateful_batch("learn", inputs, place.logic(make_learner))
        examples = op.flat_map("examples", learned, _examples)
        kept = ArchiveSink(settings.archive_dir / "examples", 1)
        op.output("training_examples", examples, place.sink(kept, lambda _: place.of_key(_LEARNER)))
        flushes.append(op.flat_map("models", learned, partial(_models, model)))
        if beside is not None:
            flushes.append(beside(keyed_scripts))
    merged = op.merge("store_in", *flushes)
    sink = _row_sink(store_url, sink_parts, settings, watch, stop)
    # The engine does not go on with partitions that a sink no longer has: other ones, another step.
    learner = "" if decisions is None else "_and_model"
    learner += "" if loop is None else "_and_loop"
    op.output(f"rows_of_{1 + len(plans.others)}{learner}", merged, place.sink(sink, place.of_key))
    return flow


def _keep_dead(dead: Any, settings: Settings, place: _Place, watch: Observers) -> None:
    dead = op.map("count_dead", dead, partial(_tell, watch.refused))
    letters = op.key_on("key_dead", dead, lambda _: _LOG)
    dead_letters = DeadLetterSink(settings.dead_letters_dir / "dead.ndjson")
    op.output("dead_letters", letters, place.sink(dead_letters, int))
    topic = topic_sink(settings)
    if topic is not None:
        messages = op.map_value("letter_messages", letters, as_message)
        op.output("dead_letter_topic", messages, place.sink(topic, int))


class _Place:
    """Puts the parts of a dataflow where they belong in a cluster, if there is one."""

    def __init__(self, member: Member | None, meter: RunMeter | None) -> None:
        self._member = member
        self._meter = meter

    def of_key(self, key: str) -> int:
        """The worker that a step's key is on: what a sink stores for it stays there."""
        return worker_of(key, 1 if self._member is None else self._member.worker.count)

    def source(self, source: EventSource[Any], epoch_seconds: float) -> Any:
        m = self._member
        return source if m is None else OwnedSource(source, m, epoch_seconds)

    def announcement(self, declaration: RowCommands) -> Any:
        m = self._member
        return Announcement(declaration, here=m is None or m.index == 0)

    def step(self, step: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
        return step if self._member is None else noting_failures(step, self._member)

    def logic(self, build: Callable[[Any], Any]) -> Callable[[Any], Any]:
        if self._meter is not None:
            build = self._meter.snapshots(build)
        return build if self._member is None else owned_logic(build, self._member)

    def sink(self, sink: Any, owner: Callable[[str], int]) -> Any:
        """Each partition goes to the worker of the number that ``owner`` makes of its name."""
        m = self._member
        if self._meter is not None:
            self._meter.watch(sink)
        return sink if m is None else OwnedSink(sink, m, lambda p: owner(p) % m.worker.count)


def _row_sink(
    url: str, parts: Sequence[str], settings: Settings, watch: Observers, stop: StopFlag | None
) -> RowSink:
    return RowSink(
        url,
        parts,
        timeout=settings.redis_timeout_seconds,
        outage_seconds=settings.outage_seconds,
        stop=stop,
        reconnect=reviver(settings),
        on_outage=watch.outage,
        on_stored=watch.stored,
    )


def _learner(point: DecisionPoint, watch: Observers, state: bytes | None) -> LearnLogic:
    return LearnLogic(point, state, on_progress=watch.progress)


def _model_mark(model: str) -> bytes:
    return f"{model}:published".encode()


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
        received = out.received if commands.rows else None
        yield (
            key,
            RowFlush(
                commands.payload, commands.replies, commands.rows, received, out.marks, out.traced
            ),
        )


def _verdicts(keys: Sequence[str], item: tuple[str, Any]) -> Iterator[tuple[str, Verdict]]:
    if isinstance(item[1], Verdict):
        yield keys[item[1].partition], item[1]


def _examples(item: tuple[str, Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(item[1], Examples):
        yield _LOG, item[1].table


def _report(kind: type, observer: Callable[[Any], None], item: tuple[str, Any]) -> Iterator[Any]:
    """Report counts; emit nothing (a stream must end in a sink to be run)."""
    if isinstance(item[1], kind):
        observer(item[1])
    return iter(())


def _reads(item: tuple[str, Any]) -> Iterator[tuple[str, ReadFeatures]]:
    if isinstance(item[1], ReadFeatures):
        yield _LEARNER, item[1]


def _models(key: str, item: tuple[str, Any]) -> Iterator[tuple[str, RowFlush]]:
    model = item[1]
    if isinstance(model, PublishedModel):
        command = encode_command(b"SET", key.encode(), model.data)
        yield _LEARNER, RowFlush(command, 1, 0, marks=model.marks)
