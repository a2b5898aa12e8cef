"""A real service in a process of its own, over a real store."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.flows.service.world import Service, put_rows, served


@pytest.fixture(scope="module")
def service(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that the tests of a module share; ann and ben are known, until NOW."""
    put_rows(embedded_store)
    with served(embedded_store, tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client
