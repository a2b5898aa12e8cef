"""Marks: whatever is lost or killed, the store ends equal to the state, and never goes back."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nextbest.flows.publication import EVERYTHING, NOTHING, Marks, Publication, Republish

KEY = b"mark"
CUSTOMERS = 5
LOG = 400  # events; event p is of customer p * 7 % 5 and leaves its row at position p
Row: TypeAlias = int
Command: TypeAlias = tuple[object, ...]


def words(command: bytes) -> list[bytes]:
    parts = command.split(b"\r\n")
    return parts[2::2][: int(parts[0][1:])]


class Store:
    """Executes commands; what survives a restart is a prefix of them."""

    def __init__(self) -> None:
        self.log: list[Command] = []
        self.rows: dict[int, Row] = {}
        self.mark: bytes | None = None
        self.went_back = False

    def execute(self, command: Command) -> None:
        self.log.append(command)
        if command[0] == "row":
            _, customer, row = command
            assert isinstance(customer, int)
            assert isinstance(row, int)
            self.went_back |= row < self.rows.get(customer, -1)
            self.rows[customer] = row
        elif command[0] == "wipe":
            self.rows, self.mark = {}, None
        else:
            _, before, after = command
            assert isinstance(after, bytes)
            if (self.mark or b"") == before:
                self.mark = after

    def restart(self, kept: int) -> None:
        commands, went_back = self.log[:kept], self.went_back
        self.log, self.rows, self.mark = [], {}, None
        for command in commands:
            self.execute(command)
        self.went_back = went_back


@dataclass
class Flight:
    rows: list[Command]
    marks: Marks
    left: int = 0  # replies owed
    answered: bool = False


class Line:
    """What `RowSink` promises: see the text of `nextbest.flows.publication`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.kept: deque[Flight] = deque()
        self.pipe: deque[tuple[Flight, Command]] = deque()

    def send(self, rows: list[Command], marks: Marks) -> None:
        self.pump(10**6)  # a shard's flush is sent when its last one is settled
        self.kept.append(Flight(rows, marks))
        self._transmit(self.kept[-1])

    def pump(self, commands: int) -> None:
        for _ in range(commands):
            if not self.pipe:
                return
            flight, command = self.pipe.popleft()
            self.store.execute(command)
            flight.left -= 1
            if flight.left:
                continue
            if flight.answered:
                assert self.kept.popleft() is flight
            else:
                flight.answered, flight.left = True, 1
                self.pipe.append((flight, cas(flight.marks.closing)))

    def reconnect(self) -> None:
        self.pipe.clear()
        for flight in self.kept:
            self._transmit(flight)

    def _transmit(self, flight: Flight) -> None:
        commands = [cas(flight.marks.opening), *flight.rows]
        flight.left, flight.answered = len(commands), False
        self.pipe.extend((flight, command) for command in commands)


def cas(command: bytes) -> Command:
    name, _, count, key, before, after = words(command)
    assert (name, count, key) == (b"EVAL", b"1", KEY)
    return "swap", before, after


@dataclass(frozen=True)
class Snapshot:
    timeline: str = "directory"
    version: int = 0
    position: int = -1
    rows: dict[int, tuple[Row, int]] = field(default_factory=dict)


class Worker:
    """A shard: rows with the version that changed them, and those to be sent."""

    def __init__(self, store: Store, snapshot: Snapshot, timeline: str) -> None:
        self.line = Line(store)
        self.resumed = snapshot
        self.timeline = timeline
        self.version, self.position = snapshot.version, snapshot.position
        self.rows = dict(snapshot.rows)
        self.dirty: set[int] = set()
        self.shard = Publication(
            KEY, timeline, resumed_timeline=snapshot.timeline, resumed_version=snapshot.version
        )
        self.mend(self.shard.on_resume(store.mark))

    def mend(self, lack: Republish) -> None:
        if lack.needed:
            since = -1 if lack.since is None else lack.since
            self.dirty |= {c for c, (_, version) in self.rows.items() if version > since}

    def apply(self) -> None:
        if self.position + 1 < LOG:
            if self.version == self.resumed.version:  # before the first change
                self.line.send([], self.shard.command(self.shard.version, -1))
            self.position += 1
            self.version += 1
            customer = self.position * 7 % CUSTOMERS
            self.rows[customer] = (self.position, self.version)
            self.dirty.add(customer)

    def publish(self, some: int = CUSTOMERS) -> None:
        if not self.dirty or not self.shard.may_publish(self.position):
            return
        sent = sorted(self.dirty)[:some]
        self.dirty -= set(sent)
        version = self.shard.version if self.dirty else self.version
        rows: list[Command] = [("row", customer, self.rows[customer][0]) for customer in sent]
        self.line.send(rows, self.shard.command(version, self.position))

    def snapshot(self) -> Snapshot:
        self.line.pump(10**6)
        if self.version == self.resumed.version:
            return self.resumed
        return Snapshot(self.timeline, self.version, self.position, dict(self.rows))


Step: TypeAlias = tuple[str, int]
ORDINARY = ("apply", "publish", "some", "pump", "snapshot", "look", "crash")
LOSSES = ("lose", "wipe", "empty")


