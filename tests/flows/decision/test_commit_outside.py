"""A log outside the store: the contact counts first, then the line is appended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
import redis

from nextbest.features.errors import StateError, StoreError
from nextbest.features.receipts import Receipt
from nextbest.flows.decision.commit import AsyncCommitter, Committed, Committer, InThread, Log
from nextbest.flows.decision.contacts import CapRules
from nextbest.flows.decision.record import Response, event_of, outcome_event
from nextbest.flows.publisher import KafkaPublisher
from tests.flows.decision.cap_cases import KEYS, NOW, record, strategy
from tests.flows.kafka_peer import consume, mock_broker

RULES = CapRules.compile(strategy())
MADE = record("ann", NOW, 1, ["green"], b"")
UPDATE = RULES.offered(b"", ["green"], "web", NOW)


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    with mock_broker() as found:
        yield found


class Failing:
    """A log that loses its broker before or after it has the line."""

    def __init__(self, log: KafkaPublisher, *, after: bool) -> None:
        self.log, self.after, self.broken = log, after, True

    def publish(self, events: Sequence[bytes], customers: Sequence[str]) -> list[Receipt]:
        if self.broken and not self.after:
            raise StoreError("no broker")
        receipts = self.log.publish(events, customers)
        if self.broken:
            raise StoreError("no broker")
        return receipts


def test_decisions_and_outcomes_in_kafka(brokers: str, store: redis.Redis, store_url: str) -> None:
    log = KafkaPublisher(brokers, "decided")
    refused = Response(decision_id=MADE.id, response="refuse")
    with Committer(store_url, KEYS, log) as committer:
        done = committer.commit(MADE, UPDATE, outbound=b"go")
        assert isinstance(done, Committed)
        assert done.receipt.is_of("ann")
        kept = committer.kept(MADE.id)
        assert kept is not None
        assert (kept.record, kept.receipt) == (MADE, done.receipt)
        assert 86_000 < store.ttl(KEYS.decision(MADE.id)) <= 86_400
        assert committer.commit(MADE, UPDATE, outbound=b"go") == done._replace(repeated=True)
        responded = committer.respond("o-1", NOW + 1, refused, RULES)
        assert committer.respond("o-1", NOW + 1, refused, RULES).repeated
        assert responded.receipt.position == done.receipt.position + (1 << 20)
    lines = [event_of(MADE), outcome_event("o-1", NOW + 1, "ann", "web", refused)]
    found = consume(brokers, "decided", done.receipt.partition, 2)
    assert found == [(b"ann", line) for line in lines]
    assert store.xlen(KEYS.outbound("web")) == 1


def test_a_log_is_in_the_store_or_outside(store: redis.Redis, store_url: str) -> None:
    store.set(KEYS.decision(MADE.id), b"- " + event_of(MADE))
    with (
        Committer(store_url, KEYS, Log("log", None, 16)) as committer,
        pytest.raises(StateError, match="meant for a log outside"),
    ):
        committer.commit(MADE, UPDATE)


@pytest.mark.parametrize("after", [False, True], ids=["not-appended", "appended"])
def test_a_crash_in_between_counts_a_contact_and_is_made_good(
    after: bool, brokers: str, store: redis.Redis, store_url: str
) -> None:
    log = Failing(KafkaPublisher(brokers, f"crashed-{after}"), after=after)
    with Committer(store_url, KEYS, log) as committer:
        with pytest.raises(StoreError, match="no broker"):
            committer.commit(MADE, UPDATE, outbound=b"go")
        assert committer.contacts("ann") == UPDATE.contacts
        kept = committer.kept(MADE.id)
        assert kept is not None
        assert (kept.record, kept.receipt) == (MADE, None)
        assert store.xlen(KEYS.outbound("web")) == 0
        log.broken = False
        # Decided anew after the crash, otherwise: what was decided first is what counts.
        other = record("ann", NOW, 1, ["cake"], UPDATE.contacts)
        changed = RULES.offered(UPDATE.contacts, ["cake"], "web", NOW)
        done = committer.commit(other, changed, outbound=b"go")
        assert isinstance(done, Committed)
        assert (done.event, done.repeated) == (event_of(MADE), True)
        assert committer.contacts("ann") == UPDATE.contacts
        assert store.xlen(KEYS.outbound("web")) == 1
        assert committer.commit(other, changed, outbound=b"go") == done
    lines = consume(brokers, f"crashed-{after}", done.receipt.partition, 1 + after)
    assert lines == [(b"ann", event_of(MADE))] * (1 + after)
    assert store.xlen(KEYS.outbound("web")) == 1


def test_without_blocking(brokers: str, store_url: str) -> None:
    async def run() -> Committed:
        log = InThread(KafkaPublisher(brokers, "decided-async"))
        async with AsyncCommitter(store_url, KEYS, log) as committer:
            done = await committer.commit(MADE, UPDATE)
            assert isinstance(done, Committed)
            kept = await committer.kept(MADE.id)
            assert kept is not None
            assert kept.receipt == done.receipt
            return done

    done = asyncio.run(run())
    lines = consume(brokers, "decided-async", done.receipt.partition, 1)
    assert lines == [(b"ann", event_of(MADE))]
