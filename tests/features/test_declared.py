"""Declarations in the store: a worker writes them, a client that knows none finds them."""

from __future__ import annotations

import asyncio
import socket

import pytest
import redis

from nextbest.features import Catalog, SettingsError, StateError, StoreError
from nextbest.features.catalog_codec import encode_catalog
from nextbest.features.declared import CATALOGS, declare_commands, read_catalog
from nextbest.features.online import AsyncFeatureClient, FeatureClient
from tests.features.online_cases import EVENTS, NOW, catalog, write_rows

other = Catalog(name="other", views=catalog.views[:1])


def declare(store: redis.Redis, *catalogs: Catalog) -> None:
    for one in catalogs:
        for command in declare_commands(one):
            store.execute_command(*command)


def test_a_client_finds_the_catalog(store: redis.Redis, store_url: str) -> None:
    write_rows(store, catalog, EVENTS)
    assert read_catalog(store) == read_catalog(store, "shop") == catalog
    with FeatureClient(store_url, clock=lambda: NOW) as client:
        assert client.catalog == catalog
        assert client.get(["ann"], service="person").to_dict("ann")["visits:word"] == "coffee"
    assert {key for key in store.scan_iter() if b"/schema:" in key} == {
        command[1] for command in declare_commands(catalog)[:-1]
    }


def test_a_client_that_does_not_block_finds_it_too(store: redis.Redis, store_url: str) -> None:
    write_rows(store, catalog, EVENTS)

    async def ask() -> None:
        client = AsyncFeatureClient(store_url, "shop", clock=lambda: NOW)
        with pytest.raises(SettingsError, match="has not been read yet"):
            _ = client.catalog
        found = await asyncio.gather(*[client.get(["ann"], service="person") for _ in range(9)])
        assert {one.to_dict("ann")["visits:word"] for one in found} == {"coffee"}
        assert client.catalog == catalog
        await client.close()
        async with AsyncFeatureClient(store_url) as client:
            assert client.catalog == catalog

    asyncio.run(ask())


def test_which_catalog(store: redis.Redis, store_url: str) -> None:
    with pytest.raises(SettingsError, match="the store has no catalog: run a worker"):
        FeatureClient(store_url)
    declare(store, catalog, other)
    with pytest.raises(SettingsError, match="several catalogs, name one: other, shop"):
        FeatureClient(store_url)
    with pytest.raises(SettingsError, match="no catalog 'hop'; there are: other, shop"):
        FeatureClient(store_url, "hop")
    with FeatureClient(store_url, "other") as client:
        assert client.catalog == other
    with pytest.raises(SettingsError, match="is neither a Catalog nor the name of one"):
        FeatureClient(store_url, 3)  # type: ignore[arg-type]


def test_declaring_twice_changes_nothing(store: redis.Redis) -> None:
    declare(store, catalog)
    before = {key: store.type(key) for key in store.scan_iter()}
    declare(store, catalog)
    assert {key: store.type(key) for key in store.scan_iter()} == before
    assert read_catalog(store) == catalog


def test_what_is_stored_is_no_catalog(store: redis.Redis, store_url: str) -> None:
    store.hset(CATALOGS, "shop", b"\x00\x01")
    with pytest.raises(StateError, match="a stored catalog cannot be read"):
        FeatureClient(store_url)
    store.hset(CATALOGS, "shop", encode_catalog(other))
    with pytest.raises(StateError, match="the catalog stored as b'shop' is 'other'"):
        read_catalog(store)
    store.delete(CATALOGS)
    store.set(CATALOGS, "text")
    for make in (lambda: FeatureClient(store_url), lambda: read_catalog(store)):
        with pytest.raises(StoreError, match="failed: WRONGTYPE"):
            make()


def test_a_store_that_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(StoreError, match="failed"):
        FeatureClient(url)
    with pytest.raises(StoreError, match="reading the catalog failed"):
        read_catalog(redis.Redis.from_url(url))
