"""The sources of a cluster end their epochs together, whatever put them out of step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from datetime import datetime

import pytest
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from nextbest.flows import owned
from nextbest.flows.cluster import Member
from nextbest.flows.pacing import Pace
from nextbest.flows.sources import shared
from nextbest.flows.sources.shared import Feed, SharedReader


def test_a_partition_that_waited_ends_its_epoch_with_the_others() -> None:
    now = 0.0
    pace = Pace(1.0, clock=lambda: now)

    def call(at: float) -> float:
        nonlocal now
        now = at
        pace.called()
        return pace.hold()

    def end(at: float) -> None:
        nonlocal now
        now = at
        pace.epoch_ended()

    assert [call(0.1 * n) for n in range(10)] == [0.0] * 10
    end(1.0)
    assert call(1.3) == 0.0  # the others were late
    assert call(1.75) == 0.0
    assert call(1.85) == pytest.approx(0.45)
    call(2.3)
    end(2.3)
    assert call(2.31) == 0.0  # now they are not
    assert pace.reading_seconds() == 0.0
    assert call(3.25) == 0.0
    end(3.3)
    call(4.2)  # so late that the engine ends this epoch soon: much is read at once
    assert pace.reading_seconds() == 0.25


class Engine:
    """The engine's clock: one partition a worker, each call of it takes so long.

    An epoch is open when all have ended the one before, and that is committed. A partition is
    called when its epoch is open and it has asked to be; after the call its epoch ends if it has
    lasted long enough.
    """

    def __init__(self, calls: Sequence[float], commit: float, *, busy: bool = True) -> None:
        self.now = 0.0
        self._calls = calls
        self._commit = commit
        self._busy = busy
        workers = range(len(calls))
        self._paces = [Pace(1.0, clock=lambda: self.now) for _ in workers]
        self._epoch = [0 for _ in workers]
        self._began = [0.0 for _ in workers]
        self._due = [0.0 for _ in workers]
        self._ends: dict[int, list[float]] = {-1: [-commit for _ in workers]}
        self.called: list[list[float]] = [[] for _ in workers]
        self.looked = [0.0 for _ in workers]
        """Seconds for which the engine looked without a pause whether the next epoch is open."""

    def run(self, until: float) -> None:
        """Go on until then."""
        while True:
            at, worker = min((self._ready(worker), worker) for worker in range(len(self._calls)))
            if at > until:
                return
            self._call(worker, at, self._calls[worker])

    def stand_still(self, worker: int, seconds: float) -> None:
        """Let a worker's next call take so long."""
        self._call(worker, self._ready(worker), seconds)

    def _ready(self, worker: int) -> float:
        ends = self._ends.get(self._epoch[worker] - 1, [])
        is_open = len(ends) == len(self._calls)
        return max(max(ends) + self._commit, self._due[worker]) if is_open else math.inf

    def _call(self, worker: int, at: float, seconds: float) -> None:
        pace, self.now = self._paces[worker], at
        self.called[worker].append(at)
        pace.called()
        self.looked[worker] += max(0.0, at - self._due[worker])
        self.now = at + (0.0 if pace.rests() else seconds)
        # What it asks for is a time of the real clock; how far ahead that is, is known.
        held = pace.hold()
        pace.awake(None)
        self._due[worker] = self.now + held
        if self._busy:
            pace.brought()
        if at - self._began[worker] >= 1.0:
            pace.epoch_ended()
            self._began[worker] = at
            self._ends.setdefault(self._epoch[worker], []).append(self.now)
            self._epoch[worker] += 1


@pytest.mark.parametrize("commit", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("calls", [(0.005, 0.005), (0.005, 0.03), (0.03, 0.005, 0.005)], ids=str)
@pytest.mark.parametrize("still", [0.5, 0.95, 1.0, 1.3, 2.5])
@pytest.mark.parametrize("at", [3.0, 3.55, 3.9])
def test_who_stood_still_leaves_nobody_with_one_call_an_epoch(
    commit: float, calls: tuple[float, ...], still: float, at: float
) -> None:
    engine = Engine(calls, commit)
    engine.run(at)
    engine.stand_still(0, still)
    engine.run(18.0)
    for called in engine.called:
        late = [b - a for a, b in itertools.pairwise(called) if a > 9.0]
        assert max(late) < commit + 0.45  # an epoch is 1.0
        waits = sum(gap * gap for gap in late) / 2 / sum(late)
        assert waits < 0.25  # of an event that comes at any time; one call an epoch: 0.5


@pytest.mark.parametrize("calls", [(0.05, 0.05), (0.05, 0.037, 0.021)], ids=str)
@pytest.mark.parametrize("commit", [0.01, 0.06])
def test_the_engine_looks_less_for_those_that_nothing_comes_to(
    calls: tuple[float, ...], commit: float
) -> None:
    looked = []
    for busy in (True, False):
        engine = Engine(calls, commit, busy=busy)
        engine.run(5.0)
        before = sum(engine.looked)
        engine.run(45.0)
        looked.append((sum(engine.looked) - before) / 40 / len(calls))
        for called in engine.called:  # and still they are called as often as before
            assert max(b - a for a, b in itertools.pairwise(called)) < commit + 0.45
    assert looked[1] < 0.4 * looked[0]


class _Log(SharedReader[int]):
    def __init__(self) -> None:
        super().__init__(outage_seconds=0.0)
        self.fetched = 0

    def fetch(self, feeds: Sequence[Feed[int]], seconds: float) -> Mapping[int, Sequence[int]]:
        self.fetched += 1
        return {feed.number: [self.fetched] for feed in feeds}

    def ask(self) -> None:
        """There is no server."""

    def disconnect(self) -> None:
        """Nothing is held."""


def test_a_reader_that_is_called_seldom_reads_at_every_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(shared.time, "monotonic", lambda: now)
    log = _Log()
    feed = log.open(0)
    taken = []
    for _ in range(6):
        now += 1.0
        taken.append(list(log.take(feed)))
    assert taken == [[n] for n in range(1, 7)]
    now += 0.001  # at once: first the engine's steps
    assert [list(log.take(feed)) for _ in range(6)] == [[], [], [], [], [7], []]


class _Part(StatefulSourcePartition[int, None]):
    """Leaves out four reads after each that brings something, as `SharedReader` does."""

    def __init__(self) -> None:
        self._reads = 0

    def next_batch(self) -> list[int]:
        self._reads += 1
        return [self._reads] if self._reads % 5 == 1 and self._reads <= 31 else []

    def next_awake(self) -> datetime | None:
        return None

    def snapshot(self) -> None:
        return None


class _Source(FixedPartitionedSource[int, None]):
    def list_parts(self) -> list[str]:
        return ["0"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Part:
        return _Part()


def test_a_long_call_reads_on_over_reads_that_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = owned.OwnedSource(_Source(), Member(0, ("a:1", "b:1")), 1.0)
    assert source.build_part("source", "0", None).next_batch() == [1]
    monkeypatch.setattr(Pace, "reading_seconds", lambda self: 60.0)
    part = source.build_part("source", "0", None)
    assert part.next_batch() == [1, 6, 11, 16, 21, 26, 31]
