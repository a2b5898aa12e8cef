"""A decision is committed at once or not at all, and once."""

from __future__ import annotations

import msgspec
import pytest
import redis

from nextbest.features.errors import EventError, SettingsError, StateError, StoreError
from nextbest.features.receipts import Receipt
from nextbest.flows.decision.commit import Committed, Committer, Conflict, Log
from nextbest.flows.decision.contacts import CapRules, Update
from nextbest.flows.decision.record import event_of, record_of
from nextbest.flows.publisher import Publisher
from tests.flows.decision.cap_cases import DAY, HOUR, KEYS, NOW, decide, record, strategy

LOG = Log("log", 4, 16)
RULES = CapRules.compile(strategy())


def lines(store: redis.Redis, stream: str) -> list[bytes]:
    return [fields[b"events"] for _, fields in store.xrange(stream)]


def partition_of(receipt: Receipt) -> str:
    return f"log:{receipt.partition}"


def test_a_decision_is_in_the_log_in_the_contacts_and_under_its_id(
    store: redis.Redis, store_url: str
) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        made = record("ann", NOW, 1, ["green"], b"")
        update = RULES.offered(b"", ["green"], "web", NOW)
        done = committer.commit(made, update, outbound=b"go")
        assert isinstance(done, Committed)
        assert not done.repeated
        assert record_of(done.event) == made
        assert lines(store, partition_of(done.receipt)) == [event_of(made) + b"\n"]
        assert store.get(KEYS.contacts("ann")) == update.contacts == committer.contacts("ann")
        kept = committer.kept(made.id)
        assert kept is not None
        assert (kept.record, kept.receipt) == (made, done.receipt)
        assert store.xrange(KEYS.outbound("web"))[0][1] == {b"decision": b"go"}


def test_the_receipt_is_as_a_publishers(store_url: str) -> None:
    with (
        Committer(store_url, KEYS, LOG) as committer,
        Publisher(store_url, "log", partitions=4, shards=16) as publisher,
    ):
        (before,) = publisher.publish([b"{}"], ["ann"])
        done, _ = decide(committer, RULES, "ann", NOW, 1)
        (after,) = publisher.publish([b"{}"], ["ann"])
    step = after.position - done.receipt.position
    assert step == done.receipt.position - before.position == 1 << 20
    assert done.receipt._replace(position=0) == before._replace(position=0)


def test_the_same_id_again_returns_what_was_decided_first(
    store: redis.Redis, store_url: str
) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        first, _ = decide(committer, RULES, "ann", NOW, 1)
        contacts = committer.contacts("ann")
        other = record("ann", NOW, 1, ["cake"], b"anything")
        again = committer.commit(other, Update(b"something", 1000), outbound=b"go")
        assert again == first._replace(repeated=True)
        assert committer.contacts("ann") == contacts
    assert len(lines(store, partition_of(first.receipt))) == 1
    assert not store.exists(KEYS.outbound("web"))


def test_a_conflict_tells_the_present_contacts_and_changes_nothing(
    store: redis.Redis, store_url: str
) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        first, _ = decide(committer, RULES, "ann", NOW, 1)
        present = committer.contacts("ann")
        before = {key: store.dump(key) for key in store.scan_iter()}
        stale = record("ann", NOW + 1, 2, ["black"], b"")
        update = RULES.offered(b"", ["black"], "web", NOW + 1)
        assert committer.commit(stale, update, outbound=b"go") == Conflict(present)
        assert {key: store.dump(key) for key in store.scan_iter()} == before
        fresh = record("ann", NOW + 1, 2, ["black"], present)
        done = committer.commit(fresh, RULES.offered(present, ["black"], "web", NOW + 1))
        assert isinstance(done, Committed)
        assert RULES.check(committer.contacts("ann"), "web", NOW + 2).room == 1
    assert len(lines(store, partition_of(first.receipt))) == 2


