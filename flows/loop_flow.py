"""The loop's part of the dataflow: whole chunks → credits → models, and what is archived.

whole chunks ─► attribute (one key a partition) ─┬─► refused ─► dead letters
                                                 ├─► archive of decisions, credits, strategies
                                                 ├─► customers' newest decisions ─► store
                                                 └─► align (one key, of several partitions)
                                                       └─► learn (one key) ─► models, persons
                                                                                └─► store
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import bytewax.operators as op

from ..features.catalog import Catalog
from .dead_letters import DeadLetter
from .decision import recent
from .decision.attribution import Attribution
from .decision.chunk_events import (
    ChunkReader,
    changes_table,
    credits_table,
    decisions_table,
)
from .decision.credits import Counts
from .decision.fleet_learning import FleetLearning
from .decision.goals import Goal, goals_of
from .decision.keys import Keys
from .decision.learning import APART_US, Learning
from .decision.loading import Loaded
from .decision.reading import action_values
from .decision.strategy import Strategy
from .loop_steps import (
    AlignStep,
    AttributeStep,
    Clock,
    Credits,
    FleetChanges,
    LearnLoopStep,
    LoopEvents,
    PublishedLoop,
    TooLate,
)
from .resp import encode_command
from .settings import Settings
from .sinks.archive import ArchiveSink
from .sinks.flush import RowFlush
from .strategy_versions import StrategyVersions, VersionKeeper, fetching, versions_in
from .watch import Look

if TYPE_CHECKING:
    from .telemetry.looping import LoopMeter
    from .telemetry.running import RunMeter

LEARNER = "loop"
"""The key of learning."""


@dataclass(frozen=True)
class Loop:
    """A strategy as the dataflow needs it.

    Attributes
    ----------
    loaded
        The strategy, with its text.
    catalog
        Of the features and events.
    goals
        Its objectives.
    """

    loaded: Loaded
    catalog: Catalog
    goals: tuple[Goal, ...]

    @classmethod
    def compile(cls, loaded: Loaded, catalog: Catalog) -> Loop:
        """Compile it.

        Raises
        ------
        SettingsError
            If an objective cannot be used.
        """
        return cls(loaded, catalog, goals_of(loaded.strategy, catalog))

    @property
    def strategy(self) -> Strategy:
        """Checked."""
        return self.loaded.strategy

    def keeper(self, settings: Settings, store_url: str) -> VersionKeeper:
        """Return what keeps the versions that decide; this one is kept at once."""
        versions = StrategyVersions(settings.archive_dir / "strategies")
        versions.keep(self.strategy.name, self.loaded.version, self.loaded.text)
        return VersionKeeper(versions, self.keys, fetching(store_url))

    @property
    def keys(self) -> Keys:
        """Where things of it are in the store."""
        return Keys(self.catalog.name, self.strategy.name)

    def attribution(self) -> Attribution:
        """Return what attributes one partition."""
        actions = self.strategy.actions.items()
        return Attribution(
            self.goals,
            grace=self.catalog.lateness_us,
            credit=self.strategy.credit,
            tags={name: action_values(name, action) for name, action in actions},
        )

    def reader(self) -> ChunkReader:
        """Return what finds the events for it."""
        types = [goal.event for goal in self.goals if goal.event is not None]
        return ChunkReader(types, self.catalog.source)

    def learning(
        self,
        full: bytes | None,
        changes: Sequence[bytes],
        partitions: int = 1,
        apart_seconds: float = APART_US / 1e6,
    ) -> Learning | FleetLearning:
        """Return what learns; a late response is learned as long as attribution takes it.

        What came of a decision is settled for a fleet when attribution has forgotten it, and, of
        several partitions, when none of them can be as far behind.
        """
        apart = round(apart_seconds * 1e6)
        over = max(goal.window for goal in self.goals) + self.catalog.lateness_us
        spans = {goal.name: over + apart for goal in self.goals}
        if self.strategy.fleet is None:
            return Learning(self.strategy.model, spans, full, changes)
        wait = over + (apart if partitions > 1 else 0)
        return FleetLearning(self.strategy, spans, full, changes, wait=wait)


@dataclass(frozen=True)
class LoopStreams:
    """What the rest of the dataflow goes on with: refused events, and flushes of rows."""

    refused: Any
    flushes: list[Any]


def loop_meter(meter: RunMeter, loop: Loop, partitions: Mapping[str, str]) -> LoopMeter:
    """Return what counts a loop's steps; ``partitions`` as of `attach_loop`."""
    from .telemetry.looping import LoopMeter

    said = {goal.response for goal in loop.goals if goal.response is not None}
    usual = {"deliver", "fail", "accept", "refuse", "convert", "undelivered"}
    fleet = loop.strategy.fleet
    declared = {} if fleet is None else fleet.challengers
    deciding = [name for name, one in declared.items() if one.river is None]
    members = [] if fleet is None else [fleet.champion, *deciding]
    weights = {name: one.weight for name, one in loop.strategy.objectives.items()}
    return LoopMeter(
        meter, loop.strategy.name, loop.loaded.version, [goal.name for goal in loop.goals],
        said | usual, partitions, members=members, weights=weights,
    )  # fmt: skip


