"""A service and a run of two processes, as those who operate them see them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import redis

from nextbest.features.receipts import Receipt
from nextbest.flows.decision.record import Response, outcome_event
from nextbest.flows.telemetry import names as n
from nextbest.flows.telemetry.tracing import decision_ids
from nextbest.flows.telemetry.whereabouts import addresses
from tests.flows.service.loop_cases import TEXT, deciding, outcome, until
from tests.flows.service.world import REFERENCE, Service
from tests.flows.telemetry.otlp import Collector, attributes, collecting
from tests.flows.telemetry.scraping import Scrape, free_ports

CREW = f"{TEXT}fleet: {{challengers: {{nimble: {{forgetting: [0.01]}}}}, share: 0.5}}\n"
LOG = ("--stream", "clicks", "--partitions", "2")
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
DELIVERER = f"00-{'3' * 32}-{CALLER}-01"
SAMPLED = {"traceparent": f"00-{TRACE}-{CALLER}-01"}


class World(NamedTuple):
    """A service and a run, the first of the ports of their metrics, and where their traces go."""

    service: Service
    store: str
    port: int
    collector: Collector
    logs: Path

    def run(self, number: int) -> Scrape:
        return Scrape(self.port + number)

    def serve(self) -> Scrape:
        return Scrape(self.port + 2)


@contextlib.contextmanager
def running(home: Path, url: str, port: int, env: dict[str, str]) -> Iterator[None]:
    (home / "strategy.yaml").write_text(CREW)
    command = [
        *(sys.executable, "-m", "nextbest.flows.cli", "run", *LOG, "--catalog", REFERENCE),
        *("--strategy", str(home / "strategy.yaml"), "--processes", "2"),
        *("--metrics-port", str(port), "--data-dir", str(home), "--redis-url", url),
    ]
    with (
        open(home / "run.err", "w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=errors, env={**os.environ, **env}
        ) as worker,
    ):
        try:
            yield
            assert worker.poll() is None, (home / "run.err").read_text()
        finally:
            worker.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def world(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("telemetry")
    with redis.Redis.from_url(embedded_store) as client:
        client.flushall()
    (home / "run").mkdir()
    with free_ports(3) as port, collecting() as collector:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100",
            "NEXTBEST_LOG_FORMAT": "json", "NEXTBEST_EPOCH_SECONDS": "0.2",
        }  # fmt: skip
        more = (*LOG, "--metrics-port", str(port + 2))
        with (
            running(home / "run", embedded_store, port, env),
            deciding(embedded_store, home / "serve", *more, text=CREW, **env) as service,
        ):
            yield World(service, embedded_store, port, collector, home)


def applied(world: World) -> float:
    """How many events the run has applied; 0 while it begins."""
    try:
        return sum(world.run(i)(n.EVENTS_APPLIED) for i in (0, 1))
    except OSError:
        return 0.0


@pytest.fixture(scope="module")
def told(world: World) -> dict[str, Any]:
    """What an app does: publishes, looks up, decides, and tells what came of it."""
    now = time.time_ns() // 1000
    names = ("ann", "ben", "cy", "dee")
    events = [
        {"event_id": f"e{i}", "event_timestamp": now + i, "customer_id": name, "type": "purchase",
         "properties": {"value": 9.0, "category": "tea"}}
        for i, name in enumerate([*names, "ann"])
    ]  # fmt: skip
    with redis.Redis.from_url(world.store) as store:
        store.xadd("clicks:0", {"events": b'{"event_id":1}\n{'})
    with httpx.Client(base_url=world.service.url, timeout=60) as client:
        found = client.post("/v1/events", json=events, headers=SAMPLED)
        receipts = found.json()["receipts"]
        until(lambda: applied(world) == len(events), 240)  # two processes begin
        for name, receipt in zip(names, receipts, strict=False):
            looked = client.get(
                f"/v1/features/{name}", params={"after": receipt, "wait_seconds": 20}
            )
            assert looked.json()["stale"] is False, looked.text
        client.post("/v1/events", json=[events[0]])
        asked = {"customer": "ann", "channel": "web", "n": 2}
        made = client.post("/v1/decide", json=asked, headers=SAMPLED).json()
        many = {"channel": "shut", "customers": list(names)}
        client.post("/v1/decide/batch", json=many, headers=SAMPLED)
        other = {"traceparent": f"00-{'2' * 32}-{CALLER}-01"}
        said = outcome("o1", made, "ann", "accept")
        assert client.post("/v1/outcomes", json=said, headers=other).status_code == 202
        own = Response(decision_id=made["decision_id"], response="deliver")
        with redis.Redis.from_url(world.store) as store:  # as a program that delivers does
            line = outcome_event("o2", made["at"] + 1, "ann", "web", own)
            place = f"clicks:{Receipt.parse(made['receipt']).partition}"
            store.xadd(place, {"events": line, "traceparent": DELIVERER})
        assert client.post("/v1/events", json=[{"event_id": 7}]).status_code == 422
        assert client.get("/admin/secret?x=1").status_code == 404
        assert client.request("PURGE", "/v1/decide").status_code == 405
    return made  # type: ignore[no-any-return]  # JSON


def test_a_run_of_two_processes_shows_what_became_of_the_log(
    world: World, told: dict[str, Any]
) -> None:
    def both(metric: n.Metric, suffix: str = "", **labels: str) -> float:
        shown = (world.run(0), world.run(1))
        return sum(s(metric, suffix, **labels) for s in shown)

    until(lambda: both(n.OUTCOMES_LOGGED) == 2 and both(n.EXAMPLES) and both(n.EVENTS_DUPLICATE))
    until(lambda: both(n.SNAPSHOT, "_count") > 2)
    assert addresses(world.logs / "run") == [f"127.0.0.1:{world.port + i}" for i in range(2)]
    assert addresses(world.logs / "serve") == [f"127.0.0.1:{world.port + 2}"]
    first, second = world.run(0), world.run(1)
    names = first.check_names("run") | second.check_names("run")
    unseen = {metric.name for metric in n.ALL if metric.where in ("run", "both")} - names
    assert unseen == {  # no audit was made, no trigger declared
        metric.name
        for metric in (n.AUDIT_VALUES, n.AUDIT_DIFFERING, n.AUDIT_TIME, n.TRIGGERS, n.OUTBOUND)
    }
    for number, shown in enumerate((first, second)):
        assert shown(n.BUILD_INFO, worker=str(number), role="run", catalog="shop") == 1
        assert {dict(has)["partition"] for name, has in shown.series if name == n.LAG_RECORDS.name
                } == {str(number)}  # fmt: skip
        assert shown(n.LAG_SECONDS) == shown(n.LAG_RECORDS) == 0
        assert shown(n.OUTAGE_ACTIVE) == 0
    assert both(n.EVENTS_APPLIED) == 5
    assert both(n.EVENTS_DUPLICATE) == 1
    assert first(n.DEAD_LETTERS, reason="json", partition="0") == 1
    assert both(n.DEAD_LETTERS) == 2
    assert both(n.LOG_READ_RECORDS) == 5 + 1 + 2 + 1 + 4 + 1 + 1
    assert both(n.ROWS_RESIDENT, entity="customer") == 4
    assert both(n.PROCESSING, "_count") == both(n.ROWS_WRITTEN)
    # Of what another worker has read nobody here knows when the log took it in.
    assert 4 <= both(n.FRESHNESS, "_count") <= both(n.ROWS_WRITTEN)
    assert both(n.FRESHNESS, "_sum") > 0.0 < both(n.PROCESSING, "_sum")
    assert both(n.DECISIONS_LOGGED, policy="exploit") == 1
    assert both(n.DECISIONS_LOGGED, policy="none") == 4
    assert (both(n.OUTCOMES_LOGGED), both(n.EXAMPLES)) == (2, 1)
    assert both(n.REWARD) == both(n.REWARD, policy="exploit") == 1.0
    assert both(n.REWARDED) == both(n.REWARDED, policy="exploit") == 1
    # The fleet begins with the first outcome.
    assert (both(n.FLEET_CHANGES, what="add"), both(n.FLEET_MEMBERS, role="challenger")) == (1, 1)
    assert both(n.FLEET_PAIRS, member="nimble") == both(n.FLEET_GAIN, bound="mean") == 0
    learned = [s for s in (first, second) if s(n.MODEL_VERSION)]
    assert [s(n.MODEL_VERSION, objective="accept") for s in learned] == [1]


def test_a_service_shows_what_it_answered(world: World, told: dict[str, Any]) -> None:
    until(lambda: world.serve()(n.MODEL_VERSION, objective="accept") == 1)
    shown = world.serve()
    names = shown.check_names("serve")
    unseen = {metric.name for metric in n.ALL if metric.where in ("serve", "both")} - names
    assert unseen == {m.name for m in (n.AUDIT_VALUES, n.AUDIT_DIFFERING, n.AUDIT_TIME)}
    count = n.HTTP_SECONDS, "_count"
    assert shown(*count, route="/v1/features/{id}", status="200", method="GET") == 4
    assert shown(*count, route="/v1/events", status="202") == 2
    assert shown(*count, route="/v1/events", status="422") == 1
    assert shown(*count, route="other", status="404") == 1
    assert shown(*count, method="other", status="405") == 1
    assert shown(n.EVENTS_PUBLISHED) == 6
    assert shown(n.EVENTS_REFUSED) == 1
    assert (shown(n.LOOKUP_ROWS), shown(n.RECEIPTS, result="shown")) == (4, 4)
    assert shown(n.DECISIONS, channel="web", policy="exploit") == 1
    assert shown(n.DECISIONS, channel="shut", policy="none") == 4
    assert shown(n.OFFERS) == len(told["offers"])
    assert shown(n.EXCLUSIONS, rule="closed") > 0
    assert shown(n.EXCLUSIONS, rule="other") == 0
    assert shown(n.STRATEGY_INFO, strategy="spring") == 1
    values = " ".join(value for _, has in shown.series for _, value in has)
    assert not re.search(r"\b(ann|ben|cy|dee|secret)\b", values)


def test_an_event_is_followed_from_the_request_to_its_row(
    world: World, told: dict[str, Any]
) -> None:
    until(lambda: world.collector.named("event to row"))
    spans = world.collector.of_trace(TRACE)
    (request,) = [s for _, s in spans if s.name == "POST /v1/events"]
    assert request.parent_span_id.hex() == CALLER
    stored = [(service, s) for service, s in spans if s.name == "event to row"]
    assert {s.parent_span_id for _, s in stored} == {request.span_id}
    assert {service for service, _ in stored} == {"nextbest-run"}
    for _, span in stored:
        assert request.start_time_unix_nano < span.start_time_unix_nano < span.end_time_unix_nano


def test_an_outcome_links_to_its_decision(world: World, told: dict[str, Any]) -> None:
    trace, span = decision_ids(told["decision_id"])
    until(lambda: world.collector.named("POST /v1/outcomes"))
    decisions = world.collector.named("decision")
    (decision,) = [s for s in decisions if attributes(s)["nextbest.channel"] == "web"]
    assert (int(decision.trace_id.hex(), 16), int(decision.span_id.hex(), 16)) == (trace, span)
    (request,) = [s for _, s in world.collector.of_trace(TRACE) if s.name == "POST /v1/decide"]
    assert [link.span_id for link in decision.links] == [request.span_id]
    assert attributes(request)["nextbest.decision.id"] == told["decision_id"]
    (answer,) = world.collector.named("POST /v1/outcomes")
    assert [(link.trace_id, link.span_id) for link in answer.links] == [
        (decision.trace_id, decision.span_id)
    ]
    until(lambda: world.collector.named("outcome from the log"))
    (heard,) = world.collector.of_trace("3" * 32)
    assert heard[0] == "nextbest-run"
    assert heard[1].parent_span_id.hex() == CALLER
    assert [link.span_id for link in heard[1].links] == [decision.span_id]
    assert attributes(heard[1]) | {"messaging.destination.partition.id": ""} == {
        "messaging.destination.partition.id": "",
        "nextbest.decision.id": told["decision_id"],
        "nextbest.response": "deliver",
    }


def test_logs_are_json_and_name_no_customer(world: World, told: dict[str, Any]) -> None:
    lines = (world.logs / "serve.err").read_text().splitlines()
    lines += (world.logs / "run" / "run.err").read_text().splitlines()
    for line in lines:
        assert {"time", "level", "logger", "message"} <= set(json.loads(line))
        assert not re.search(r"\bann\b", line)


def test_a_batch_is_a_span_to_which_its_decisions_link(world: World, told: dict[str, Any]) -> None:
    until(lambda: world.collector.named("decide batch"))
    (batch,) = world.collector.named("decide batch")
    (request,) = world.collector.named("POST /v1/decide/batch")
    assert batch.parent_span_id == request.span_id
    assert attributes(batch) == {
        "nextbest.channel": "shut", "nextbest.batch.size": 4, "nextbest.batch.commit": True,
        "nextbest.batch.decided": 4,
    }  # fmt: skip
    links = [link.span_id for s in world.collector.named("decision") for link in s.links]
    assert links.count(batch.span_id) == 4
    shown = " ".join(str(span) for _, span in world.collector.spans)
    assert not re.search(r"\b(ann|ben|cy|dee)\b", shown)
