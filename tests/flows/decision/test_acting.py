"""Deciding by itself where the log is not in the store."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
import redis

from nextbest.features.errors import StoreError
from nextbest.flows.decision.acting import Actor
from nextbest.flows.decision.committing import Log
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.record import record_of
from nextbest.flows.decision.triggering import Marked, Occasions
from nextbest.flows.publisher import KafkaPublisher
from tests.flows.decision.test_commit_outside import Failing
from tests.flows.decision.trigger_cases import KEYS, TEXT, catalog, now, visit
from tests.flows.kafka_peer import consume, mock_broker
from tests.laws.driver import Kernels


def test_what_was_decided_before_a_crash_is_logged_and_sent_after_it(store: redis.Redis) -> None:
    at = now()
    kernels = Kernels(catalog)
    kernels.apply(visit("ann", at)[:3])
    marked = Marked(np.zeros(1, np.int64), np.array([at]), ["e-1"], ["ann"])
    there = Occasions(marked, kernels.state.read(["ann"], at), np.ones(1, np.bool_))
    told: list[object] = []
    with mock_broker() as brokers:
        log = Failing(KafkaPublisher(brokers, "letters"), after=False)
        loaded = load(TEXT, catalog)
        first = Actor(loaded, catalog, store, log, tell=told.append)
        with closing(first), pytest.raises(StoreError, match="no broker"):
            first.act([there])
        assert store.xlen(KEYS.outbound("push")) == 0
        log.broken = False
        # The cap of its action is reached by now, by the decision itself.
        for _ in range(2):
            with closing(Actor(loaded, catalog, store, log, tell=told.append)) as again:
                again.act([there])
        (key,) = store.keys(KEYS.decision("*"))
        kept = store.get(key)
        assert kept is not None
        record = record_of(kept.partition(b" ")[2])
        partition = int(kept.partition(b" ")[0].decode().removeprefix("@").split("-")[0])
        ((_, line),) = consume(brokers, "letters", partition, 1)
    assert record_of(line) == record
    assert (record.customer, record.cause, record.channel) == ("ann", "e-1", "push")
    assert store.xlen(KEYS.outbound("push")) == 1
    assert told == [{"triggered": 1, "repeated": 1}] * 2


def test_who_is_forgotten_looks_for_models_no_more(store: redis.Redis) -> None:
    actor = Actor(load(TEXT, catalog), catalog, store, Log("log", None, 4))
    followed = actor.followed
    followed.start()
    thread = followed._thread
    assert thread is not None
    assert thread.is_alive()
    del actor
    thread.join(10)
    assert not thread.is_alive()