def attach_loop(
    loop: Loop,
    whole: Any,
    partitions: Mapping[str, str],
    settings: Settings,
    place: Any,
    look: Look,
    tell: Callable[[Mapping[str, int]], None],
    stopped: Callable[[], bool],
    store_url: str,
    meter: LoopMeter | None = None,
) -> LoopStreams:
    """Add the loop's steps to a dataflow.

    Parameters
    ----------
    loop
        The strategy.
    whole
        The stream of whole chunks, by the keys of their partitions.
    partitions
        The log partition's name by key.
    settings
        Limits and paths.
    place
        Puts steps where they belong in a cluster.
    look
        See `Look`.
    tell
        Told what became of the loop's events.
    stopped
        Whether the run was asked to end before its input does.
    store_url
        Where the texts of strategies are.
    meter
        Counts for those who operate the run; None: nothing is counted.
    """
    make = partial(AttributeStep, loop.attribution, loop.reader(), settings)
    attributed = op.stateful_batch("attribute", whole, place.logic(make))
    refused = op.flat_map("loop_refused", attributed, _refused)
    if settings.archive:
        names = list(partitions.values())
        for what, kind, table in (("decisions", LoopEvents, _records), ("credits", Credits, _told)):
            rows = op.flat_map(f"{what}_rows", attributed, partial(_rows, partitions, kind, table))
            sink = ArchiveSink(settings.archive_dir / what, names)
            op.output(f"archive_{what}", rows, place.sink(sink, int))
    told = op.flat_map("credits", attributed, partial(_credits, len(partitions) > 1))
    if len(partitions) > 1:
        align = partial(AlignStep, len(partitions), settings, stopped)
        told = op.stateful_batch("align_loop", told, place.logic(align))
    which = loop.strategy.name, loop.loaded.version
    learning = partial(
        loop.learning, partitions=len(partitions), apart_seconds=settings.apart_seconds
    )
    logic = partial(LearnLoopStep, learning, settings, which, loop.keys, look)
    learned = op.stateful_batch("learn_loop", told, place.logic(logic))
    if settings.archive and loop.strategy.fleet is not None:
        changes = op.flat_map("fleet_rows", learned, _fleet_rows)
        sink = ArchiveSink(settings.archive_dir / "fleet", [loop.strategy.name])
        owner = place.of_key(LEARNER)
        op.output("archive_fleet", changes, place.sink(sink, lambda _: owner))
    count = partial(_count, tell)
    flushes = [
        op.flat_map("loop_flushes", learned, meter.published(_flushes) if meter else _flushes),
        op.flat_map("loop_counted", attributed, meter.attributed(count) if meter else count),
        op.flat_map("loop_too_late", learned, count),
        op.flat_map("loop_recent", attributed, partial(_recent, loop.keys)),
    ]
    if settings.archive:
        keep = partial(_keep_versions, loop.keeper(settings, store_url))
        flushes.append(op.flat_map("loop_versions", attributed, place.step(keep)))
    return LoopStreams(refused, flushes)


def _refused(item: tuple[str, Any]) -> Iterator[DeadLetter]:
    if isinstance(item[1], DeadLetter):
        yield item[1]


def _rows(
    partitions: Mapping[str, str], kind: type, table: Callable[[Any], Any], item: tuple[str, Any]
) -> Iterator[tuple[str, Any]]:
    if isinstance(item[1], kind):
        yield partitions[item[0]], table(item[1])


def _fleet_rows(item: tuple[str, Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(item[1], FleetChanges):
        yield item[1].strategy, changes_table(item[1].changes)


def _records(item: LoopEvents) -> Any:
    return decisions_table(item.events)


def _told(item: Credits) -> Any:
    return credits_table(item.told)


def _credits(clocks: bool, item: tuple[str, Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(item[1], Credits) or (clocks and isinstance(item[1], Clock)):
        yield LEARNER, item[1]


def _flushes(item: tuple[str, Any]) -> Iterator[tuple[str, RowFlush]]:
    _, out = item
    if not isinstance(out, PublishedLoop):
        return
    commands = [encode_command(b"SET", k.encode(), v) for k, v in out.values.items()]
    yield LEARNER, RowFlush(b"".join(commands), len(commands), 0, marks=out.marks)


def _recent(keys: Keys, item: tuple[str, Any]) -> Iterator[tuple[str, RowFlush]]:
    """Keep customers' newest decisions and what came of them at hand."""
    _, out = item
    if isinstance(out, LoopEvents):
        added = recent.additions(recent.of_events(out.events))
    elif isinstance(out, Credits):
        added = recent.additions(recent.of_credits(out.told))
    else:
        return
    commands = []
    for customer, members in added.items():
        key = keys.recent(customer).encode()
        commands += [
            encode_command(b"ZADD", key, *members),
            encode_command(b"ZREMRANGEBYRANK", key, b"0", b"%d" % (-1 - recent.MOST)),
            encode_command(b"EXPIRE", key, b"%d" % recent.KEPT_SECONDS),
        ]
    if commands:
        yield LEARNER, RowFlush(b"".join(commands), len(commands), 0)


def _keep_versions(keeper: VersionKeeper, item: tuple[str, Any]) -> Iterator[Any]:
    """Keep the versions that decided; emit nothing."""
    if isinstance(item[1], LoopEvents):
        keeper.see(versions_in(event.own for event in item[1].events))
    return iter(())


def _count(tell: Callable[[Mapping[str, int]], None], item: tuple[str, Any]) -> Iterator[Any]:
    """Report counts; emit nothing."""
    if isinstance(item[1], Counts):
        tell(asdict(item[1]))
    elif isinstance(item[1], TooLate):
        tell({"too_late": item[1].examples})
    return iter(())
