"""A topic as the loop's log: what a service decides and hears is in it once, whatever is killed."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from rich.console import Console

from nextbest.features import SettingsError
from nextbest.features.receipts import Receipt
from nextbest.flows.commands.inputs import Job
from nextbest.flows.commands.job import run_job
from nextbest.flows.commands.serve import Service, run_service
from nextbest.flows.decision.ids import new_id
from nextbest.flows.partitions import LINE_BITS
from nextbest.flows.settings import Settings
from nextbest.flows.sources import KafkaSource
from tests.flows.kafka_peer import QUICK, Proxy, consume_all, make_topic, tansu_broker
from tests.flows.service.loop_cases import TEXT, decide, deciding, outcome, problem, until
from tests.flows.service.world import REFERENCE

TOPIC = "loop"


def now() -> int:
    return time.time_ns() // 1000


def learned(brokers: str, store: str, home: Path, text: str) -> str:
    """What a run says that reads the topic to its end."""
    settings = Settings(data_dir=home, redis_url=store, kafka_config=QUICK, epoch_seconds=0.1)
    job = Job(topic=TOPIC, kafka=brokers, drain=True, catalog=REFERENCE, strategy=text)
    console = Console(file=io.StringIO(), width=200)
    run_job(job, settings, console)
    said: Any = console.file
    return " ".join(said.getvalue().split())


def counted(client: httpx.Client, url: str, customer: str) -> bool:
    """Whether a decision that falls back counts for the customer's caps."""
    assert decide(client, customer)["fallback"]
    with redis.Redis.from_url(url) as store:
        return bool(store.exists(f"nextbest:shop:spring:contacts:{customer}"))


def test_the_loop_runs_over_a_topic_and_a_kill_between_store_and_topic_loses_nothing(
    store_url: str, tmp_path: Path
) -> None:
    proxy = Proxy()
    with tansu_broker(proxy.port) as port:
        proxy.open(port)
        brokers = f"127.0.0.1:{proxy.port}"
        make_topic(brokers, TOPIC, 2)
        given = ["--kafka", brokers, "--topic", TOPIC]
        env = {"NEXTBEST_DECIDE_SECONDS": "2", "NEXTBEST_KAFKA_CONFIG": json.dumps(QUICK)}
        with (
            deciding(store_url, tmp_path / "one", *given, **env) as service,
            httpx.Client(base_url=service.url, timeout=30) as client,
        ):
            view = {"event_id": "v", "event_timestamp": now(), "customer_id": "ann", "type": "view"}
            (receipt,) = client.post("/v1/events", json=view).json()["receipts"]
            place = Receipt.parse(receipt)
            made = decide(client, "ann", n=2)
            decided = Receipt.parse(made["receipt"])
            assert (decided.partition, decided.position) == (
                place.partition, place.position + (1 << LINE_BITS),
            )  # fmt: skip
            sent = outcome("o-1", made, "ann", "buy", value=20.0)
            first = client.post("/v1/outcomes", json=sent).json()["outcomes"]
            again = client.post("/v1/outcomes", json=sent).json()["outcomes"]
            assert again == [{**first[0], "repeated": True}]

            proxy.cut()
            lost = new_id(now(), "bob")
            answered = decide(client, "bob", channel="mail", decision_id=lost)
            assert answered["fallback"]
            assert answered["receipt"] is None
            # Once it is known that no broker answers, no offer is counted that is not made.
            names = (f"dan-{number}" for number in itertools.count())
            until(lambda: not counted(client, store_url, next(names)))
            refused = client.post("/v1/outcomes", json={**sent, "outcome_id": "n"})
            away = problem(refused, 503, "store-away")
            assert away["detail"] == "the event log does not answer; try again soon"
            service.stop(signal.SIGKILL)
        proxy.open(port)
        with (
            redis.Redis.from_url(store_url) as store,
            deciding(store_url, tmp_path / "two", *given, **env) as service,
            httpx.Client(base_url=service.url, timeout=30) as client,
        ):
            assert store.get(f"nextbest:shop:spring:decision:{lost}").startswith(b"- ")  # type: ignore[union-attr]
            outbound = "nextbest:shop:spring:outbound:mail"
            assert not store.exists(outbound)
            found = decide(client, "bob", channel="mail", decision_id=lost)
            assert (found["decision_id"], found["repeated"]) == (lost, True)
            assert Receipt.parse(found["receipt"]).is_of("bob")
            assert store.xlen(outbound) == 1
            sent = outcome("o-2", found, "bob", "accept")
            assert client.post("/v1/outcomes", json=sent).status_code == 202
            # An outcome of a decision that may not be in the topic: that is appended before it.
            late = decide(client, "cat")
            key = f"nextbest:shop:spring:decision:{late['decision_id']}"
            kept = store.get(key)
            assert isinstance(kept, bytes)
            store.set(key, b"- " + kept.partition(b" ")[2])
            sent = outcome("o-3", late, "cat", "accept")
            (taken,) = client.post("/v1/outcomes", json=sent).json()["outcomes"]
            assert int(Receipt.parse(taken["receipt"]).position) >= 2 << LINE_BITS
        lines = [json.loads(line or b"") for line in consume_all(brokers, TOPIC)]
        names = sorted(line["event_id"] for line in lines)
        assert names == sorted(
            ["v", made["decision_id"], "o-1", lost, "o-2", *[late["decision_id"]] * 2, "o-3"]
        )
        _check_times(brokers)
        said = learned(brokers, store_url, tmp_path / "run", TEXT)
        assert "3 decisions, 3 responses" in said, said
        assert "0 dead letters" in said
        proxy.cut()


def _check_times(brokers: str) -> None:
    """The messages' own times are those at which they were sent."""
    source = KafkaSource(brokers, TOPIC, drain=True, config=QUICK)
    times = []
    for number in range(2):
        part = source.build_part("s", str(number), None)
        with contextlib.suppress(StopIteration):
            while True:
                for chunk in part.next_batch():
                    assert chunk.entries is not None
                    assert chunk.entries.times is not None
                    times += chunk.entries.times.tolist()
        part.close()
    assert len(times) == 8
    assert all(now() - 120_000_000 < at <= now() for at in times)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"stream": "clicks"}, "not both --stream and --topic"),
        ({"partitions": 2}, "a topic has its own"),
        ({}, "--topic needs --kafka BROKERS"),
    ],
    ids=["two logs", "partitions", "no brokers"],
)
def test_a_topic_that_cannot_be_the_log_is_refused(
    more: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    asked = Service(
        settings=Settings(data_dir=tmp_path), catalog=None, host="127.0.0.1", port=0,
        **{"topic": TOPIC, **more},
    )  # fmt: skip
    with pytest.raises(SettingsError, match=reason):
        run_service(asked)
