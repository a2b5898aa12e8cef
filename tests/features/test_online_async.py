"""The client of an event loop: the same answers, many at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
import redis
import redis.asyncio

from nextbest.features import SettingsError, StateError, StoreError
from nextbest.features.online import AsyncFeatureClient, FeatureClient
from tests.features.online_cases import EVENTS, HOUR, NOW, catalog, happened, send, write_rows
from tests.laws.driver import Kernels

IDS = {"customer_id": ["ann", "ben", "nobody"], "product": ["hat", "hat", "x"]}


@pytest.fixture
def customers(store: redis.Redis) -> Kernels:
    return write_rows(store, catalog, EVENTS)["customer"]


def with_client(url: str, use: Callable[[AsyncFeatureClient], Awaitable[None]]) -> None:
    async def run() -> None:
        async with AsyncFeatureClient(url, catalog, clock=lambda: NOW) as client:
            await use(client)

    asyncio.run(run())


def test_both_clients_answer_alike(customers: Kernels, store_url: str) -> None:
    async def use(client: AsyncFeatureClient) -> None:
        for at in (None, NOW + HOUR, NOW + 24 * HOUR):
            found, same = await client.get(IDS, at=at), blocking.get(IDS, at=at)
            assert found.values.tobytes() == same.values.tobytes()
            assert found.state.tobytes() == same.state.tobytes()
            assert found.age_ms.tobytes() == same.age_ms.tobytes()
            assert (found.at, found.ids, found.columns) == (same.at, same.ids, same.columns)

    with FeatureClient(store_url, catalog, clock=lambda: NOW) as blocking:
        with_client(store_url, use)


def test_each_of_many_lookups_gets_its_own_answer(
    customers: Kernels, store: redis.Redis, store_url: str
) -> None:
    names = [f"customer-{i}" for i in range(300)]
    customers.apply([happened(name, "hat", NOW, value=float(i)) for i, name in enumerate(names)])
    send(store, customers)

    async def use(client: AsyncFeatureClient) -> None:
        lookups = [client.get([name], features=["visits:spend"]) for name in names]
        before = int(store.info("stats")["total_connections_received"])
        found = await asyncio.gather(*lookups)
        assert [one.values.tolist() for one in found] == [[[i]] for i in range(300)]
        assert int(store.info("stats")["total_connections_received"]) == before + 1

    with_client(store_url, use)


def test_a_lookup_that_is_given_up_spoils_no_other(
    customers: Kernels, store_url: str, store: redis.Redis
) -> None:
    async def use(client: AsyncFeatureClient) -> None:
        for turn in range(40):
            given_up = asyncio.ensure_future(client.get(["ben"], features=["visits:n"]))
            for _ in range(turn % 8):
                await asyncio.sleep(0)
            given_up.cancel()
            found = await client.get(["ann"], features=["visits:n"])
            assert found.values.tolist() == [[3.0]]

    with_client(store_url, use)


def test_connections_that_the_store_closed(
    customers: Kernels, store_url: str, store: redis.Redis
) -> None:
    async def use(client: AsyncFeatureClient) -> None:
        for _ in range(3):
            await asyncio.gather(*[client.get(["ann"], features=["visits:n"]) for _ in range(9)])
            store.client_kill_filter(_type="normal", skipme=True)

    with_client(store_url, use)


def test_a_client_belongs_to_one_loop(customers: Kernels, store_url: str) -> None:
    client = AsyncFeatureClient(store_url, catalog, clock=lambda: NOW)

    async def ask(*, last: bool) -> None:
        await client.get(["ann"], features=["visits:n"])
        if last:
            await client.close()

    with asyncio.Runner() as first:
        first.run(ask(last=False))
        with (
            asyncio.Runner() as second,
            pytest.raises(SettingsError, match="belongs to another event loop"),
        ):
            second.run(ask(last=False))
        first.run(ask(last=True))


def test_errors(customers: Kernels, store_url: str, store: redis.Redis) -> None:
    async def use(client: AsyncFeatureClient) -> None:
        with pytest.raises(SettingsError, match="an id is no text"):
            await client.get(["\ud800"], features=["visits:n"])
        store.set("nextbest:shop:customer:ann", b"x" * 64)
        with pytest.raises(StateError, match="the row of customer 'ann' is not a row of ours"):
            await client.get(["ann"], features=["visits:n"])
        await client.close()
        with pytest.raises(SettingsError, match="the client is closed"):
            await client.get(["ann"], features=["visits:n"])

    with_client(store_url, use)
    with pytest.raises(SettingsError, match="Redis URL must specify"):
        AsyncFeatureClient("http://me:s3cret@host", catalog)


def test_a_store_that_is_away_or_silent() -> None:
    async def ask(url: str) -> None:
        async with AsyncFeatureClient(url, catalog, timeout_seconds=0.2) as client:
            await client.get(["ann"], features=["visits:n"])

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(StoreError, match="feature lookup failed"):
            asyncio.run(ask(url))
    for away in (url, "unix:///nowhere/store.sock"):
        with pytest.raises(StoreError, match="feature lookup failed"):
            asyncio.run(ask(away))


def test_a_given_client_is_used(customers: Kernels, store_url: str) -> None:
    async def ask() -> None:
        async with redis.asyncio.Redis.from_url(store_url) as given:
            client = AsyncFeatureClient(given, catalog, clock=lambda: NOW)
            found = await client.get(["ann"], features=["visits:n"])
            await client.close()
            assert found.values.tolist() == [[3.0]]
            assert await given.ping()

    asyncio.run(ask())
    decoding = redis.asyncio.Redis.from_url(store_url, decode_responses=True)
    with pytest.raises(SettingsError, match="without decode_responses"):
        AsyncFeatureClient(decoding, catalog)