def test_keys_end_when_they_cannot_matter(store: redis.Redis, store_url: str) -> None:
    with Committer(store_url, KEYS, LOG, record_seconds=100) as committer:
        done, _ = decide(committer, RULES, "ann", NOW, 1)
        assert 99_000 < store.pttl(KEYS.decision(record_of(done.event).id)) <= 100_000
        week = (7 * DAY + HOUR) // 1000
        assert week - 1000 < store.pttl(KEYS.contacts("ann")) <= week
        held = committer.contacts("ann")
        empty = record("ann", NOW + 30 * DAY, 2, [], held)
        committer.commit(empty, RULES.offered(held, [], "web", NOW + 30 * DAY))
        assert not store.exists(KEYS.contacts("ann"))


def test_a_store_that_forgot_its_scripts_is_told_them_again(
    store: redis.Redis, store_url: str
) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        decide(committer, RULES, "ann", NOW, 1)
        store.script_flush()
        decide(committer, RULES, "ann", NOW + 1, 2)
        calls = store.info("commandstats")["cmdstat_eval"]["calls"]
        decide(committer, RULES, "ann", NOW + 2, 3)
        assert store.info("commandstats")["cmdstat_eval"]["calls"] == calls


@pytest.mark.parametrize("wrong", ["contacts", "decision", "log", "outbound"])
def test_what_the_store_refuses_leaves_nothing(
    wrong: str, store: redis.Redis, store_url: str
) -> None:
    made = record("ann", NOW, 1, ["green"], b"")
    update = RULES.offered(b"", ["green"], "web", NOW)
    with Committer(store_url, KEYS, LOG) as committer:
        done = committer.commit(made, update)
        assert isinstance(done, Committed)
        stream = partition_of(done.receipt)
        store.flushall()
        name = {
            "contacts": KEYS.contacts("ann"),
            "decision": KEYS.decision(made.id),
            "log": stream,
            "outbound": KEYS.outbound("web"),
        }[wrong]
        store.lpush(name, "not ours")
        with pytest.raises(StoreError, match=r"WRONGTYPE|wrong kind"):
            committer.commit(made, update, outbound=b"go")
    assert {key.decode() for key in store.scan_iter() if store.type(key) != b"stream"} == {name}
    assert wrong == "log" or store.xlen(stream) == 0


def test_what_is_kept_must_be_ours(store: redis.Redis, store_url: str) -> None:
    with Committer(store_url, KEYS, LOG) as committer:
        store.set(KEYS.decision("d"), b"nonsense")
        with pytest.raises(StateError, match="decision:d is nothing that was kept here"):
            committer.kept("d")
        assert committer.kept("other") is None


@pytest.mark.parametrize(
    ("change", "match"),
    [({"id": ""}, "event_id"), ({"customer": "x" * 300}, "customer_id")],
    ids=["id", "customer"],
)
def test_ids_are_checked(change: dict[str, str], match: str, store_url: str) -> None:
    made = msgspec.structs.replace(record("ann", NOW, 1, [], b""), **change)
    with Committer(store_url, KEYS, LOG) as committer, pytest.raises(EventError, match=match):
        committer.commit(made, Update(b"", 0))


@pytest.mark.parametrize(
    "settings", [{"record_seconds": 0.0}, {"outbound_length": 0}], ids=["seconds", "length"]
)
def test_settings_are_checked(settings: dict[str, float], store_url: str) -> None:
    with pytest.raises(SettingsError, match=next(iter(settings))):
        Committer(store_url, KEYS, LOG, **settings)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="decode_responses"):
        Committer(redis.Redis.from_url(store_url, decode_responses=True), KEYS, LOG)


def test_the_outbound_stream_is_bounded(store: redis.Redis, store_url: str) -> None:
    with Committer(store_url, KEYS, LOG, outbound_length=10) as committer:
        for number in range(300):
            made = record(f"c{number}", NOW, number, [], b"")
            committer.commit(made, Update(b"", 0), outbound=b"go")
    assert 10 <= store.xlen(KEYS.outbound("web")) < 210
