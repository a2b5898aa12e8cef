"""Publishing over HTTP: all events of a request are in the log, or none is."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import redis

from nextbest.features.receipts import Receipt
from tests.flows.service import shop
from tests.flows.service.world import Service, bought, event, served

NDJSON = {"content-type": "application/x-ndjson"}
JSON = {"content-type": "application/json"}


def in_log(url: str) -> list[dict[str, Any]]:
    with redis.Redis.from_url(url) as client:
        entries: Any = client.xrange("events")
        lines = b"".join(fields[b"events"] for _, fields in entries)
    return [json.loads(line) for line in lines.split(b"\n") if line]


@pytest.fixture
def log(embedded_store: str) -> str:
    """An empty log."""
    with redis.Redis.from_url(embedded_store) as client:
        client.delete("events")
    return embedded_store


def test_one_event_gets_one_receipt(client: httpx.Client, log: str) -> None:
    found = client.post("/v1/events", json=event(1, "ann"))
    assert found.status_code == 202
    (receipt,) = found.json()["receipts"]
    assert Receipt.parse(receipt).is_of("ann")
    assert in_log(log) == [event(1, "ann")]


def test_a_list_gets_receipts_in_its_order(client: httpx.Client, log: str) -> None:
    events = [event(i, ("ann", "ben", "cy")[i % 3]) for i in range(30)]
    receipts = client.post("/v1/events", json=events).json()["receipts"]
    for given, receipt in zip(events, receipts, strict=True):
        assert Receipt.parse(receipt).is_of(given["customer_id"])
    assert in_log(log) == events


def test_lines_are_taken_too(client: httpx.Client, log: str) -> None:
    events = [event(i, "ann") for i in range(3)]
    body = b"\n\r\n".join(msgspec.json.encode(e) for e in events) + b"\n\n"
    found = client.post("/v1/events", content=body, headers=NDJSON)
    assert len(found.json()["receipts"]) == 3
    assert in_log(log) == events


def test_an_event_over_several_lines_is_one_line_of_the_log(client: httpx.Client, log: str) -> None:
    given = event(1, "ann", properties={"category": "tea\nand more"})
    body = json.dumps([given, given], indent=2).replace("\n", "\r\n")
    assert client.post("/v1/events", content=body, headers=JSON).status_code == 202
    assert in_log(log) == [given, given]


@pytest.mark.parametrize(
    ("wrong", "path", "says"),
    [
        ({"customer_id": 7}, "$.customer_id", "Expected `str`, got `int`"),
        ({"customer_id": ""}, "$.customer_id", "length >= 1"),
        ({"customer_id": "é" * 200}, "$.customer_id", "256 bytes"),
        ({"type": "buy"}, "$.type", "Invalid enum value 'buy'"),
        ({"event_timestamp": 0}, "$.event_timestamp", ">= 1"),
        ({"event_timestamp": 10**30}, "$.event_timestamp", "Expected `int`"),
        ({"event_timestamp": 4_000_000_000_000_000}, "$.event_timestamp", "in the future"),
        ({"properties": {"value": "7"}}, "$.properties.value", "got `str`"),
        ({"properties": {"count": 2**60}}, "$.properties.count", "Expected `int` <="),
    ],
    ids=["id", "empty", "long", "type", "zero", "huge", "future", "property", "large"],
)
def test_one_wrong_event_keeps_all_out(
    client: httpx.Client, log: str, wrong: dict[str, Any], path: str, says: str
) -> None:
    found = client.post("/v1/events", json=[event(1, "ann"), {**event(2, "ann"), **wrong}])
    assert found.status_code == 422
    assert found.json()["type"] == "/docs#invalid-events"
    (fault,) = found.json()["errors"]
    assert (fault["index"], fault["path"]) == (1, path)
    assert says in fault["reason"]
    assert in_log(log) == []


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[", JSON, 400),
        (b'{"event_id":"\xff"}', JSON, 400),
        (b'[{"event_id":NaN}]', JSON, 400),
        (b"", JSON, 400),
        (b"[]", JSON, 422),
        (b"null", JSON, 422),
        (b"[[]]", JSON, 422),
        (b"[" * 100_000, JSON, 400),
        (b"\n \n", NDJSON, 422),
        (b"{", NDJSON, 422),
        (b"\xff\n", NDJSON, 422),
    ],
    ids=[
        "cut", "utf8", "nan", "empty", "none", "null", "lists", "deep", "blank", "cut-line",
        "utf8-line",
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused(
    client: httpx.Client, log: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    found = client.post("/v1/events", content=body, headers=headers)
    assert found.status_code == status, found.text
    assert found.headers["content-type"] == "application/problem+json"
    assert in_log(log) == []


def test_undeclared_properties_and_duplicate_keys_are_as_in_the_log(
    client: httpx.Client, log: str
) -> None:
    body = msgspec.json.encode(event(1, "ann", properties={"color": [1, {"deep": None}]}))
    body = body.replace(b'"type":"view"', b'"type":"purchase","type":"view"')
    assert client.post("/v1/events", content=body, headers=JSON).status_code == 202
    assert in_log(log)[0]["type"] == "view"


def test_a_hundred_faults_are_listed_of_many(client: httpx.Client, log: str) -> None:
    found = client.post("/v1/events", json=[{}] * 1000)
    assert len(found.json()["errors"]) == 100
    assert "1000 of 1000 events are wrong" in found.json()["detail"]


def test_concurrent_requests_lose_nothing(service: Service, log: str) -> None:
    async def publish() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
            asked = [client.post("/v1/events", json=[event(i, f"c{i % 7}")]) for i in range(300)]
            return await asyncio.gather(*asked)

    found = asyncio.run(publish())
    assert {answer.status_code for answer in found} == {202}
    receipts = {answer.json()["receipts"][0] for answer in found}
    assert len(receipts) == 300
    assert sorted(int(e["event_id"]) for e in in_log(log)) == list(range(300))


def test_sizes_are_limited(embedded_store: str, tmp_path: Path) -> None:
    limits = {"NEXTBEST_HTTP_BODY_BYTES": "2000", "NEXTBEST_HTTP_EVENTS": "3"}
    with served(embedded_store, tmp_path / "home", **limits) as service:
        url = f"{service.url}/v1/events"
        long = httpx.post(url, content=b"x" * 2001, headers=JSON)
        assert (long.status_code, long.json()["type"]) == (413, "/docs#too-large")
        parts = (b"x" * 500 for _ in range(5))  # no length is announced
        assert httpx.post(url, content=parts, headers=JSON).status_code == 413
        many = httpx.post(url, json=[event(i, "ann") for i in range(4)])
        assert (many.status_code, "4 events" in many.text) == (413, True)
        assert httpx.post(url, json=[event(1, "ann")] * 3).status_code == 202


def test_what_is_published_is_read_as_features(store_url: str, tmp_path: Path) -> None:
    """With the worker between them, as users run both."""
    home = tmp_path / "home"
    parts = ("--stream", "clicks", "--partitions", "2", "--catalog", f"{shop.__file__}:customers")
    with served(store_url, home, *parts) as service, httpx.Client(base_url=service.url) as client:
        now = time.time_ns() // 1000
        for i, customer in enumerate(["ann", "ben", "cy", "di"]):
            bought_ = bought(i, customer, "tea", 2.0)
            given = {**bought_, "event_timestamp": now + i}
            assert client.post("/v1/events", json=given).status_code == 202
        run = [sys.executable, "-m", "nextbest.flows.cli", "run", *parts, "--drain"]
        run += ["--data-dir", str(home), "--redis-url", store_url]
        subprocess.run(run, check=True, capture_output=True, timeout=120)
        for customer in ("ann", "ben", "cy", "di"):
            row = client.get(f"/v1/features/{customer}").json()["rows"][0]
            assert row["values"]["visits:spend"] == 2.0
