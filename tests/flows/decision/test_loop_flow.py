"""Decisions and outcomes in the dataflow: each counts once, wherever a run breaks and resumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from nextbest.features import SettingsError
from nextbest.flows.decision.learning import learn_action
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.models import new_learner, publish
from nextbest.flows.decision.open_decisions import Credit
from nextbest.flows.decision.record import Offer, Record, Response, event_of, outcome_event
from nextbest.flows.loop_flow import Loop
from nextbest.flows.loop_steps import Credits, LearnLoopStep, TooLate
from nextbest.flows.pipeline import Observers, build_flow
from nextbest.flows.run import run_flow
from nextbest.flows.settings import Settings
from nextbest.flows.sources import FileSource
from nextbest.learners import Example, PublishedArms
from tests.chaos.declared import catalog, offer
from tests.chaos.log import make_blobs
from tests.chaos.offers import STRATEGY

OBJECTIVES = ("accept", "spend", "bought")
DAY = 86_400_000_000
LOADED = load(STRATEGY, catalog)
strategy = LOADED.strategy


@dataclass
class World:
    """A log in files, a data directory and a store."""

    home: Path
    url: str
    partitions: int
    counts: dict[str, int] = field(default_factory=dict)
    breaks_at: int = 0
    batch_rows: int = 256

    def run(self, logs: Path, name: str) -> None:
        """Read the log to its end; breaks once if it is to."""
        settings = self.settings(name)
        source = FileSource(
            [logs], batch_rows=self.batch_rows, partitions=self.partitions, epoch_bytes=1 << 20
        )
        observers = Observers(looped=self._looped)
        loop = Loop.compile(LOADED, catalog)
        run_flow(
            build_flow(source, catalog, settings, self.url, loop=loop, observers=observers),
            settings,
        )

    def settings(self, name: str) -> Settings:
        return Settings(data_dir=self.home / name, shards=4, epoch_seconds=0.05)

    def archive(self, name: str, what: str) -> dict[str, pa.Table]:
        directory = self.settings(name).archive_dir / what
        return {
            part.name: pa.concat_tables(
                pq.ParquetFile(file).read() for file in sorted(part.glob("*.parquet"))
            )
            for part in sorted(directory.glob("partition=*"))
        }

    def letters(self, name: str) -> list[Any]:
        path = self.settings(name).dead_letters_dir / "dead.ndjson"
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        return sorted((x["origin"], x["position"], x["reason"], x["path"] or "") for x in lines)

    def stored(self) -> dict[bytes, bytes]:
        with redis.Redis.from_url(self.url) as client:
            keys: Any = sorted(client.scan_iter("nextbest:chaos:offers:*", count=10_000))
            keys = [key for key in keys if not key.endswith(b":published")]
            values: Any = client.mget(keys)
            client.flushall()
        return dict(zip(keys, values, strict=True))

    def learned(self) -> tuple[dict[bytes, bytes], set[int]]:
        """What is stored, models without their stamps; and the numbers of these."""
        stored, sequences = self.stored(), set()
        for key in [key for key in stored if b":model:" in key]:
            model = PublishedArms.from_bytes(stored[key])
            assert model.stamp is not None
            sequences.add(model.stamp.sequence)
            stored[key] = model.stamped(None).to_bytes()
        return stored, sequences

    def _looped(self, counts: Mapping[str, int]) -> None:
        for name, n in counts.items():
            self.counts[name] = self.counts.get(name, 0) + n
        if self.breaks_at and self.counts["decisions"] >= self.breaks_at:
            self.breaks_at = 0
            raise ZeroDivisionError


@pytest.fixture
def write(tmp_path: Path) -> Callable[[int, int], Path]:
    """Write a log of about so many events in so many partitions, each customer in one."""

    def write(events: int, partitions: int) -> Path:
        lines = next(make_blobs(5, ahead=events, customers=60, offers=True))
        parts: list[list[bytes]] = [[] for _ in range(partitions)]
        for line in lines:
            try:
                name = str(json.loads(line)["customer_id"])
            except (ValueError, KeyError, TypeError):
                name = ""
            parts[sum(name.encode()) % partitions].append(line)
        root = tmp_path / "log"
        for number, part in enumerate(parts):
            directory = root / f"partition={number}"
            directory.mkdir(parents=True)
            (directory / "log.ndjson").write_bytes(b"\n".join(part) + b"\n")
        return root

    return write


@pytest.mark.parametrize("partitions", [1, 2], ids=["one partition", "two partitions"])
def test_a_broken_run_ends_as_an_undisturbed_one(
    tmp_path: Path, store_url: str, write: Callable[[int, int], Path], partitions: int
) -> None:
    logs = write(1500, partitions)
    world = World(tmp_path, store_url, partitions)
    world.run(logs, "whole")
    whole, counts = world.learned(), dict(world.counts)
    for at in (40, 60):
        world.breaks_at, world.counts = at, {}
        world.batch_rows = 100 + at
        with pytest.raises(ZeroDivisionError):
            world.run(logs, "broken")
    world.run(logs, "broken")
    for what in ("decisions", "credits", "events"):
        here, there = world.archive("broken", what), world.archive("whole", what)
        assert here.keys() == there.keys()
        assert len(here) == partitions
        for part, table in there.items():
            assert here[part].to_pylist() == table.to_pylist(), (what, part)
    assert world.letters("broken") == world.letters("whole")
    assert world.learned() == whole
    assert min(counts.values()) > 0, counts
    events = pa.concat_tables(world.archive("whole", "events").values())
    assert not {"decision", "outcome"} & set(events["type"].to_pylist())
    kept = world.settings("broken").archive_dir / "strategies/offers" / f"{LOADED.version}.yaml"
    assert kept.read_text() == STRATEGY


def test_what_is_learned_is_the_last_word_on_each_offer_in_event_time(
    tmp_path: Path, store_url: str, write: Callable[[int, int], Path]
) -> None:
    world = World(tmp_path, store_url, 2)
    world.run(write(1800, 2), "data")
    told = pa.concat_tables(world.archive("data", "credits").values()).to_pylist()
    stored, sequences = world.stored(), list[int]()
    people: dict[str, dict[str, bytes]] = {}
    for objective in OBJECTIVES:
        last: dict[str, dict[str, Any]] = {}
        for row in told:
            if row["objective"] == objective:
                old = last.get(row["example"])
                assert row["revision"] == (0 if old is None else old["revision"] + 1)
                last[row["example"]] = row
        model, blocks = new_learner(strategy.model), {}
        examples = [_example(row) for row in last.values() if not row["withdrawn"]]
        for example in sorted(examples, key=lambda each: each.order):
            name = str(example.customer)
            blocks[name] = learn_action(model, example, blocks.get(name, b"")) or b""
        key = f"nextbest:chaos:offers:model:{objective}".encode()
        found = PublishedArms.from_bytes(stored.pop(key))
        assert found.stamped(None).to_bytes() == publish(model).to_bytes()
        assert found.version == len(examples) > 50
        assert found.stamp is not None
        sequences.append(found.stamp.sequence)
        assert sum(row["objective"] == objective for row in told) <= sequences[-1]
        for name, block in blocks.items():
            people.setdefault(name, {})[objective] = block
    assert max(sequences) == len(told)  # that of the model which was told last
    decoded = {
        key.decode().rpartition(":")[2]: msgspec.msgpack.decode(value)
        for key, value in stored.items()
    }
    assert {name: blocks for name, blocks in decoded.items() if blocks} == people


def _example(row: Mapping[str, Any]) -> Example:
    at = row["event_timestamp"].timestamp()
    return Example(
        row["example"], round(at * 1e6), row["position"],
        {**json.loads(row["inputs"]), ":action": row["action"]}, np.array(row["features"]),
        0, row["reward"], row["silence"], row["customer_id"],
    )  # fmt: skip


def test_a_decision_point_and_a_strategy_do_not_go_together(tmp_path: Path, store_url: str) -> None:
    path = tmp_path / "log.ndjson"
    path.write_bytes(b"\n".join(islice(next(make_blobs(5, ahead=9, customers=3)), 9)))
    loop = Loop.compile(LOADED, catalog)
    with pytest.raises(SettingsError, match="give offer or offers, not both"):
        build_flow(
            FileSource([path]), catalog, Settings(data_dir=tmp_path), store_url,
            decisions=offer, loop=loop,
        )  # fmt: skip


def test_a_partition_that_is_read_days_ahead_keeps_nothing_from_being_learned(
    tmp_path: Path, store_url: str
) -> None:
    minute, start = 60_000_000, 1_767_225_600_000_000
    for number, (every, decisions) in enumerate(((20 * minute, 300), (600 * minute, 10))):
        lines = []
        for n in range(decisions):
            name, at = f"{number}-{n}", start + n * every
            offer = Offer(action="tea", score=0.0, propensity=1.0, draw=0.0)
            made = Record(
                id=name, customer=str(number), at=at, channel="web", strategy="5e", offers=[offer]
            )
            said = Response(decision_id=name, response="accept", value=7.0)
            lines += [event_of(made), outcome_event(f"o{name}", at + 1, str(number), "web", said)]
        path = tmp_path / "log" / f"partition={number}" / "log.ndjson"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"\n".join(lines) + b"\n")
    learned = []
    for rows in (8192, 32):
        world = World(tmp_path, store_url, 2, batch_rows=rows)
        world.run(tmp_path / "log", f"by-{rows}")
        assert world.counts["responses"] == 2 * 310
        assert not world.counts.get("too_late")
        learned.append(world.learned()[0])
    assert learned[0] == learned[1]


def test_what_comes_too_late_to_be_learned_is_counted(tmp_path: Path) -> None:
    loop = Loop.compile(LOADED, catalog)
    settings = Settings(data_dir=tmp_path)
    step = LearnLoopStep(
        loop.learning, settings, ("offers", "5e"), loop.keys, lambda key: None, None
    )
    times = (30 * DAY, 1, 29 * DAY, 2)
    told = [
        Credit("accept", f"d{n}/0", at, n, "ann", "tea", 1.0, False, False, 0, {}, [])
        for n, at in enumerate(times)
    ]
    first, second = step.on_batch([Credits(told[:2])])[0], step.on_batch([Credits(told[2:])])[0]
    late = [out for out in (*first, *second) if isinstance(out, TooLate)]
    assert late == [TooLate(1), TooLate(1)]
