"""Starting and ending: who may come, what is said in one line, and that nothing is cut off."""

from __future__ import annotations

import contextlib
import io
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
import redis

from nextbest.flows import cli
from nextbest.flows.embedded import ensure_server, stop_server
from tests.flows.service import shop
from tests.flows.service.world import NOW, command, declare, event, put_rows, served

KEYS = {"NEXTBEST_API_KEYS": "first-key, second-key"}


def fails(*args: str) -> str:
    """What a command says that ends with an error; in this process, which has all it imports."""
    failed = io.StringIO()
    with (
        patch.object(sys, "argv", list(args[args.index("nextbest.flows.cli") :])),
        contextlib.redirect_stderr(failed),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main()
    assert ended.value.code == 1
    assert failed.getvalue().count("\n") == 1, failed.getvalue()
    return failed.getvalue()


def test_without_api_keys_only_this_machine_is_served(store_url: str, tmp_path: Path) -> None:
    said = fails(*command(store_url, tmp_path, "--host", "0.0.0.0"))
    assert "set NEXTBEST_API_KEYS, or serve on 127.0.0.1" in said


def test_a_taken_port_is_named(store_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = fails(*command(store_url, tmp_path, "--port", str(port)))
    assert f"127.0.0.1:{port}: cannot listen there: Address already in use" in said


def test_a_store_that_is_away_is_named(tmp_path: Path) -> None:
    said = fails(*command("redis://127.0.0.1:1/0", tmp_path))
    assert "redis://127.0.0.1:1/0: no answer" in said


def test_a_catalog_is_needed(store_url: str, tmp_path: Path) -> None:
    serve = [sys.executable, "-m", "nextbest.flows.cli", "serve", "--data-dir", str(tmp_path)]
    serve += ["--redis-url", store_url]
    assert "the store has no catalog: run a worker" in fails(*serve)
    with redis.Redis.from_url(store_url) as store:
        declare(store, shop.catalog)
        declare(store, shop.customers)
    assert "the store has several catalogs, name one: plain, shop" in fails(*serve)
    said = fails(*serve, "--catalog", "shoe")
    assert "the store has no catalog 'shoe'; there are: plain, shop" in said


def test_api_keys_open_all_addresses_to_those_who_have_one(store_url: str, tmp_path: Path) -> None:
    with served(store_url, tmp_path / "home", "--host", "0.0.0.0", **KEYS) as service:
        url = f"http://127.0.0.1:{service.port}"
        for path in ("/v1/features/ann", "/v1/catalog", "/docs", "/nothing"):
            keys_are_needed(url, path)
        assert httpx.get(url + "/healthz").status_code == 200
        assert httpx.get(url + "/readyz").status_code == 200


def keys_are_needed(url: str, path: str) -> None:
    good = 404 if path == "/nothing" else 200
    refused = httpx.get(url + path)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json()["type"] == "/docs#unauthorized"
    for wrong in ("", "first", "first-key,second-key", "first-keyé".encode()):
        assert httpx.get(url + path, headers={"x-api-key": wrong}).status_code == 401
    for key in ("first-key", "second-key"):
        assert httpx.get(url + path, headers={"X-API-Key": key}).status_code == good
        bearer = {"authorization": f"Bearer {key}"}
        assert httpx.get(url + path, headers=bearer).status_code == good
    basic = {"authorization": "Basic first-key"}
    assert httpx.get(url + path, headers=basic).status_code == 401


def test_a_store_that_goes_away_is_said_and_recovered_from(tmp_path: Path) -> None:
    store = tmp_path / "store"
    url = ensure_server(store)
    put_rows(url)
    try:
        with (
            served(url, tmp_path / "home") as service,
            httpx.Client(base_url=service.url, timeout=30) as client,
        ):
            assert client.get("/v1/features/ann").status_code == 200
            stop_server(store)
            for found in (
                client.get("/v1/features/ann"),
                client.post("/v1/events", json=event(1, "ann")),
                client.get("/readyz"),
            ):
                assert found.status_code == 503
                assert found.headers["retry-after"] == "1"
                assert found.headers["content-type"] == "application/problem+json"
                assert str(store) not in found.text
            assert client.get("/healthz").status_code == 200
            ensure_server(store)
            row = client.get(f"/v1/features/ann?at={NOW}").json()["rows"][0]
            assert row["values"]["visits:spend"] == 2.5
            assert client.get("/readyz").status_code == 200
    finally:
        stop_server(store)


def test_a_body_that_does_not_come_is_not_waited_for(store_url: str, tmp_path: Path) -> None:
    with served(store_url, tmp_path / "home", NEXTBEST_HTTP_BODY_SECONDS="0.2") as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as slow:
            slow.sendall(
                b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                b"content-length: 100\r\n\r\n{"
            )
            answer = b""
            while part := slow.recv(65536):  # until the connection is closed
                answer += part
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert httpx.get(f"{service.url}/readyz").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_requests_under_way_are_finished(store_url: str, tmp_path: Path, number: int) -> None:
    """Every request is either answered as if nothing was, or was never taken."""
    answered: list[int] = []
    cut_off: list[Exception] = []
    ended = threading.Event()

    def load(customer: str) -> None:
        with httpx.Client(base_url=service.url, timeout=30) as client:
            i = 0
            while not ended.is_set():
                i += 1
                events = [event(j, customer, event_id=f"{i}-{j}") for j in range(20)]
                try:
                    found = client.post("/v1/events", json=events)
                except httpx.ConnectError:
                    return  # nobody listens any more
                except httpx.HTTPError as error:
                    cut_off.append(error)
                    return
                answered.append(found.status_code)

    with served(store_url, tmp_path / "home") as service:
        threads = [threading.Thread(target=load, args=(f"c{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        while len(answered) < 100:
            time.sleep(0.01)
        try:
            assert service.stop(number) == 0
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    assert set(answered) == {202}
    # A request on an idle connection may cross with its being closed; it was never read.
    assert all(isinstance(e, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError)
               for e in cut_off), cut_off  # fmt: skip
    with redis.Redis.from_url(store_url) as client:
        entries: Any = client.xrange("events")
    # What was taken in was answered, and the other way round.
    lines = b"".join(fields[b"events"] for _, fields in entries).count(b"\n")
    assert lines == 20 * len(answered)


def lookups(client: redis.Redis) -> int:
    """How many the store was asked for."""
    stats: Any = client.info("commandstats")
    return int(stats.get("cmdstat_mget", {"calls": 0})["calls"])


def test_a_lookup_that_waits_is_finished_too(store_url: str, tmp_path: Path) -> None:
    put_rows(store_url)
    found: list[httpx.Response] = []

    def wait() -> None:
        request = {"ids": ["ann"], "features": ["visits"], "wait_seconds": 2.0}
        after = "0-fffffffffffffff-154df3a36cff89ac"
        url = f"{service.url}/v1/features"
        found.append(httpx.post(url, json={**request, "after": after}, timeout=30))

    with served(store_url, tmp_path / "home") as service:
        with redis.Redis.from_url(store_url) as client:
            before = lookups(client)
            thread = threading.Thread(target=wait)
            thread.start()
            while lookups(client) == before:
                time.sleep(0.01)
        assert service.stop() == 0
        thread.join()
    assert found[0].json()["stale"] is True
