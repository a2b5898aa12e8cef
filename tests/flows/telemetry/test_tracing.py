"""What is traced, how much of it, and how a trace travels with an event."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from nextbest.features import SettingsError
from nextbest.flows.decision.ids import id_of_cause
from nextbest.flows.decision.record import Record, Response
from nextbest.flows.kafka_async import AsyncKafkaPublisher
from nextbest.flows.sources import KafkaSource
from nextbest.flows.telemetry import tracing
from nextbest.flows.telemetry.context import carried, current_ids
from nextbest.flows.telemetry.serving import STATUS
from nextbest.flows.telemetry.traced_app import TracedApp
from tests.flows.kafka_peer import QUICK, mock_broker
from tests.flows.telemetry.otlp import Collector, attributes, collecting

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"
QUIET = f"00-{'c' * 32}-{'b' * 16}-00"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        yield found


def asked(path: str, parent: str | None) -> dict[str, Any]:
    headers = [] if parent is None else [(b"traceparent", parent.encode())]
    return {"path": path, "method": "POST", "headers": headers}


def test_requests_are_traced_as_their_caller_says_and_a_share_of_the_others(
    collector: Collector,
) -> None:
    traced = tracing.begin("nextbest-serve", "1")
    assert traced is not None
    ids = []

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        scope[STATUS] = 503
        ids.append((current_ids(), carried()))

    async def ask() -> None:
        app = TracedApp(answer, traced)
        for scope in [asked("/v1/decide", PARENT), asked("/v1/decide", QUIET)]:
            await app(scope, None, None)
        for _ in range(1000):
            await app(asked("/v1/features", None), None, None)
        await app(asked("/healthz", PARENT), None, None)

    try:
        asyncio.run(ask())
    finally:
        tracing.end()
    (span,) = collector.named("POST /v1/decide")
    assert attributes(span)["http.response.status_code"] == 503
    assert ids[0] == (
        ("a" * 32, span.span_id.hex()), f"00-{'a' * 32}-{span.span_id.hex()}-01".encode()
    )  # fmt: skip
    assert ids[1][1] is None  # the caller wants no trace
    assert 0 < len(collector.named("POST /v1/features")) < 100
    assert ids[-1] == (None, None)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({}, id="no endpoint"),
        pytest.param({"OTEL_SDK_DISABLED": "TRUE"}, id="disabled"),
        pytest.param({"OTEL_TRACES_EXPORTER": "none"}, id="no exporter"),
    ],
)
def test_nothing_is_traced_unless_somebody_wants_it(said: dict[str, str]) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://nobody:1"} if said else {}
    assert tracing.begin("nextbest-run", "1", endpoint | said) is None
    tracing.stored(())
    tracing.responded("d", "accept")
    tracing.end()
    assert carried() is None


@pytest.mark.parametrize(
    ("said", "match"),
    [
        pytest.param(
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL='grpc': there is http",
            id="protocol",
        ),
        pytest.param(
            {"OTEL_TRACES_SAMPLER": "always"},
            "OTEL_TRACES_SAMPLER='always': there are always_on",
            id="sampler",
        ),
        pytest.param(
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "10%"},
            "OTEL_TRACES_SAMPLER_ARG='10%': traceidratio needs a share",
            id="share",
        ),
    ],
)
def test_a_variable_that_asks_for_what_there_is_not_is_named(
    said: dict[str, str], match: str
) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://nobody:4317", **said}
    with pytest.raises(SettingsError, match=match):
        tracing.begin("nextbest-run", "1", environ)


def test_a_trace_travels_with_a_message_of_a_topic(collector: Collector) -> None:
    traced = tracing.begin("nextbest-serve", "1")
    assert traced is not None
    event = b'{"event_id":"1","event_timestamp":1,"customer_id":"ann","type":"view"}'

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        async with AsyncKafkaPublisher(brokers, "clicks", QUICK, shards=4) as publisher:
            await publisher.publish([event], ["ann"])

    with mock_broker() as brokers:
        asyncio.run(TracedApp(answer, traced)(asked("/v1/events", PARENT), None, None))
        source = KafkaSource(brokers, "clicks", config=QUICK, drain=True)
        parts = [source.build_part("in", name, None) for name in source.list_parts()]
        found = []
        for part in parts:
            while not found:
                try:
                    found += part.next_batch()
                except StopIteration:
                    break
        for part in parts:
            part.close()
    tracing.end()
    (chunk,) = found
    (span,) = collector.named("POST /v1/events")
    assert chunk.payload == event + b"\n"
    assert chunk.entries is not None
    assert chunk.entries.traces == {0: f"00-{'a' * 32}-{span.span_id.hex()}-01"}


def test_of_many_only_some_have_spans_and_none_has_what_a_writer_made_up(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    assert tracing.begin("nextbest-run", "1") is not None
    ids = [id_of_cause(1, "ann", str(i)) for i in range(tracing.MOST_OUTCOMES + 9)]
    told: list[tuple[Response, str | None]] = [
        (Response(decision_id=name, response="bought by ann"), None) for name in ids
    ]
    last = Response(decision_id=ids[-1], response="accept"), PARENT
    forged = Response(decision_id="ann", response="accept"), PARENT
    tracing.heard([*told[:-1], last, forged], 3, 1)
    records = [Record(id=name, customer="ann", channel="web", at=1, strategy="v") for name in ids]
    with tracing.batch("web", len(ids), commit=True) as said:
        said(records)
    tracing.end()
    heard = collector.named("outcome from the log")
    assert len(heard) == tracing.MOST_OUTCOMES - 1
    first = heard[0]
    assert (first.trace_id.hex(), attributes(first)["nextbest.response"]) == ("a" * 32, "accept")
    assert {attributes(span)["nextbest.response"] for span in heard[1:]} == {"other"}
    (batch,) = collector.named("decide batch")
    assert attributes(batch)["nextbest.batch.decided"] == len(ids)
    assert len(collector.named("decision")) == tracing.MOST_DECISIONS
