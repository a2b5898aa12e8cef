"""The engine's side of attribution and learning: adapters, and what they keep where."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from bytewax.operators import StatefulBatchLogic

from ..features.manifest import Manifest
from ..learners import Stamp
from ..learners.fleet_parts import Change
from .assemble import WholeChunk
from .dead_letters import DeadLetter
from .decision.aligning import Aligner
from .decision.attribution import Attribution
from .decision.chunk_events import ChunkReader
from .decision.credits import Counts, Earned
from .decision.fleet_learning import FleetLearning
from .decision.increments import IncrementLog
from .decision.keys import Keys
from .decision.learning import Learning
from .decision.loop_events import LoopEvent
from .decision.open_decisions import Credit, Open, Refused
from .decision.published import MOST_BYTES
from .marks import CHECK_SECONDS
from .publication import Marks, Publication, new_timeline
from .publishing_pace import PublishingPace
from .settings import Settings
from .steps import lag_seconds
from .watch import Look, MarkWatch

PUBLISH_SECONDS = 0.2
"""Between two publications of what all customers share, at least."""
PEOPLE_SECONDS = 0.005
"""Between two of customers' own weights: a mark remembers a few thousand publications."""
_SHARE = 0.2
"""Of the time, at most, is for publishing models, and as much for customers' weights."""
_SECONDS_A_BYTE = 5e-9
"""What it takes to send a model on."""
_SAVED = "learned"
_CLOCK_SECONDS, _CLOCK_US = 0.2, 3_600_000_000
"""After how much time, or event time, a partition tells its clock again."""

_log = logging.getLogger("nextbest.run")
_ENCODER = msgspec.msgpack.Encoder()
_CHANGES = msgspec.msgpack.Decoder(list[tuple[str, Open | None]])


@dataclass(frozen=True, slots=True)
class Credits:
    """What objectives are told, of one partition, in its order."""

    told: list[Credit]
    partition: int = 0


@dataclass(frozen=True, slots=True)
class Clock:
    """How far a partition is, microseconds, and how many decisions wait there."""

    partition: int
    newest: int
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class LoopEvents:
    """Decisions and outcomes that were accepted: for the archive."""

    events: list[LoopEvent]


@dataclass(frozen=True, slots=True)
class Earnings:
    """What offers have earned, of one partition: to be counted where it is read."""

    earned: list[Earned]


@dataclass(frozen=True, slots=True)
class PublishedLoop:
    """Models and customers' weights to store, by key; what is executed before and after it.

    ``versions``, by objective: of the models, if they are published; ``roster``: of their fleet;
    ``kept``, by objective: how many examples can still be taken back, if models are published.
    """

    values: dict[str, bytes]
    marks: Marks | None
    versions: Mapping[str, int] = field(default_factory=dict)
    roster: bytes | None = None
    kept: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FleetChanges:
    """What changed in a strategy's fleet: for the audit log."""

    strategy: str
    changes: list[Change]


@dataclass(frozen=True, slots=True)
class TooLate:
    """How many examples came so late that they are not learned."""

    examples: int


class AttributeStep(StatefulBatchLogic[WholeChunk, Any, Manifest]):
    """One partition of the log; which one it is is known from its first chunk only."""

    def __init__(
        self,
        make: Callable[[], Attribution],
        reader: ChunkReader,
        settings: Settings,
        resume: Manifest | None,
    ) -> None:
        self._attribution, self._reader = make(), reader
        self._said = float("-inf"), -1
        self._directory = settings.state_dir
        self._log: IncrementLog | None = None
        if resume is not None:
            self._log = IncrementLog(self._directory, resume["name"], resume)
            full, changes = self._log.load()
            for change in [*([] if full is None else [full]), *changes]:
                self._attribution.restore(resume["newest"], _CHANGES.decode(change))
            self._attribution.restore(resume["newest"], ())

    def on_batch(self, values: list[WholeChunk]) -> tuple[list[Any], bool]:
        """Attribute what came; emit credits, refused events and counts."""
        if self._log is None:
            name = f"attribution-{values[0].chunk.partition}"
            self._log = IncrementLog(self._directory, name)
        out: list[Any] = []
        for whole in values:
            done = self._attribution.take(*self._reader.read(whole, self._attribution.waits_for))
            if done.credits:
                out.append(Credits(done.credits, whole.chunk.partition))
            if done.earned:
                out.append(Earnings(done.earned))
            if done.accepted:
                out.append(LoopEvents(done.accepted))
            out += map(_letter, done.refused)
            if done.counts != Counts():
                out.append(done.counts)
        now, newest = time.monotonic(), self._attribution.newest
        if now >= self._said[0] + _CLOCK_SECONDS or newest >= self._said[1] + _CLOCK_US:
            self._said = now, newest
            out.append(Clock(values[-1].chunk.partition, newest, len(self._attribution)))
        return out, StatefulBatchLogic.RETAIN

    def snapshot(self) -> Manifest:
        """Make the changes of the epoch durable."""
        assert self._log is not None
        attribution = self._attribution
        changes = attribution.changes()
        change = _ENCODER.encode(changes) if changes else None
        manifest = self._log.save(change, lambda: _ENCODER.encode(attribution.all()))
        return {**manifest, "newest": attribution.newest}


