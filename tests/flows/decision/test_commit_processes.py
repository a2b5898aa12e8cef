"""Several processes decide for one customer at once: no cap is exceeded and nothing is lost."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import redis

from nextbest.flows.decision.commit import Committer, Log
from nextbest.flows.decision.contact_bytes import Contacts, Offered, hashed
from nextbest.flows.decision.contacts import CapRules
from nextbest.flows.decision.record import Record, record_of
from nextbest.flows.decision.strategy import Action, Cap, Strategy
from nextbest.flows.embedded import ensure_server, stop_server
from tests.flows.decision.cap_cases import KEYS, NOW, decide, strategy
from tests.flows.server_cases import kill

LOG = Log("log", None, 16)
PROCESSES, EACH = 4, 16
SPAWN = multiprocessing.get_context("spawn")


def plan(most: int) -> Strategy:
    actions = {f"a{n}": Action(channels=["web"], caps=[Cap(most=3, per="7d")]) for n in range(10)}
    return strategy(actions=actions, caps=[Cap(most=most, per="1d")])


def attempts(url: str, number: int, count: int, most: int, start: Any, told: Any) -> None:
    """One replica: its clock differs from the others' by some minutes."""
    rules = CapRules.compile(plan(most))
    with Committer(url, KEYS, LOG) as committer:
        committer.contacts("ann")
        start.wait(120)
        conflicts = 0
        for attempt in range(count):
            at = NOW + attempt * 1000 + number * 60_000_000
            found = decide(committer, rules, "ann", at, number << 32 | attempt, wanted=1)
            conflicts += found[1]
    told.put(conflicts)


def begin(url: str, count: int, most: int) -> tuple[list[BaseProcess], Any, Any]:
    start, told = SPAWN.Barrier(PROCESSES + 1), SPAWN.Queue()
    processes = [
        SPAWN.Process(target=attempts, args=(url, n, count, most, start, told))
        for n in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    return list(processes), start, told


def agreed(store: redis.Redis, most: int) -> list[Record]:
    """The decisions in the log, which agree with records and contacts and break no cap."""
    entries: Any = store.xrange("log")
    events = [fields[b"events"].rstrip(b"\n") for _, fields in entries]
    records = [record_of(event) for event in events]
    kept = {key.decode() for key in store.scan_iter(f"{KEYS.prefix}decision:*")}
    assert kept == {KEYS.decision(record.id) for record in records}
    assert len(kept) == len(records)
    for number, (record, event) in enumerate(zip(records, events, strict=True), 1):
        assert store.get(KEYS.decision(record.id)) == b"%d %s" % (number, event)
    offers = [(r.at, o.action) for r in records for o in r.offers]
    present: Any = store.get(KEYS.contacts("ann"))
    assert Contacts.unpack(present or b"").offers == sorted(
        Offered(at, hashed(action), hashed("web")) for at, action in offers
    )
    assert len(offers) <= most
    assert all(count <= 3 for count in Counter(action for _, action in offers).values())
    # Each was made from all that was committed before it.
    before = b""
    rules = CapRules.compile(plan(most))
    for record in records:
        assert record.contacts == before
        before = rules.offered(before, [o.action for o in record.offers], "web", record.at).contacts
    return records


@pytest.mark.parametrize("most", [20, 1000])
def test_64_attempts_at_once_exceed_no_cap_and_lose_nothing(
    most: int, store: redis.Redis, store_url: str
) -> None:
    processes, start, told = begin(store_url, EACH, most)
    start.wait(120)
    conflicts = [told.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    records = agreed(store, most)
    assert len(records) == PROCESSES * EACH
    assert sum(len(record.offers) for record in records) == min(most, 10 * 3)
    assert sum(conflicts) > 0  # they did meet


def test_a_process_that_is_killed_leaves_no_half_decision(
    store: redis.Redis, store_url: str
) -> None:
    processes, start, told = begin(store_url, 400, 1000)
    start.wait(120)
    while store.xlen("log") < 50:
        time.sleep(0.001)
    assert processes[0].pid is not None
    os.kill(processes[0].pid, signal.SIGKILL)
    for _ in processes[1:]:
        told.get(timeout=120)
    for process in processes:
        process.join(60)
    assert processes[0].exitcode == -signal.SIGKILL
    records = agreed(store, 1000)
    assert 3 * 400 <= len(records) < 4 * 400


def test_a_store_that_is_killed_has_no_half_decision(tmp_path: Path) -> None:
    url = ensure_server(tmp_path)
    try:
        processes, start, told = begin(url, 100_000, 1000)
        start.wait(120)
        with redis.Redis.from_url(url) as client:
            while client.xlen("log") < 50:
                time.sleep(0.001)
        kill(url)
        for process in processes:
            process.join(60)
            assert process.exitcode == 1
        assert told.empty()
        assert ensure_server(tmp_path) == url
        with redis.Redis.from_url(url) as client:
            assert len(agreed(client, 1000)) >= 50
    finally:
        stop_server(tmp_path)
