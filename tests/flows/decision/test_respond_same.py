"""Of two outcomes of one id the first counts; the second is told whether it said the same."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
import redis

from nextbest.features.errors import StateError
from nextbest.flows.decision.commit import AsyncCommitter, Committer, Log, Responded
from nextbest.flows.decision.contacts import CapRules
from nextbest.flows.decision.record import Response, record_of
from tests.flows.decision.cap_cases import KEYS, NOW, decide, strategy

RULES = CapRules.compile(strategy())


@pytest.mark.parametrize("retention", [0.0, 10.0], ids=["place", "line"])
def test_another_of_its_id_is_known_by_what_it_says(
    store: redis.Redis, store_url: str, retention: float
) -> None:
    with Committer(store_url, KEYS, Log("log", None, 16, retention)) as committer:
        record = record_of(decide(committer, RULES, "ann", NOW, 1)[0].event)
        first = Response(decision_id=record.id, response="accept", action="green", value=2.5)
        done = committer.respond("o-1", NOW + 1, first, RULES, record)
        assert (done.repeated, done.same) == (False, True)
        again = committer.respond("o-1", NOW + 9, first, RULES, record)
        assert again == done._replace(repeated=True)
        contacts = committer.contacts("ann")
        for other in (
            Response(decision_id=record.id, response="refuse", action="green", value=2.5),
            Response(decision_id=record.id, response="accept", action="green", value=2.0),
            Response(decision_id=record.id, response="accept", action="green"),
        ):
            second = committer.respond("o-1", NOW + 1, other, RULES, record)
            assert second == done._replace(repeated=True, same=False)
        assert committer.taken("ann", "o-1") == first
        assert committer.contacts("ann") == contacts
        assert store.xlen("log") == 2


def test_nobody_knows_what_one_said_that_the_log_has_lost(
    store: redis.Redis, store_url: str
) -> None:
    with Committer(store_url, KEYS, Log("log", None, 16)) as committer:
        record = record_of(decide(committer, RULES, "ann", NOW, 1)[0].event)
        said = Response(decision_id=record.id, response="accept", action="green")
        other = Response(decision_id=record.id, response="open", action="green")
        done = committer.respond("o-1", NOW + 1, said, RULES, record)
        store.xtrim("log", 0)
        assert committer.respond("o-1", NOW + 1, other, RULES, record) == done._replace(
            repeated=True
        )
        store.set(KEYS.outcome("ann", "o-1"), b"7:0 {}")
        with pytest.raises(StateError, match="no outcome"):
            committer.respond("o-1", NOW + 1, other, RULES, record)


def test_of_those_that_come_at_once_one_counts(store: redis.Redis, store_url: str) -> None:
    with Committer(store_url, KEYS, Log("log", None, 16)) as committer:
        record = record_of(decide(committer, RULES, "ann", NOW, 1)[0].event)

    async def run() -> None:
        async with AsyncCommitter(store_url, KEYS, Log("log", None, 16)) as committer:

            def respond(said: str) -> Coroutine[Any, Any, Responded]:
                own = Response(decision_id=record.id, response=said)
                return committer.respond("o-1", NOW + 1, own, RULES, record)

            found = await asyncio.gather(*map(respond, ("accept", "open", "accept")))
        assert [(one.repeated, one.same) for one in found] == [
            (False, True), (True, False), (True, True),
        ]  # fmt: skip
        assert len({one.receipt for one in found}) == 1

    asyncio.run(run())
    assert store.xlen("log") == 2