class AlignStep(StatefulBatchLogic[Any, Credits, Manifest]):
    """The one key of what all partitions tell; see `Aligner`."""

    def __init__(
        self, partitions: int, settings: Settings, stopped: Callable[[], bool],
        resume: Manifest | None,
    ) -> None:  # fmt: skip
        # Half of what the learners can take back.
        self._aligner = Aligner(partitions, round(settings.apart_seconds * 5e5))
        self._log = IncrementLog(settings.state_dir, "aligned", resume)
        self._aligner.restore(*self._log.load())
        if resume is not None:
            self._aligner.clocks = list(resume["clocks"])
        self._stopped = stopped
        self._look_at: datetime | None = None

    def on_batch(self, values: list[Any]) -> tuple[list[Credits], bool]:
        """Take what partitions tell; emit what need not wait."""
        for each in values:
            if isinstance(each, Clock):
                self._aligner.hear(each.partition, each.newest, ())
            else:
                self._aligner.hear(each.partition, -1, each.told)
        return self._released(), StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[list[Credits], bool]:
        """Wait no longer for those that are silent."""
        self._look_at = None
        self._aligner.look()
        return self._released(), StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[list[Credits], bool]:
        """Emit all; but if the run was stopped, the next one goes on."""
        return self._released(everything=not self._stopped()), StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        """When to look at what waits; what comes meanwhile does not put it off."""
        if not len(self._aligner):
            self._look_at = None
        elif self._look_at is None:
            self._look_at = datetime.now(UTC) + timedelta(seconds=1.0)
        return self._look_at

    def snapshot(self) -> Manifest:
        """Make what waits durable."""
        saved = self._log.save(self._aligner.change(), self._aligner.all)
        return {**saved, "clocks": list(self._aligner.clocks)}

    def _released(self, *, everything: bool = False) -> list[Credits]:
        told = self._aligner.released(everything=everything)
        return [Credits(told)] if told else []


