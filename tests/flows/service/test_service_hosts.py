"""Without API keys a page that lets its name lead to loopback gets nothing."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from tests.flows.service.world import Service, served


def ask(service: Service, path: str, host: str) -> httpx.Response:
    return httpx.get(f"{service.url}{path}", headers={"host": host})


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:80"]
)
def test_this_machine_is_served_by_all_its_names(service: Service, host: str) -> None:
    for path in ("/v1/features/ann", "/v1/catalog", "/healthz"):
        assert ask(service, path, host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:8080", "",
        "[::1", "localhost:80:80", "127.0.0.1@evil.example", "10.0.0.1", "0x7f.1",
    ],
)  # fmt: skip
def test_another_name_gets_nothing(service: Service, host: str) -> None:
    for path in ("/v1/features/ann", "/v1/catalog", "/docs", "/healthz", "/none"):
        found = ask(service, path, host)
        assert found.status_code == 421
        assert found.json()["type"] == "/docs#misdirected"
    given = httpx.post(f"{service.url}/v1/events", json=[], headers={"host": host})
    assert given.status_code == 421


def test_who_names_no_host_is_no_browser(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as sock:
        sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_with_api_keys_any_name_will_do(store_url: str, tmp_path: Path) -> None:
    with served(store_url, tmp_path / "home", NEXTBEST_API_KEYS="one") as service:
        found = httpx.get(
            f"{service.url}/v1/features/ann", headers={"host": "shop.example", "x-api-key": "one"}
        )
        assert found.status_code == 200
