"""A fleet in the dataflow: the same promotions, models and audit log however a run ends.

With ``NEXTBEST_CHAOS=long`` a process of its own is killed, else a run breaks off.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from nextbest.flows.decision.fleet_learning import FleetLearning
from nextbest.flows.decision.increments import IncrementLog
from nextbest.flows.decision.keys import Keys, decision_id
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.record import (
    Offer,
    Order,
    Record,
    Response,
    event_of,
    order_event,
    outcome_event,
)
from nextbest.flows.decision.roster import read_roster
from nextbest.flows.loop_flow import Loop
from nextbest.flows.pipeline import Observers, build_flow
from nextbest.flows.rebuild_loop import relearn
from nextbest.flows.run import run_flow
from nextbest.flows.settings import Settings
from nextbest.flows.sources import FileSource
from nextbest.learners import PublishedArms
from tests.chaos.declared import catalog

TEXT = """
name: crew
objectives: {sale: {response: buy, window: 10s}}
channels: {web: {}}
actions: {tea: {channels: [web]}, ice: {channels: [web]}}
fleet: {challengers: {nimble: {forgetting: [0.01]}, still: {switching: 0}}, share: 0.5, stay: 1s}
"""
LOADED = load(TEXT, catalog)
KEYS = Keys(catalog.name, "crew")
START, SECOND, EVERY = 1_767_225_600_000_000, 1_000_000, 240_000_000
LONG = os.environ.get("NEXTBEST_CHAOS") == "long"
RATES = {"base": 0.2, "nimble": 0.6, "still": 0.2}


def write(root: Path, decisions: int) -> Path:
    """Write what members decided, what came of it, and that a person let one of them go."""
    rng = random.Random(3)
    events: list[tuple[int, int, bytes]] = []
    for n in range(decisions):
        at, name, part = START + n * EVERY, f"c{n % 97}", n % 97 % 2
        member = rng.choice(list(RATES))
        identifier = decision_id(at, name, n)
        offer = Offer(action="tea", score=0.5, propensity=1.0, draw=0.0, chances={"sale": 0.3})
        record = Record(
            id=identifier, customer=name, at=at, channel="web", strategy="5e", offers=[offer],
            member=member,
        )  # fmt: skip
        events.append((at, part, event_of(record)))
        if rng.random() < RATES[member]:
            said = Response(decision_id=identifier, response="buy")
            line = outcome_event(f"o{n}", at + 2 * SECOND, name, "web", said)
            events.append((at + 2 * SECOND, part, line))
    order = Order(fleet="crew", what="retire", member="still", by="ann", note="enough")
    at = START + 20 * EVERY
    events += [(at + i, 0, order_event("o-1", at, order)) for i in range(2)]
    for part in (0, 1):
        path = root / f"partition={part}" / "log.ndjson"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"".join(e[2] + b"\n" for e in sorted(events) if e[1] == part))
    return root


def run(
    home: Path, logs: Path, url: str, breaks_at: int = 0, rows: int = 256, *, kills: bool = False
) -> None:
    """Run to the end of the log, or break off, or be killed, after so many decisions."""
    seen = 0

    def looped(counts: Mapping[str, int]) -> None:
        nonlocal seen
        seen += counts.get("decisions", 0)
        if breaks_at and seen >= breaks_at:
            if kills:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ZeroDivisionError

    settings = Settings(data_dir=home, shards=4, epoch_seconds=0.05)
    source = FileSource([logs], batch_rows=rows, partitions=2, epoch_bytes=1 << 14)
    loop = Loop.compile(LOADED, catalog)
    observers = Observers(looped=looped)
    run_flow(build_flow(source, catalog, settings, url, loop=loop, observers=observers), settings)


def audit(home: Path) -> list[dict[str, Any]]:
    files = sorted((home / "archive/fleet").rglob("*.parquet"))
    return pa.concat_tables(pq.ParquetFile(file).read() for file in files).to_pylist()


def left(url: str) -> tuple[bytes, dict[str, bytes]]:
    """Return the roster and the models, and empty the store."""
    with redis.Redis.from_url(url) as client:
        names = [f"sale:{member}" for member in RATES] + ["sale"]
        models = {name: client.get(KEYS.model(name)) or b"" for name in names}
        roster = client.get(KEYS.fleet()) or b""
        client.flushall()
    plain = {
        name: PublishedArms.from_bytes(data).stamped(None).to_bytes() if data else b""
        for name, data in models.items()
    }
    return roster, plain


def test_a_broken_run_promotes_and_audits_as_an_undisturbed_one(
    tmp_path: Path, store_url: str
) -> None:
    # Two days: of two partitions one may be a day behind.
    logs = write(tmp_path / "log", 800)
    run(tmp_path / "whole", logs, store_url)
    whole = left(store_url)
    broken = tmp_path / "broken"
    with pytest.raises(ZeroDivisionError):
        run(broken, logs, store_url, breaks_at=200, rows=300)
    if LONG:
        killed = multiprocessing.get_context("spawn").Process(
            target=run, args=(broken, logs, store_url, 400, 200), kwargs={"kills": True}
        )
        killed.start()
        killed.join(60)
        assert killed.exitcode == -signal.SIGKILL
    else:
        with pytest.raises(ZeroDivisionError):
            run(broken, logs, store_url, breaks_at=400, rows=200)
    run(tmp_path / "broken", logs, store_url)
    rows = audit(tmp_path / "whole")
    assert [row["number"] for row in rows] == list(range(len(rows)))
    assert audit(tmp_path / "broken") == rows
    assert left(store_url) == whole
    done = [(row["what"], row["member"], row["by"]) for row in rows]
    assert ("promote", "nimble", "evidence") in done
    assert ("retire", "still", "order") in done
    roster = read_roster(whole[0])
    assert roster.champion == "nimble"
    assert whole[1]["sale"] == whole[1]["sale:nimble"] != whole[1]["sale:base"]
    assert whole[1]["sale:still"] == b""
    # What was learned follows from the archive of what was told, too.
    settings = Settings(data_dir=tmp_path / "whole", shards=4)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    loop = Loop.compile(LOADED, catalog)
    manifest, _ = relearn(loop, settings, {"0": 10**6, "1": 10**6})
    again = loop.learning(*IncrementLog(settings.state_dir, "loop-crew", manifest).load(), 2)
    assert isinstance(again, FleetLearning)
    assert again.roster() == whole[0]
