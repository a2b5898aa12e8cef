"""What is at hand of a customer's decisions is the same however often it was written."""

from __future__ import annotations

from typing import Any

import numpy as np
import redis

from nextbest.flows.decision import recent
from nextbest.flows.decision.commit import Committer, Log
from nextbest.flows.decision.ids import new_id
from nextbest.flows.decision.keys import Keys
from nextbest.flows.decision.record import Offer, Record, Response
from nextbest.flows.loop_flow import _recent
from nextbest.flows.loop_steps import Credits, LoopEvents
from tests.flows.loop_archive_cases import decided, event_of, told

KEYS = Keys("shop", "spring")
AT = 1_767_225_600_000_000


def record(i: int, customer: str) -> Record:
    at = AT + i * 1_000_000
    offers = [Offer(action="tea", score=1.0, propensity=1.0, draw=0.5)]
    name = new_id(at, customer)
    return Record(id=name, customer=customer, at=at, channel="web", strategy="5e", offers=offers)


def items(records: list[Record]) -> list[Any]:
    """What attribution emits of them, in the order of the log."""
    found: list[Any] = []
    for i, one in enumerate(records):
        found.append(LoopEvents([decided(one, i)]))
        if i % 3 == 0:
            own = Response(decision_id=one.id, response="accept")
            found.append(LoopEvents([event_of(own, one.at + 5, one.customer, f"o-{i}", i)]))
        found.append(Credits([told(one, 0.0, after=60, silence=True)]))
        if i % 3 == 0:
            found.append(Credits([told(one, 1.0, after=5, revision=1)]))
    return found


def write(store: redis.Redis, given: list[Any]) -> None:
    """Send what the dataflow would, as a row sink does."""
    connection: Any = store.connection_pool.get_connection()
    for item in given:
        for _, flush in _recent(KEYS, ("s0", item)):
            connection.send_packed_command([flush.payload])
            for _ in range(flush.replies):
                connection.read_response()
    store.connection_pool.release(connection)


def kept(store: redis.Redis) -> dict[bytes, Any]:
    found: Any = sorted(store.scan_iter(KEYS.prefix + "*"))
    return {key: store.zrange(key, 0, -1, withscores=True) for key in found}


def test_writing_again_changes_nothing_and_the_newest_stay(store_url: str) -> None:
    given = items([record(i, ("ann", "bo")[i % 5 == 0]) for i in range(120)])
    given.append(LoopEvents([decided(Record(id="d-1", customer="ann", at=AT, channel="web",
                                            strategy="5e"))]))  # fmt: skip
    rng = np.random.default_rng(3)
    with redis.Redis.from_url(store_url) as store:
        write(store, given)
        once = kept(store)
        store.flushall()
        place = 0
        while place < len(given):  # a worker dies, and goes on from its last snapshot
            end = place + int(rng.integers(1, 60))
            write(store, given[max(0, place - int(rng.integers(0, 40))) : end])
            place = end
        assert kept(store) == once
        assert set(once) == {KEYS.recent(name).encode() for name in ("ann", "bo")}
        of_ann = once[KEYS.recent("ann").encode()]
        assert len(of_ann) == recent.MOST
        assert 0 < store.ttl(KEYS.recent("ann")) <= recent.KEPT_SECONDS
        newest = [m for m in recent.members(m for m, _ in reversed(of_ann))
                  if isinstance(m, recent.Decided)]  # fmt: skip
        assert newest[0].at == AT + 119 * 1_000_000

        log = Log("log", None, 16)
        with Committer(store_url, KEYS, log, record_seconds=60.0) as committer:
            assert committer.keys_of("ann") == [KEYS.recent("ann").encode()]  # erasing finds it


def test_what_cannot_be_read_is_left_out() -> None:
    assert recent.members([b"junk", b"[]", b'["x",1]']) == []
