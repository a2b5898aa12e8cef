"""A shard's logic without the engine: rows, features as of an event, the archive, and resuming."""

from __future__ import annotations

import io
import json
import pickle
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nextbest.features import StateError
from nextbest.features.batch import DUPLICATE, LATE
from nextbest.features.online import RowDecoder, key_prefix
from nextbest.features.plan import Plan
from nextbest.features.state import ShardState
from nextbest.flows.assemble import Assembler, ChunkTable, Verdict, archive_table
from nextbest.flows.decisions import Script
from nextbest.flows.decode import ChunkDecoder, ShardEvents
from nextbest.flows.featurize import Counted, ReadFeatures, ShardLogic
from nextbest.flows.shard import Published, Snapshot
from tests.flows.test_decode import (
    MINUTE,
    START,
    Event,
    chunk_of,
    chunks,
    decoder,
    make_event,
    make_log,
    ndjson,
    plan,
    shop,
)

LATER = START + 5000 * MINUTE


def read_commands(payload: bytes) -> list[list[bytes]]:
    """The commands in bytes of the Redis protocol, parsed by the book."""
    file = io.BytesIO(payload)
    commands = []
    while head := file.readline():
        words = []
        assert head[:1] == b"*"
        for _ in range(int(head[1:])):
            size = file.readline()
            assert size[:1] == b"$"
            words.append(file.read(int(size[1:])))
            assert file.read(2) == b"\r\n"
        commands.append(words)
    return commands


@dataclass
class Shop:
    """All shards of a worker, and what has come out of them."""

    decode: ChunkDecoder
    state_dir: Path | None = None
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    store: dict[bytes, bytes] = field(default_factory=dict)
    archive: list[Event] = field(default_factory=list)
    items: list[Script | ReadFeatures] = field(default_factory=list)
    counts: list[Counted] = field(default_factory=list)
    flushes: int = 0

    def __post_init__(self) -> None:
        self.shards = {s: self.shard(s) for s in self.snapshots}
        self.assembler = Assembler()
        self.totals: dict[bytes, dict[str, int]] = {}

    def shard(self, shard: int) -> ShardLogic:
        return ShardLogic(plan, shard, self.state_dir, self.snapshots.get(shard))

    def take(self, chunk: Any, *, publish: bool = True) -> None:
        for item in self.decode(chunk):
            if isinstance(item, Script):
                self.items.append(item)
            if isinstance(item, ChunkTable):
                self.assemble(item)
            if not isinstance(item, ShardEvents):
                continue
            if item.shard not in self.shards:
                self.shards[item.shard] = self.shard(item.shard)
            for out in self.shards[item.shard].on_events(item):
                if isinstance(out, ReadFeatures):
                    self.items.append(out)
                elif isinstance(out, Verdict):
                    self.assemble(out)
                elif isinstance(out, Counted):
                    self.counts.append(out)
        if publish:
            self.publish()

    def assemble(self, item: ChunkTable | Verdict) -> None:
        whole = list(self.assembler.on_items([item]))
        if whole:
            self.archive += archive_table(whole).to_pylist()

    def publish(self) -> None:
        for logic in self.shards.values():
            for flush in logic.publish(force=True):
                commands = read_commands(flush.commands.payload.tobytes())
                assert len(commands) == flush.commands.replies
                _, counts_key, counts = commands.pop()
                self.totals[counts_key] = json.loads(counts)
                rows = {k: v for c in commands for k, v in zip(c[1::2], c[2::2], strict=True)}
                assert len(rows) == flush.commands.rows
                self.store |= rows
                self.flushes += 1

    def snapshot(self) -> dict[int, Snapshot]:
        return {shard: logic.snapshot() for shard, logic in self.shards.items()}


def run(
    tmp: Path, log: Sequence[Event], sizes: Sequence[int], *, shards: int = 4, **kept: Any
) -> Shop:
    place = Shop(decoder(tmp, shards=shards), **kept)
    for chunk in chunks(log, sizes):
        place.take(chunk)
    return place


