"""Several processes decide for one customer at once: no cap is exceeded and nothing is lost."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import redis

from nextbest.features.errors import StoreError
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


def replica(number: int, tasks: Any) -> None:
    """Decide as often as told; this replica's clock is some minutes from the others'."""
    while (task := tasks.recv()) is not None:
        url, count, most = task
        rules = CapRules.compile(plan(most))
        conflicts = 0
        try:
            with Committer(url, KEYS, LOG) as committer:
                for attempt in range(count):
                    at = NOW + attempt * 1000 + number * 60_000_000
                    found = decide(committer, rules, "ann", at, number << 32 | attempt)
                    conflicts += found[1]
        except StoreError as error:
            tasks.send(error)
        else:
            tasks.send(conflicts)


class Replicas:
    """Processes that decide at the same time."""

    def __init__(self) -> None:
        self.running: list[tuple[BaseProcess, Any]] = []

    def start(self, url: str, count: int, most: int) -> None:
        fresh = []
        while len(self.running) < PROCESSES:
            ours, theirs = SPAWN.Pipe()
            process = SPAWN.Process(target=replica, args=(len(self.running), theirs))
            process.start()
            theirs.close()
            self.running.append((process, ours))
            ours.send((url, 0, most))
            fresh.append(ours)
        for pipe in fresh:
            pipe.recv()  # it has imported everything
        for _, pipe in self.running:
            pipe.send((url, count, most))

    def ended(self) -> list[int | StoreError]:
        return [pipe.recv() for _, pipe in self.running]

    def kill_last(self) -> int | None:
        """End the last one at once; return how it ended."""
        process, pipe = self.running.pop()
        process.kill()
        process.join()
        pipe.close()
        return process.exitcode


@pytest.fixture(scope="module")
def replicas() -> Iterator[Replicas]:
    found = Replicas()
    yield found
    for process, pipe in found.running:
        pipe.send(None)
        process.join(200)


def agreed(store: redis.Redis, most: int) -> list[Record]:
    """The decisions in the log, which agree with records and contacts and break no cap."""
    entries: Any = store.xrange("log")
    events = [fields[b"events"].rstrip(b"\n") for _, fields in entries]
    records = [record_of(event) for event in events]
    kept = {key.decode() for key in store.scan_iter(f"{KEYS.prefix}decision:*")}
    assert kept == {KEYS.decision(record.id) for record in records}
    assert len(kept) == len(records)
    for number, (record, (entry, _)) in enumerate(zip(records, entries, strict=True), 1):
        assert store.get(KEYS.decision(record.id)) == b"#%d:0 %s log" % (number, entry)
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
    most: int, replicas: Replicas, store: redis.Redis, store_url: str
) -> None:
    replicas.start(store_url, EACH, most)
    conflicts = replicas.ended()
    records = agreed(store, most)
    assert len(records) == PROCESSES * EACH
    assert sum(len(record.offers) for record in records) == min(most, 10 * 3)
    assert all(isinstance(found, int) for found in conflicts)


def test_a_process_that_is_killed_leaves_no_half_decision(
    replicas: Replicas, store: redis.Redis, store_url: str
) -> None:
    replicas.start(store_url, 500, 1000)
    while store.xlen("log") < 20:
        time.sleep(0.001)
    assert replicas.kill_last() == -signal.SIGKILL
    assert all(isinstance(found, int) for found in replicas.ended())
    records = agreed(store, 1000)
    assert 3 * 500 <= len(records) < 4 * 500


def test_a_store_that_is_killed_has_no_half_decision(replicas: Replicas, tmp_path: Path) -> None:
    url = ensure_server(tmp_path)
    try:
        replicas.start(url, 100_000, 1000)
        with redis.Redis.from_url(url) as client:
            while client.xlen("log") < 50:
                time.sleep(0.001)
        kill(url)
        assert all(isinstance(found, StoreError) for found in replicas.ended())
        assert ensure_server(tmp_path) == url
        with redis.Redis.from_url(url) as client:
            assert len(agreed(client, 1000)) >= 50
    finally:
        stop_server(tmp_path)
