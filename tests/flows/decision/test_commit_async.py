"""Committing without blocking, and what happens when the store is away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import redis

from nextbest.features.errors import SettingsError, StoreError
from nextbest.flows.decision.commit import AsyncCommitter, Committed, Committer, Conflict, Log
from nextbest.flows.decision.contact_bytes import Contacts
from nextbest.flows.decision.contacts import CapRules
from nextbest.flows.decision.record import Response, record_of
from nextbest.flows.embedded import ensure_server, stop_server
from tests.flows.decision.cap_cases import KEYS, NOW, decide, record, strategy
from tests.flows.server_cases import kill

LOG = Log("log", None, 16)
RULES = CapRules.compile(strategy())


async def decided(
    committer: AsyncCommitter, customer: str, at: int, number: int
) -> tuple[Committed, int]:
    contacts = await committer.contacts(customer)
    conflicts = 0
    while True:
        found = RULES.check(contacts, "web", at)
        names = [n for n, ok in zip(RULES.names, found.allowed, strict=True) if ok][:1]
        made = record(customer, at, number, names, contacts)
        done = await committer.commit(made, RULES.offered(contacts, names, "web", at))
        if not isinstance(done, Conflict):
            return done, conflicts
        contacts, conflicts = done.contacts, conflicts + 1


def test_64_at_once_over_one_connection(store: redis.Redis, store_url: str) -> None:
    before = store.info("stats")["total_connections_received"]

    async def run() -> list[tuple[Committed, int]]:
        async with AsyncCommitter(store_url, KEYS, LOG) as committer:
            many = (decided(committer, "ann", NOW + n, n) for n in range(64))
            found = await asyncio.gather(*many)
            made = [record_of(committed.event) for committed, _ in found]
            (decision,) = (r for r in made if [o.action for o in r.offers] == ["green"])
            outcome = Response(decision_id=decision.id, response="leave")
            responded = await committer.respond("o-1", NOW + 99, outcome, RULES)
            assert responded.receipt.position > max(c.receipt.position for c, _ in found)
            kept = await committer.kept(decision.id)
            assert kept is not None
            assert kept.record == decision
            assert len(await committer.keys_of("ann")) == 66
            assert not RULES.check(await committer.contacts("ann"), "web", NOW + 99).allowed.any()
            assert await committer.erase("ann") == 66
            return list(found)

    found = asyncio.run(run())
    assert store.info("stats")["total_connections_received"] == before + 1
    entries: Any = store.xrange("log")
    log = [entry[b"events"].splitlines() for _, entry in entries]
    assert len(log) < 65  # what is committed at once is one entry
    for committed, _ in found:
        position = committed.receipt.position
        assert log[position >> 20][position % (1 << 20)] == committed.event
    assert len({committed.receipt for committed, _ in found}) == 64
    assert sum(len(record_of(committed.event).offers) for committed, _ in found) == 3
    assert sum(conflicts for _, conflicts in found) > 0
    assert sum(map(len, log)) == 65


def test_scripts_that_were_forgotten_and_connections_that_were_closed(
    store: redis.Redis, store_url: str
) -> None:
    async def run() -> None:
        async with AsyncCommitter(store_url, KEYS, LOG) as committer:
            await decided(committer, "ann", NOW, 1)
            store.script_flush()
            await decided(committer, "ann", NOW + 1, 2)
            store.client_kill_filter(_type="normal", skipme=True)
            await decided(committer, "ann", NOW + 2, 3)

    asyncio.run(run())
    assert store.xlen("log") == 3


def test_a_connection_that_was_closed(store: redis.Redis, store_url: str) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        decide(committer, RULES, "ann", NOW, 1)
        store.client_kill_filter(_type="normal", skipme=True)
        decide(committer, RULES, "ann", NOW + 1, 2)
    offers = Contacts.unpack(store.get(KEYS.contacts("ann"))).offers  # type: ignore[arg-type]
    assert len(offers) == store.xlen("log") == 2


def test_a_store_that_is_away(tmp_path: Path) -> None:
    url = ensure_server(tmp_path)
    made = record("ann", NOW, 1, ["green"], b"")
    update = RULES.offered(b"", ["green"], "web", NOW)
    outcome = Response(decision_id=made.id, response="refuse")
    try:
        with Committer(url, KEYS, LOG) as committer:
            committer.contacts("ann")
            kill(url)
            calls: list[Any] = [
                lambda: committer.commit(made, update),
                lambda: committer.respond("o-1", NOW, outcome, RULES, made),
                lambda: committer.kept("d"),
                lambda: committer.erase("ann"),
            ]
            for call in calls:
                with pytest.raises(StoreError, match="no answer"):
                    call()

            async def run() -> None:
                async with AsyncCommitter(url, KEYS, LOG) as other:
                    with pytest.raises(StoreError, match="no answer"):
                        await other.commit(made, update)

            asyncio.run(run())
            assert ensure_server(tmp_path) == url
            assert isinstance(committer.commit(made, update), Committed)
    finally:
        stop_server(tmp_path)


def test_a_wrong_url_is_told_without_its_password() -> None:
    with pytest.raises(SettingsError, match=r"http://me:\*\*\*@host"):
        Committer("http://me:s3cret@host", KEYS, LOG)
    with pytest.raises(SettingsError, match="0 partitions"):
        AsyncCommitter("redis://host", KEYS, Log("log", 0, 16))