class LearnLoopStep(StatefulBatchLogic[Credits, Any, Manifest]):
    """The one key of learning what was attributed, of all partitions and objectives.

    A customer's own weights are published at once (but for a few milliseconds, where very many
    respond), what all share a few times a second: a large model, or very many customers whose
    weights change together, less often.

    Parameters
    ----------
    make
        Makes what learns, of what was saved.
    settings
        Where that is.
    strategy
        Its name and version. Of another version everything is learned in a new timeline.
    keys, look
        Where things are published; looks at the mark of it.
    resume
        What `snapshot` returned; None: begin.
    """

    def __init__(
        self,
        make: Callable[[bytes | None, Sequence[bytes]], Learning | FleetLearning],
        settings: Settings,
        strategy: tuple[str, str],
        keys: Keys,
        look: Look,
        resume: Manifest | None,
    ) -> None:
        self._keys = keys
        name, version = strategy
        self._log = IncrementLog(settings.state_dir, f"loop-{name}", resume)
        self._learning = make(*self._log.load())
        # What was learned before is the same again, and the models of before are no older.
        before = (resume or {}).get(_SAVED, ["", ""])
        self._timeline = [before[0] if before[1] == version else new_timeline(), version]
        # Everything is published at each start, so that a mark need not outlive the process.
        publication = Publication(
            keys.published().encode(), new_timeline(), resumed_timeline="", resumed_version=0,
            lag_seconds=lag_seconds(settings),
        )  # fmt: skip
        self._watch = MarkWatch(look, publication)
        self._published = 0
        self._models = PublishingPace(PUBLISH_SECONDS, _SHARE)
        self._people = PublishingPace(PEOPLE_SECONDS, _SHARE)

    def on_batch(self, values: list[Credits]) -> tuple[list[Any], bool]:
        """Learn what came; publish what it is time for."""
        before = self._learning.refused
        for each in values:
            self._learning.learn(each.told)
        late = self._learning.refused - before
        out: list[Any] = [TooLate(late)] if late else []
        if isinstance(self._learning, FleetLearning):
            changes = self._learning.changed_fleet()
            out += [FleetChanges(self._keys.strategy, changes)] if changes else []
            for change in changes:
                _log.warning(
                    "fleet: %s %s: %s %s", change.what, change.member, change.by, change.note
                )
        return out + self._publish(force=False), StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[list[Any], bool]:
        """Publish what waited, or what the store lost."""
        again = self._watch.look()
        if again is not None and again.needed:
            self._learning.publish_again()
        return self._publish(force=False), StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[list[Any], bool]:
        """Publish whatever waits."""
        again = self._watch.look()
        if again is not None and again.needed:
            self._learning.publish_again()
        return self._publish(force=True), StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        """When something should be published, or the store be looked at."""
        waits = [CHECK_SECONDS]
        if self._learning.people_wait:
            waits.append(self._people.wait)
        if self._learning.models_wait:
            waits.append(self._models.wait)
        return datetime.now(UTC) + timedelta(seconds=min(waits))

    def snapshot(self) -> Manifest:
        """Make what was learned durable."""
        saved = self._log.save(self._learning.change(), self._learning.to_bytes)
        return {**saved, _SAVED: self._timeline}

    def _publish(self, *, force: bool) -> list[PublishedLoop]:
        learning = self._learning
        models = learning.models_wait and (force or not self._models.wait)
        people = learning.people_wait and (force or models or not self._people.wait)
        if not (models or people):
            return []
        values: dict[str, bytes] = {}
        roster: bytes | None = None
        if people:
            began = time.thread_time()
            values |= {self._keys.person(k): v for k, v in learning.changed_people().items()}
            self._people.done(_cost(began, values))
        if models:
            began = time.thread_time()
            stamp = Stamp(self._timeline[0], learning.told)
            made = {
                self._keys.model(name): model.stamped(stamp).to_bytes()
                for name, model in learning.changed_models().items()
            }
            for key in [key for key, data in made.items() if len(data) > MOST_BYTES]:
                _log.error("%s: more than %d bytes, nobody would take it up", key, MOST_BYTES)
                del made[key]
            fleet = self._fleet_values()
            values |= made | fleet
            roster = fleet.get(self._keys.fleet())
            self._models.done(_cost(began, made))
            # A mark tells of all that was learned.
            self._published += self._watch.resumed
        versions, kept = (learning.versions, learning.kept) if models else ({}, {})
        marks = self._watch.marks(self._published, 0)
        return [PublishedLoop(values, marks, versions, roster, kept)]

    def _fleet_values(self) -> dict[str, bytes]:
        """Return the roster, to be stored after its members' models, and what they leave."""
        if not isinstance(self._learning, FleetLearning):
            return {}
        roster = self._learning.roster()
        values = {} if roster is None else {self._keys.fleet(): roster}
        return values | {self._keys.model(name): b"" for name in self._learning.gone()}


def _cost(began: float, made: Mapping[str, bytes]) -> float:
    """Return the seconds that it takes to make and to send something."""
    return time.thread_time() - began + _SECONDS_A_BYTE * sum(map(len, made.values()))


def _letter(refused: Refused) -> DeadLetter:
    event = refused.event
    return DeadLetter.of(
        event.raw, reason=refused.reason, path=refused.path, origin=event.origin, line=event.line,
        position=event.position, received_at=event.received_at,
    )  # fmt: skip
