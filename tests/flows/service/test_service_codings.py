"""Bodies come as they are: one that says that it is compressed is refused, whether it is or not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.flows.service.loop_cases import deciding, problem
from tests.flows.service.world import Service, event, put_rows

BODIES: dict[str, Any] = {
    "/v1/events": event(1, "ann"),
    "/v1/features": {"ids": ["ann"]},
    "/v1/decide": {"customer": "ann", "channel": "web"},
    "/v1/decide/batch": {"customers": ["ann"], "channel": "web"},
    "/v1/outcomes": [],
}


@pytest.fixture(scope="module")
def service(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    put_rows(embedded_store)
    with deciding(embedded_store, tmp_path_factory.mktemp("codings")) as service:
        yield service


def post(client: httpx.Client, path: str, body: bytes, *codings: str) -> httpx.Response:
    headers = [("content-type", "application/json")]
    return client.post(
        path, content=body, headers=headers + [("Content-Encoding", one) for one in codings]
    )


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("codings", "named"),
    [(["gzip"], "gzip"), (["identity, Br"], "br"), (["identity", "zstd"], "zstd")],
    ids=["one", "second", "again"],
)
def test_a_compressed_body_is_refused(
    client: httpx.Client, path: str, codings: list[str], named: str
) -> None:
    plain = json.dumps(BODIES[path]).encode()
    for body in (gzip.compress(plain), plain):
        found = post(client, path, body, *codings)
        said = problem(found, 415, "unsupported-media-type")
        assert said["detail"] == (
            f"content-encoding '{named}': send the body as it is, not compressed"
        )
        assert found.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_one_that_is_not_is_taken(client: httpx.Client, path: str, coding: str) -> None:
    body = json.dumps(BODIES[path]).encode()
    plain = post(client, path, body)
    found = post(client, path, body, coding)
    assert found.status_code == plain.status_code != 415


def test_a_connection_that_sent_plain_ones_may_not_compress(client: httpx.Client) -> None:
    body = json.dumps(BODIES["/v1/decide"]).encode()
    for _ in range(3):
        assert post(client, "/v1/decide", body).status_code == 200
        assert post(client, "/v1/decide", body, "gzip").status_code == 415
