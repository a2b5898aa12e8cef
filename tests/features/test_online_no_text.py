"""An id that UTF-8 has no bytes for is refused in the same words, however it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio

from nextbest.features import Entity, SettingsError
from nextbest.features.entity_keys import key_text
from nextbest.features.online import AsyncFeatureClient, FeatureClient
from nextbest.features.receipts import Receipt
from tests.features.online_cases import EVENTS, NOW, catalog, write_rows

BAD = "ann\ud800"
SAYS = "an id is no text: 'utf-8' codec can't encode"
ASKED: dict[str, dict[str, Any]] = {
    "one": {"ids": ["ann", BAD], "features": ["visits:n"]},
    "pair": {"ids": [("ann", "hat"), (BAD, "hat")], "features": ["pairs"]},
    "columns": {"ids": {"customer_id": ["ann"], "product": [BAD]}, "service": "ranking"},
    "after": {"ids": ["ann", BAD], "features": ["visits:n"], "after": Receipt.of(0, 2, "ann")},
}


@pytest.fixture(params=ASKED)
def asked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What is asked for."""
    return ASKED[request.param]


@pytest.fixture(params=["url", "client"])
def client(
    request: pytest.FixtureRequest, store: redis.Redis, store_url: str
) -> Iterator[FeatureClient]:
    write_rows(store, catalog, EVENTS)
    given = store_url if request.param == "url" else store
    with FeatureClient(given, catalog, clock=lambda: NOW) as made:
        yield made


def test_an_id_that_is_no_text(client: FeatureClient, asked: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=SAYS):
        client.get(**asked)
    assert client.get(["ann"], features=["visits:n"]).values.tolist() == [[3.0]]


@pytest.mark.parametrize("by_url", [True, False], ids=["url", "client"])
def test_an_awaited_id_that_is_no_text(
    store: redis.Redis, store_url: str, asked: dict[str, Any], by_url: bool
) -> None:
    write_rows(store, catalog, EVENTS)

    async def ask() -> Any:
        async with redis.asyncio.Redis.from_url(store_url) as own:
            given: Any = store_url if by_url else own
            async with AsyncFeatureClient(given, catalog, clock=lambda: NOW) as client:
                with pytest.raises(SettingsError, match=SAYS):
                    await client.get(**asked)
                return (await client.get(["ann"], features=["visits:n"])).values.tolist()

    assert asyncio.run(ask()) == [[3.0]]


def test_the_key_of_a_pair_that_is_no_text() -> None:
    pair = Entity("pair", ["customer_id", "product"])
    with pytest.raises(SettingsError, match=SAYS):
        key_text(pair, ("ann", BAD))
