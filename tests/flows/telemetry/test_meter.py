"""Numbers that are cheap to change, and what Prometheus is shown of them."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextbest.features import SettingsError
from nextbest.flows.telemetry import names as n
from nextbest.flows.telemetry.exposition import check_free, shown
from nextbest.flows.telemetry.meter import Histogram, Meter
from nextbest.flows.telemetry.running import RunMeter, reason_class
from nextbest.flows.telemetry.serving import MeteredApp, ServiceMeter
from tests.flows.telemetry.scraping import Scrape, free_ports


@given(st.lists(st.floats(0.0, 100.0)))
def test_a_histogram_counts_as_numpy_does(values: list[float]) -> None:
    found = Histogram(n.SECONDS)
    for value in values:
        found.add(value)
    edges = [-1.0, *n.SECONDS, np.inf]
    # Prometheus' bounds belong to the bucket below.
    wanted = [sum(a < v <= b for v in values) for a, b in pairwise(edges)]
    assert found.counts == wanted
    assert found.total == pytest.approx(sum(values))


@pytest.mark.parametrize("label", n.BOUNDS)
def test_labels_have_no_more_values_than_their_bound(label: str) -> None:
    metric = next(metric for metric in n.ALL if label in metric.labels and metric.kind != "gauge")
    meter = Meter()
    for number in range(n.BOUNDS[label] + 50):
        labels = (str(number) if name == label else "x" for name in metric.labels)
        meter.add(metric, 1, *labels)
    found = dict(meter.values(metric))
    assert len(found) == n.BOUNDS[label] + 1
    (rest,) = (value for labels, value in found.items() if n.OTHER in labels)
    assert rest == 50


def test_requests_of_any_path_and_method_make_a_bounded_number_of_series() -> None:
    meter = ServiceMeter()
    for number in range(1000):
        meter.answered(f"/{number}", f"METHOD{number}", 404, 0.001)
        meter.answered(f"/v1/customers/{number}", "GET", 200, 0.001)
    assert [labels for labels, _ in meter.histograms(n.HTTP_SECONDS)] == [
        ("other", "other", "404"), ("/v1/customers/{id}", "GET", "200"),
    ]  # fmt: skip


def test_names_are_prometheus_own_way() -> None:
    assert len({metric.name for metric in n.ALL}) == len(n.ALL) > 40
    for metric in n.ALL:
        assert metric.name.startswith("nextbest_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert bool(metric.bounds) == (metric.kind == "histogram")
        assert not {"customer", "customer_id", "decision", "event_id"} & set(metric.labels)


def test_what_fails_when_it_is_read_hides_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    meter = RunMeter()
    meter.applied(0, 5, 2, 1)

    def broken() -> None:
        raise ConnectionError("the log is away")

    with free_ports(1) as port, shown("127.0.0.1", port, meter, [broken, meter.refresh]) as at:
        assert at == port
        with caplog.at_level(logging.WARNING):
            first, second = Scrape(port), Scrape(port)
        for scrape in (first, second):
            assert scrape(n.EVENTS_APPLIED, partition="0") == 7
        assert [r.getMessage() for r in caplog.records] == [
            "metrics: ConnectionError: the log is away"
        ]
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", b"x", timeout=10)
        with socket.create_connection(("127.0.0.1", port)) as rude:
            rude.sendall(b"\x00\xff" * 100 + b"\r\n\r\n")
        assert Scrape(port)(n.EVENTS_LATE) == 2
        with pytest.raises(SettingsError, match=rf"--metrics-port: 127.0.0.1:{port}: .* in use"):
            check_free("127.0.0.1", [port])
        with (
            pytest.raises(SettingsError, match="in use"),
            shown("127.0.0.1", port, meter),
        ):
            pass
    check_free("127.0.0.1", [port])


def test_it_is_read_while_it_is_written() -> None:
    meter = Meter()
    done = threading.Event()

    def write() -> None:
        number = 0
        while not done.is_set():
            number += 1
            meter.add(n.OFFERS, 1, f"a{number}")
            meter.histogram(n.HTTP_SECONDS, "r", "GET", str(number % 500)).add(0.1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(200):
            for metric in meter.metrics():
                assert meter.values(metric) or meter.histograms(metric)
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize(
    ("reason", "path", "wanted"),
    [
        pytest.param("JSON is malformed: invalid character (byte 0)", None, "json", id="json"),
        pytest.param("Input data was truncated", None, "json", id="cut"),
        pytest.param("Object missing required field `type`", None, "missing", id="missing"),
        pytest.param("Expected `str`, got `int`", "$.type", "type", id="type"),
        pytest.param("Invalid enum value 'x'", "$.type", "unknown", id="unknown"),
        pytest.param("Expected `int` >= 1", "$.event_timestamp", "timestamp", id="time"),
        pytest.param("Expected `str` of length >= 1", "$.customer_id", "id", id="id"),
        pytest.param(
            "Expected at most 256 bytes of UTF-8, got 900", "$.event_id", "id", id="long id"
        ),
        pytest.param("line of 9000 bytes, more than 1024", None, "size", id="size"),
        pytest.param("something else", None, "other", id="other"),
    ],
)
def test_reasons_have_classes(reason: str, path: str | None, wanted: str) -> None:
    assert reason_class(reason, path) == wanted
    assert wanted in n.DEAD_REASONS


def test_a_request_whose_caller_is_gone_is_counted_as_such() -> None:
    meter = ServiceMeter()

    async def app(scope: object, receive: object, send: object) -> None:
        assert meter.in_flight == 1
        raise asyncio.CancelledError

    async def ask() -> None:
        scope = {"path": "/v1/decide", "method": "POST"}
        with pytest.raises(asyncio.CancelledError):
            await MeteredApp(app, meter)(scope, None, None)

    asyncio.run(ask())
    assert meter.in_flight == 0
    assert [labels for labels, _ in meter.histograms(n.HTTP_SECONDS)] == [
        ("/v1/decide", "POST", "499")
    ]


def test_a_request_without_a_task_is_in_flight_until_it_is_answered() -> None:
    meter = ServiceMeter()
    waiting: list[Callable[[int], None]] = []

    class Answering:
        def begin(
            self, scope: Any, body: bytes, send: Any, run: Any, done: Callable[[int], None]
        ) -> bool:
            if body:
                waiting.append(done)
            return bool(body)

    app = MeteredApp(Answering(), meter)
    scope = {"path": "/v1/decide", "method": "POST"}
    assert not app.begin(scope, b"", None, None)  # it is for a task
    assert app.begin(scope, b"{}", None, None)
    assert meter.in_flight == 1
    waiting.pop()(200)
    assert meter.in_flight == 0
    ((labels, found),) = meter.histograms(n.HTTP_SECONDS)
    assert (labels, sum(found.counts)) == (("/v1/decide", "POST", "200"), 1)