def features(place: Shop, at: int = LATER) -> dict[str, list[float]]:
    """Every stored row, read as an app would."""
    prefix = key_prefix(plan.catalog)
    names = sorted(place.store)
    assert all(name.startswith(prefix) for name in names)
    rows = RowDecoder(plan).decode([place.store[name] for name in names], at)
    return {
        name[len(prefix) :].decode(): [*values, float(age)]
        for name, values, age in zip(names, rows.values.tolist(), rows.age_ms.tolist(), strict=True)
    }


def one_by_one(log: Sequence[Event], tmp: Path) -> tuple[ShardState, list[int], list[list[float]]]:
    """Apply each event alone; read its customer after each visit."""
    state = ShardState(plan)
    flags, read = [], []
    decode = decoder(tmp, shards=1)
    for chunk in chunks(log, [1]):
        (part,) = (x for x in decode(chunk) if isinstance(x, ShardEvents))
        flags.append(int(state.apply(part.batch)[0]))
        e = log[chunk.position]
        if e["type"] == "visit":
            rows = state.read([e["customer_id"]], e["event_timestamp"])
            read.append([float(chunk.position), *rows.values[0].tolist()])
    return state, flags, read


def same(a: Sequence[float], b: Sequence[float]) -> bool:
    return np.array(a).tobytes() == np.array(b).tobytes()


@pytest.mark.parametrize(("sizes", "shards"), [([500], 1), ([1, 2, 37, 3], 3), ([64], 16)])
def test_features_read_amid_a_batch_equal_those_read_one_by_one(
    tmp_path: Path, sizes: list[int], shards: int
) -> None:
    log = make_log(11, 500)
    state, flags, expected = one_by_one(log, tmp_path)
    place = run(tmp_path, log, sizes, shards=shards)
    found = [
        [float(position), *row]
        for item in place.items
        if isinstance(item, ReadFeatures)
        for position, row in zip(item.positions.tolist(), item.rows.values.tolist(), strict=True)
    ]
    assert len(found) > 100
    assert all(same(a, b) for a, b in zip(sorted(found), expected, strict=True))
    dropped = {p for x in place.items if isinstance(x, ReadFeatures) for p in x.dropped.tolist()}
    assert dropped == {i for i, flag in enumerate(flags) if flag == DUPLICATE}
    assert len(dropped) > 10
    for name, values in features(place).items():
        rows = state.read([name], LATER)
        assert same(values, [*rows.values[0], float(rows.age_ms[0])]), name
    assert len(place.store) == len(state)


def test_the_archive_holds_the_accepted_events_with_position_and_lateness(tmp_path: Path) -> None:
    log = make_log(12, 300)
    _, flags, _ = one_by_one(log, tmp_path)
    assert flags.count(LATE) > 3
    place = run(tmp_path, log, [50])
    kept = sorted(place.archive, key=lambda row: row["position"])
    assert [row["position"] for row in kept] == [i for i, f in enumerate(flags) if f != DUPLICATE]
    assert [row["late"] for row in kept] == [f == LATE for f in flags if f != DUPLICATE]
    assert [row["event_id"] for row in kept] == [log[row["position"]]["event_id"] for row in kept]
    counted = np.array([(c.accepted, c.late, c.duplicate) for c in place.counts]).sum(axis=0)
    assert counted.tolist() == [flags.count(0), flags.count(LATE), flags.count(DUPLICATE)]
    assert len(place.totals) == 4
    for n, name in enumerate(("accepted", "late", "duplicate")):
        assert sum(total[name] for total in place.totals.values()) == counted[n]


def test_repeated_events_change_no_feature(tmp_path: Path) -> None:
    log = make_log(13, 10)
    place = run(tmp_path, log, [10], shards=1)
    before = repr(features(place))
    place.take(chunk_of(ndjson(log), 10, position=10, seq=1))
    assert repr(features(place)) == before
    assert place.counts[-1].duplicate == 10
    assert [total["duplicate"] for total in place.totals.values()] == [10]


def test_publishing_takes_a_share_of_the_time_and_waits_for_no_one_else(tmp_path: Path) -> None:
    place = Shop(decoder(tmp_path, shards=1))
    several = list(chunks(make_log(14, 30), [10]))
    place.take(several[0], publish=False)
    (logic,) = place.shards.values()
    assert logic.publish_at() == 0.0
    (first,) = logic.publish()
    assert first.commands.rows > 0
    assert logic.publish_at() is None
    logic._not_before += 60
    place.take(several[1], publish=False)
    assert not list(logic.publish())
    wait = logic.publish_at()
    assert wait is not None
    assert 50 < wait <= 61
    (second,) = logic.publish(force=True)
    assert second.received > first.received
    assert not list(logic.publish(force=True))


