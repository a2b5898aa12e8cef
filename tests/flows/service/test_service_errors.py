"""Every wrong request gets problem details that name what is wrong, and leaves the service well."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest
import redis

from tests.flows.service.world import NOW, Service, event

BIG = 10**30


def problem(found: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert found.status_code == status, found.text
    assert found.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = found.json()
    assert body["type"] == f"/docs#{kind}"
    assert body["status"] == status
    assert body["instance"] == found.request.url.path
    assert body["title"]
    return body


def look_up(client: httpx.Client, body: bytes, kind: str = "application/json") -> httpx.Response:
    return client.post("/v1/features", content=body, headers={"content-type": kind})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "truncated (byte 0)"),
        (b'{"ids":[', "truncated (byte 8)"),
        (b'{"ids":["ann"]} x', "trailing characters (byte"),
        (b'{"ids":["a"],"at":NaN}', "invalid character (byte 18)"),
        (b'{"ids":["a"],"wait_seconds":Infinity}', "invalid character (byte 28)"),
        (b'{"ids":["a","\xff"]}', "invalid UTF-8 (byte 13)"),
        (b'{"ids":["\\ud800abcd"]}', "surrogate"),
        (b'\xef\xbb\xbf{"ids":["a"]}', "byte 0"),
    ],
    ids=["empty", "cut", "trailing", "nan", "infinity", "utf8", "surrogate", "bom"],
)
def test_what_is_no_json_is_malformed(client: httpx.Client, body: bytes, says: str) -> None:
    assert says in problem(look_up(client, body), 400, "malformed-request")["detail"]


@pytest.mark.parametrize(
    ("body", "path", "says"),
    [
        ("[]", "$", "Expected `object`, got `array`"),
        ('{"ids":"ann"}', "$.ids", "Expected `object | array`, got `str`"),
        ('{"ids":["a",7]}', "$.ids[1]", "Expected `str`, got `int`"),
        ('{"ids":[""]}', "$.ids[0]", "length >= 1"),
        ('{"ids":["a"],"color":1}', "$", "unknown field `color`"),
        ('{"ids":["a"],"wait_seconds":31}', "$.wait_seconds", "<= 30"),
        ('{"ids":["a"],"at":' + str(BIG) + "}", "$.at", "1970 and 2100"),
        ('{"ids":["a"],"at":' + "9" * 5000 + "}", "$.at", "out of range"),
        ('{"ids":["a"],"at":"soon"}', "$.at", "ISO 8601"),
        ('{"ids":["a"],"at":true}', "$.at", "got `bool`"),
        ('{"ids":["a"],"after":"nonsense"}', "$.after", "regex"),
        ('{"ids":["a"],"after":"0-ffffffffffffffff-0000000000000000"}', "$.after", "no"),
        ('{"ids":["a"],"features":[]}', "$.features", "length >= 1"),
        ('{"ids":["a"],"features":["visits","visits"]}', "$.features", "twice"),
        ('{"ids":["a"],"features":["visits","visits:spend"]}', "$.features", "twice"),
        ('{"ids":["a"],"features":["visits"],"service":"ranking"}', "$.features", "not both"),
        ('{"ids":{"customer_id":["a"],"category":[]}}', "$.ids", "as many"),
        ('{"ids":' + "[" * 100_000 + "}", "$.ids[0]", "Expected `str`, got `array`"),
    ],
    ids=[
        "array", "ids", "id", "empty", "unknown", "wait", "big", "huge", "soon", "bool", "receipt",
        "position", "none", "twice", "within", "both", "lengths", "deep",
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_by_its_path(
    client: httpx.Client, body: str, path: str, says: str
) -> None:
    found = problem(look_up(client, body.encode()), 422, "invalid-request")
    assert found["errors"][0]["path"] == path
    assert says in found["errors"][0]["reason"]


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"features": ["visits:color"]}, "visits:color"),
        ({"features": ["visitors"]}, "visitors"),
        ({"service": "raking"}, "'raking'; there are: ranking"),
        ({"ids": {"planet": ["earth"]}}, "planet"),
    ],
    ids=["feature", "view", "service", "key"],
)
def test_what_is_not_declared_is_not_found(
    client: httpx.Client, request_: dict[str, Any], says: str
) -> None:
    found = client.post("/v1/features", json={"ids": ["ann"], **request_})
    assert says in problem(found, 404, "not-found")["detail"]


def test_of_duplicate_keys_the_last_counts(client: httpx.Client) -> None:
    found = look_up(client, b'{"ids":["ann"],"ids":["ben"],"service":"ranking"}')
    assert [row["id"] for row in found.json()["rows"]] == ["ben"]


def test_too_many_ids_are_refused(client: httpx.Client) -> None:
    found = client.post("/v1/features", json={"ids": ["c"] * 100_000})
    assert "10000" in problem(found, 422, "invalid-request")["detail"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("color=1", "no parameter 'color'; there are: service"),
        ("at=1&at=2", "at is given twice"),
        ("at=", "ISO 8601"),
        ("wait_seconds=x", "Expected `float`"),
        ("wait_seconds=nan", "wait_seconds"),
        ("after=x", "$.after[0]"),
    ],
    ids=["unknown", "twice", "empty", "word", "nan", "receipt"],
)
def test_a_wrong_query_is_refused(client: httpx.Client, query: str, says: str) -> None:
    found = client.get(f"/v1/features/ann?{query}")
    assert says in problem(found, 422, "invalid-request")["detail"]


@pytest.mark.parametrize("path", ["/v1/features/%FF", "/v1/features/a?service=%FF"])
def test_a_url_that_is_not_utf8_is_malformed(service: Service, path: str) -> None:
    assert raw(service, f"GET {path} HTTP/1.1").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/events", "POST"),
        ("DELETE", "/v1/features", "POST"),
        ("POST", "/v1/features/ann", "GET"),
        ("PUT", "/v1/catalog", "GET"),
        ("OPTIONS", "/v1/features", "POST"),
    ],
    ids=["get", "delete", "post", "put", "options"],
)
def test_another_method_is_refused_with_those_allowed(
    client: httpx.Client, method: str, path: str, allowed: str
) -> None:
    found = client.request(method, path)
    assert allowed in problem(found, 405, "method-not-allowed")["detail"]
    assert allowed in found.headers["allow"]


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/features/", "/v1/catalog/", "/v2/features"])
def test_an_unknown_route_is_not_found(client: httpx.Client, path: str) -> None:
    problem(client.get(path), 404, "not-found")


@pytest.mark.parametrize("path", ["/v1/features", "/v1/events"])
@pytest.mark.parametrize("kind", ["text/plain", "application/json; charset=utf-16", ""])
def test_another_content_type_is_refused(client: httpx.Client, path: str, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    found = client.post(path, content=b'{"ids":["ann"]}', headers=headers)
    problem(found, 415, "unsupported-media-type")


def test_a_damaged_row_is_named_and_not_a_traceback(
    client: httpx.Client, embedded_store: str
) -> None:
    with redis.Redis.from_url(embedded_store) as store:
        store.set("nextbest:shop:customer:hurt", b"x" * 64)
    found = client.post("/v1/features", json={"ids": ["ann", "hurt"], "service": "ranking"})
    detail = problem(found, 500, "unreadable-row")["detail"]
    assert "'hurt'" in detail
    assert "Traceback" not in found.text


def test_a_head_that_does_not_end_is_refused(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n")
        answer = b""
        try:
            for _ in range(40):
                sock.sendall(b"x-long: " + b"a" * 8000 + b"\r\n")
            answer = sock.recv(4096)
        except ConnectionError:
            answer = answer or b"closed"
    assert answer.startswith((b"HTTP/1.1 400 ", b"closed"))


def test_the_service_is_well_after_all_that(client: httpx.Client) -> None:
    assert client.get("/readyz").status_code == 200
    found = client.post("/v1/events", json=event(100, "ann"))
    assert found.status_code == 202
    assert client.get(f"/v1/features/ann?at={NOW}").json()["rows"][0]["known"]


def raw(service: Service, line: str) -> bytes:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as sock:
        sock.sendall(f"{line}\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
        answer = b""
        while part := sock.recv(65536):
            answer += part
        return answer
