"""A line is kept once, where it is sure to be as long as its decision, and read from there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from nextbest.features.errors import StateError
from nextbest.flows.decision.commit import AsyncCommitter, Committed, Committer, Log
from nextbest.flows.decision.contacts import CapRules, Update
from nextbest.flows.decision.ids import customer_hash
from nextbest.flows.decision.record import Response, event_of
from tests.flows.decision.cap_cases import KEYS, NOW, record, strategy
from tests.flows.kept_cases import whole

LOG = Log("log", None, 16)
RULES = CapRules.compile(strategy())
MADE = record("ann", NOW, 1, ["green"], b"")
UPDATE = RULES.offered(b"", ["green"], "web", NOW)
KEY = KEYS.decision(MADE.id)


def test_of_a_line_in_a_stream_only_its_place_is_kept(store: redis.Redis, store_url: str) -> None:
    refused = Response(decision_id=MADE.id, response="refuse")
    with Committer(store_url, KEYS, LOG) as committer:
        done = committer.commit(MADE, UPDATE)
        taken = committer.respond("o-1", NOW + 1, refused, RULES)
        again = committer.respond("o-1", NOW + 1, refused, RULES)
        assert (taken.repeated, again) == (False, taken._replace(repeated=True))
        assert committer.taken("ann", "o-1") == refused
    assert isinstance(done, Committed)
    entries: Any = store.xrange("log")
    assert store.get(KEY) == b"#1:0 %s log" % entries[0][0]
    assert store.get(KEYS.outcome("ann", "o-1")) == b"#2:0 %s log" % entries[1][0]


@pytest.mark.parametrize("retention", [99.0, 100.0, 0.0], ids=["sooner", "as-long", "never"])
def test_a_line_that_leaves_the_log_sooner_is_kept_itself(
    retention: float, store: redis.Redis, store_url: str
) -> None:
    log = LOG._replace(retention_seconds=retention)
    with Committer(store_url, KEYS, log, record_seconds=100.0) as committer:
        done = committer.commit(MADE, UPDATE)
        assert isinstance(done, Committed)
        sooner = retention == 99.0
        assert (store.get(KEY) == b"1:0 " + event_of(MADE)) == sooner
        store.xtrim("log", maxlen=0, approximate=False)
        kept = committer.kept(MADE.id)
        assert (None if kept is None else kept.event) == (event_of(MADE) if sooner else None)
        if sooner:
            assert committer.commit(MADE, UPDATE) == done._replace(repeated=True)
        else:
            with pytest.raises(StateError, match=r"decision:.* is at 1:0 of the log, which lost"):
                committer.commit(MADE, UPDATE)


def test_many_are_read_at_once_each_from_its_place(store: redis.Redis, store_url: str) -> None:
    made = [record(f"customer-{n}", NOW, n, ["green"], b"") for n in range(40)]
    log = Log("log of many", 3, 16)

    async def run() -> None:
        async with AsyncCommitter(store_url, KEYS, log) as committer:
            decisions = [(one, UPDATE, b"go", customer_hash(one.customer)) for one in made]
            done = await committer.commit_many(decisions)
            names = [one.id for one in made]
            await committer.kept_many(names[:2])
            calls = store.info("commandstats")
            kept = await committer.kept_many([*names, "another", names[7]])
            after = store.info("commandstats")
            assert [one and one.record for one in kept] == [*made, None, made[7]]
            receipts = [one.receipt for one in done if isinstance(one, Committed)]
            assert [one and one.receipt for one in kept] == [*receipts, None, receipts[7]]
            assert after["cmdstat_mget"]["calls"] - calls["cmdstat_mget"]["calls"] == 1
            # Of an entry some are there before: it has the others only, from its first line on.
            held = UPDATE.contacts
            fresh = [record(one.customer, NOW + 1, 1, [], held) for one in made[:3]]
            both = [one for pair in zip(made, fresh, strict=False) for one in pair]
            again = await committer.commit_many(
                [(one, Update(held, 1000), None, customer_hash(one.customer)) for one in both]
            )
            receipts = [one.receipt for one in again if isinstance(one, Committed)]
            kept = await committer.kept_many([one.id for one in both])
            assert [one and one.record for one in kept] == both
            assert [one and one.receipt for one in kept] == receipts

    asyncio.run(run())


def test_what_an_earlier_version_kept_is_read(store: redis.Redis, store_url: str) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        for place, position in ((b"7", 6 << 20), (b"7:2", 6 << 20 | 2)):
            store.set(KEY, place + b" " + event_of(MADE))
            kept = committer.kept(MADE.id)
            assert kept is not None
            assert kept.receipt is not None
            assert (kept.record, kept.receipt.position) == (MADE, position)
            done = committer.commit(MADE, UPDATE)
            assert done == Committed(event_of(MADE), kept.receipt, True)
    assert not store.exists("log")


def test_a_strategy_may_move_to_another_log(store: redis.Redis, store_url: str) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        committer.commit(MADE, UPDATE)
    with Committer(store_url, KEYS, Log("other", 4, 16)) as committer:
        kept = committer.kept(MADE.id)
        assert kept is not None
        assert kept.record == MADE
    assert whole(store, KEY) == b"1:0 " + event_of(MADE)


@pytest.mark.parametrize(
    "value",
    [b"#", b"#1:0 7-0", b"#1 7-0 log", b"#1:x 7-0 log", b"#1:0 7 log", b"#1:0 7-0 \xff"],
    ids=["empty", "stream", "line", "number", "entry", "name"],
)
def test_a_place_must_be_one(value: bytes, store: redis.Redis, store_url: str) -> None:
    store.set(KEY, value)
    with (
        Committer(store_url, KEYS, LOG) as committer,
        pytest.raises(StateError, match=r"decision:.* is nothing that was kept here"),
    ):
        committer.kept(MADE.id)
    store.set(KEY, b"#1:5 7-0 log")
    store.xadd("log", {"events": b"{}\n"}, id="7-0")
    with Committer(store_url, KEYS, LOG) as committer:
        assert committer.kept(MADE.id) is None