@pytest.mark.parametrize("cut", [1, 7, 12])
def test_a_resumed_shard_goes_on_bit_for_bit(tmp_path: Path, cut: int) -> None:
    log = make_log(15, 240)
    undisturbed = run(tmp_path, log, [20])
    several = list(chunks(log, [20]))
    first = Shop(decoder(tmp_path), state_dir=tmp_path / "state")
    for n, chunk in enumerate(several[:cut]):
        first.take(chunk)
        if n % 3 == 0:
            first.snapshot()
    snapshots = first.snapshot()
    assert snapshots == first.snapshot()  # nothing new, nothing written
    for chunk in several[cut : cut + 2]:  # an epoch that is never committed
        first.take(chunk)
    first.snapshot()
    again = Shop(decoder(tmp_path), state_dir=tmp_path / "state", snapshots=snapshots)
    again.publish()
    seen = {e["customer_id"] for e in log[: 20 * cut]}
    assert set(features(again)) == seen  # all is published again
    for chunk in several[cut:]:
        again.take(chunk)
    assert again.store == undisturbed.store
    assert again.totals == undisturbed.totals
    assert again.counts == undisturbed.counts[len(undisturbed.counts) - len(again.counts) :]


def test_without_a_state_directory_a_snapshot_keeps_nothing(tmp_path: Path) -> None:
    place = run(tmp_path, make_log(16, 20), [20])
    assert {s["manifest"]["version"] for s in place.snapshot().values()} == {0}
    assert not list(tmp_path.rglob("*.log"))


def test_state_of_another_declaration_or_damaged_names_its_file(tmp_path: Path) -> None:
    place = run(tmp_path, make_log(17, 20), [20], shards=1, state_dir=tmp_path / "state")
    snapshots = place.snapshot()
    other = Plan.compile(type(plan.catalog)(name="mart", views=plan.catalog.views, lateness="1m"))
    with pytest.raises(StateError, match=r"shard 0: .* written under another declaration"):
        ShardLogic(other, 0, tmp_path / "state", snapshots[0])
    with pytest.raises(StateError, match=r"shard 1: the manifest is that of shard 0"):
        ShardLogic(plan, 1, tmp_path / "state", snapshots[0])
    (path,) = (tmp_path / "state").glob("*.log")
    path.unlink()
    with pytest.raises(StateError, match=re.escape(f"{path}: ")):
        ShardLogic(plan, 0, tmp_path / "state", snapshots[0])


def test_a_full_shard_says_so(tmp_path: Path) -> None:
    place = Shop(decoder(tmp_path, shards=1))
    (part,) = (
        x
        for c in chunks([make_event(i, f"c{i}", "view", i) for i in range(600)], [600])
        for x in place.decode(c)
        if isinstance(x, ShardEvents)
    )
    with pytest.raises(StateError, match="the shard is full: it holds 511 customers"):
        ShardState(plan, max_slots=512).apply(part.batch)


def test_outputs_travel_between_processes(tmp_path: Path) -> None:
    assert shop.name == "shop"
    decode = decoder(tmp_path, shards=1)
    logic = ShardLogic(plan, 0)
    (chunk,) = chunks(make_log(18, 30), [30])
    assert chunk.payload == ndjson(make_log(18, 30))
    for part in decode(chunk):
        if isinstance(part, ShardEvents):
            for out in [*logic.on_events(part), *logic.publish()]:
                again: Any = pickle.loads(pickle.dumps(out))
                if isinstance(out, Published):
                    assert again.commands.payload.tobytes() == out.commands.payload.tobytes()
                elif isinstance(out, ReadFeatures):
                    assert again.rows.values.tobytes() == out.rows.values.tobytes()
                elif isinstance(out, Verdict):
                    assert again.dropped.tolist() == out.dropped.tolist()
                else:
                    assert again == out
