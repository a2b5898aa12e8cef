"""A lookup with a receipt shows that very event, or says that it does not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from nextbest.features import EventError, SettingsError
from nextbest.features.online import AsyncFeatureClient, FeatureClient
from nextbest.features.receipts import Receipt
from tests.features.online_cases import EVENTS, HOUR, NOW, catalog, happened, send, write_rows
from tests.laws.driver import Kernels

ANN, BEN = "nextbest:shop:customer:ann", "nextbest:shop:customer:ben"
NEXT = happened("ann", "hat", NOW, word="milk")


class Recording(redis.Redis):
    """A client that remembers what it was asked for, and calls back."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.__dict__.setdefault("asked", []).append(args)
        reply = super().execute_command(*args, **options)
        self.__dict__.get("then", lambda: None)()
        return reply


@pytest.fixture
def recording(store_url: str) -> Iterator[Recording]:
    with Recording.from_url(store_url) as client:
        yield client


@pytest.fixture
def customers(store: redis.Redis) -> Kernels:
    return write_rows(store, catalog, EVENTS)["customer"]


def test_an_event_that_is_there_takes_one_round_trip(
    customers: Kernels, recording: Recording
) -> None:
    client = FeatureClient(recording, catalog, clock=lambda: NOW)
    last = Receipt.of(0, 2, "ann")
    for after in (last, str(last), [last, Receipt.of(0, 3, "ben")], [str(Receipt.of(0, 0, "ann"))]):
        recording.__dict__["asked"] = []
        found = client.get(["ben", "ann"], features=["visits:n"], after=after, wait_seconds=0)
        assert not found.stale
        assert found.values.tolist() == [[1], [3]]
        assert recording.__dict__["asked"] == [("MGET", BEN, ANN)]
    assert not client.get(["ann"], features=["visits:n"], after=[]).stale


def test_only_what_is_waited_for_is_asked_for_again(
    customers: Kernels, recording: Recording, store: redis.Redis
) -> None:
    times = iter(range(NOW, NOW + 10 * HOUR, HOUR))
    client = FeatureClient(recording, catalog, clock=lambda: next(times))

    def arrive() -> None:
        if len(recording.__dict__["asked"]) == 4:
            customers.apply([NEXT])
            send(store, customers)

    recording.__dict__["then"] = arrive
    receipts = [Receipt.of(0, 4, "ann"), Receipt.of(0, 3, "ben")]
    ids = {"customer_id": ["ben", "ann", "ann"], "product": ["hat", "hat", "x"]}
    refs = ["visits:n", "items:seen"]
    found = client.get(ids, features=refs, after=receipts, wait_seconds=30)
    asked = recording.__dict__["asked"]
    whole = ("MGET", BEN, ANN, "nextbest:shop:product:hat", "nextbest:shop:product:x")
    assert asked[0] == asked[-1] == whole
    assert asked[1:-1] == [("MGET", ANN)] * 4
    assert not found.stale
    assert found.values[:, 0].tolist() == [1, 4, 4]
    assert found.positions.tolist() == [3, 4, 4]
    assert found.at == NOW + HOUR, "the time is that of the answer"


def test_an_event_that_does_not_come_in_time(customers: Kernels, recording: Recording) -> None:
    client = FeatureClient(recording, catalog, clock=lambda: NOW)
    receipt = Receipt.of(0, 99, "nobody")
    ids = ["ann", "nobody"]
    began = time.monotonic()
    found = client.get(ids, features=["visits:n"], after=receipt, wait_seconds=0.1)
    assert time.monotonic() - began >= 0.1
    assert found.stale
    assert found.to_dicts() == [{"visits:n": 3}, {"visits:n": None}]
    assert 1 < len(recording.__dict__["asked"]) < 60, "pauses grow"
    found = client.get(ids, features=["visits:n"], after=receipt, wait_seconds=0)
    assert found.stale


def test_clients_wait_while_the_worker_writes(
    customers: Kernels, store: redis.Redis, store_url: str
) -> None:
    receipt = Receipt.of(0, 4, "ann")

    def write() -> None:
        time.sleep(0.05)
        customers.apply([NEXT])
        send(store, customers)

    async def ask() -> None:
        async with AsyncFeatureClient(store_url, catalog) as client:
            waiting = [
                client.get(["ann"], service="person", after=receipt, wait_seconds=20)
                for _ in range(20)
            ]
            for found in await asyncio.gather(*waiting):
                assert not found.stale
                assert found.to_dict("ann")["visits:word"] == "milk"

    thread = threading.Thread(target=write)
    thread.start()
    asyncio.run(ask())
    thread.join()
    with FeatureClient(store_url, catalog) as client:
        assert not client.get(["ann"], features=["visits:n"], after=receipt).stale


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"after": Receipt.of(0, 1, "eve")}, SettingsError, "is of none of the customers"),
        ({"after": "0-x"}, EventError, "'0-x' is not a receipt"),
        ({"after": [3]}, SettingsError, "after=3 is no receipt"),
        ({"after": 3}, SettingsError, "after must be at most 10000 receipts, not 3"),
        ({"after": Receipt.of(0, 1, "ann"), "wait_seconds": 31}, SettingsError, "is not 0 to 30"),
        ({"after": Receipt.of(0, 1, "ann"), "wait_seconds": -1}, SettingsError, "is not 0 to 30"),
        (
            {"after": Receipt.of(0, 1, "ann"), "wait_seconds": float("nan")},
            SettingsError,
            "wait_seconds=nan is not 0 to 30",
        ),
        ({"after": Receipt.of(0, 2**63, "ann")}, SettingsError, "is no receipt"),
    ],
    ids=["stranger", "text", "number", "no sequence", "long", "negative", "nan", "far"],
)
def test_what_is_no_receipt(
    customers: Kernels, store_url: str, given: Any, error: type[Exception], says: str
) -> None:
    with (
        FeatureClient(store_url, catalog) as client,
        pytest.raises(error, match=says),
    ):
        client.get(["ann"], features=["visits:n"], **given)


def test_only_customers_rows_are_waited_for(customers: Kernels, store_url: str) -> None:
    receipt = Receipt.of(0, 1, "ann")
    with FeatureClient(store_url, catalog) as client:
        for ids, refs in ((["hat"], ["items"]), ([("ann", "hat")], ["pairs"])):
            with pytest.raises(SettingsError, match=r"these are features of (product|pair)$"):
                client.get(ids, features=refs, after=receipt)