def run(steps: list[Step]) -> Store:
    """Run the steps, then what was seen of the log, then until nothing happens any more."""
    store, snapshot, now, furthest = Store(), Snapshot(), 0.0, -1
    worker = Worker(store, snapshot, "t0")
    for number, (what, n) in enumerate(steps, 1):
        if what == "apply":
            for _ in range(n):
                worker.apply()
            furthest = max(furthest, worker.position)
        elif what == "publish":
            worker.publish()
        elif what == "some":
            worker.publish(1)
        elif what == "pump":
            worker.line.pump(n)
        elif what == "snapshot":
            snapshot = worker.snapshot()
        elif what == "look":
            now += 3
            worker.mend(worker.shard.on_seen(store.mark, now))
        elif what == "crash":
            worker.line.pump(n)  # what was on its way may still arrive
            worker = Worker(store, snapshot, f"t{number}")
        elif what == "wipe":
            store.execute(("wipe",))
        else:
            store.restart(len(store.log) - n if what == "lose" else 0)
            worker.line.reconnect()
    while worker.position < furthest:
        worker.apply()
    assert worker.shard.may_publish(worker.position)
    for _ in range(8):
        worker.publish()
        worker.line.pump(10**6)
        now += 6
        worker.mend(worker.shard.on_seen(store.mark, now))
    assert store.rows == {c: row for c, (row, _) in worker.rows.items()}
    assert not worker.dirty
    return store


def steps(*kinds: str) -> st.SearchStrategy[list[Step]]:
    return st.lists(st.tuples(st.sampled_from(kinds), st.integers(1, 6)), max_size=60)


@given(steps(*ORDINARY, *LOSSES))
@settings(max_examples=500, deadline=None)
@example([("apply", 5), ("publish", 1), ("pump", 9), ("wipe", 1), ("crash", 1)])
@example([("apply", 1), ("publish", 1), ("snapshot", 1), ("wipe", 1), ("look", 1),
          ("publish", 1), ("crash", 1)])  # fmt: skip
@example([("apply", 3), ("some", 1), ("pump", 9), ("lose", 2), ("some", 1), ("some", 1)])
def test_the_store_ends_equal_to_the_state(steps: list[Step]) -> None:
    run(steps)


@given(steps(*ORDINARY))
@settings(max_examples=500, deadline=None)
@example([("apply", 4), ("publish", 1), ("crash", 5), ("apply", 1), ("publish", 1), ("pump", 9)])
def test_without_a_loss_no_row_goes_back(steps: list[Step]) -> None:
    assert not run(steps).went_back


@given(st.integers(1, 6), st.integers(0, 6))
@settings(deadline=None)
def test_an_ordinary_restart_sends_nothing_again(events: int, more: int) -> None:
    store = Store()
    worker = Worker(store, Snapshot(), "a")
    for _ in range(events):
        worker.apply()
    worker.publish()
    snapshot = worker.snapshot()
    for _ in range(more):
        worker.apply()
    worker.publish()
    worker.line.pump(10**6)
    again = Worker(store, snapshot, "b")  # killed before its next snapshot
    assert not again.dirty
    for _ in range(more):
        assert not again.shard.may_publish(again.position)
        again.apply()
    assert again.shard.may_publish(again.position)


@pytest.mark.parametrize(
    ("found", "lack", "position"),
    [
        (b"a:9:40:1:-:0", NOTHING, 40),  # ahead of the snapshot: an attempt that crashed
        (b"a:7:40:1:-:0", NOTHING, 40),
        (b"a:5:40:1:-:0", Republish(True, 5), 40),
        (b"x:9:40:1:a:7", NOTHING, 40),  # another attempt from the same snapshot
        (b"x:5:40:1:a:7", Republish(True, 5), 40),
        (b"x:9:40:1:a:6", EVERYTHING, -1),  # from another snapshot: other versions
        (b"z:7:40:1:-:0", EVERYTHING, -1),
        (b"rubbish", EVERYTHING, -1),
        (b"a:b:c:d:e:f", EVERYTHING, -1),
        (None, EVERYTHING, -1),
    ],
)
def test_what_a_start_finds(found: bytes | None, lack: Republish, position: int) -> None:
    shard = Publication(KEY, "n", resumed_timeline="a", resumed_version=7)
    assert not shard.may_publish(10**9)
    assert shard.on_seen(found, 0.0) == NOTHING  # it has not begun
    assert shard.on_resume(found) == lack
    assert shard.may_publish(position)
    assert not shard.may_publish(position - 1)


def test_versions_of_an_attempt_that_crashed_count_for_nothing() -> None:
    shard = Publication(KEY, "n", resumed_timeline="a", resumed_version=7, lag_seconds=4.0)
    ahead = b"a:9:40:1:-:0"
    assert shard.on_resume(ahead) == NOTHING
    shard.command(9, 41)  # another version 9, and the store never had it
    assert [shard.on_seen(ahead, now) for now in (0.0, 4.0)] == [NOTHING, Republish(True, 7)]


def test_a_mark_that_stands_still_is_a_loss_after_a_while() -> None:
    shard = Publication(KEY, "n", resumed_timeline="a", resumed_version=7, lag_seconds=4.0)
    shard.on_resume(b"a:7:1:1:-:0")
    first, second = shard.command(8, 2), shard.command(9, 3)
    arrived = words(first.closing)[-1]
    assert arrived == b"n:8:2:2:a:7"
    assert [shard.on_seen(arrived, now) for now in (0.0, 3.9)] == [NOTHING, NOTHING]
    assert shard.on_seen(arrived, 4.0) == Republish(True, 8)
    assert words(shard.command(9, 3).opening)[-2] == arrived  # it goes on from there
    assert shard.on_seen(words(second.closing)[-1], 5.0) == Republish(True, 9)  # only late
