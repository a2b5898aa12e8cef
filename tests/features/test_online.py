"""The light client: what an app reads is what the worker's state says, or a clear error."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import redis

from nextbest.features import Catalog, SettingsError, StateError, StoreError
from nextbest.features.online import MAX_IDS, FeatureClient, Features, key_prefix
from nextbest.features.state import FeatureRows
from tests.features.test_delta_log import HOUR, IDS, START, catalog, events
from tests.laws.driver import Kernels

NOW = START + 31 * HOUR
PREFIX = "nextbest:demo:customer:"


@pytest.fixture
def kernels(store: redis.Redis) -> Kernels:
    """A state, and its rows in the store."""
    kernels = Kernels(catalog)
    kernels.apply(events(1, 300))
    publish(store, kernels)
    return kernels


@pytest.fixture
def client(store_url: str) -> Iterator[FeatureClient]:
    client = FeatureClient(store_url, catalog, clock=lambda: NOW)
    yield client
    client.close()


def publish(store: redis.Redis, kernels: Kernels) -> None:
    """Send rows as the worker does: the bytes, to the server, over a socket."""
    commands = kernels.state.encode_changes(key_prefix(catalog))
    connection: Any = store.connection_pool.get_connection()
    connection.send_packed_command([commands.payload.tobytes()])
    for _ in range(commands.replies):
        assert connection.read_response() == b"OK"
    store.connection_pool.release(connection)


def same(one: FeatureRows, two: FeatureRows) -> bool:
    """Equal to the last bit."""
    bits = [(x.values.tobytes(), x.state.tobytes(), x.age_ms.tobytes()) for x in (one, two)]
    return bits[0] == bits[1]


def assert_equal(found: Features, kernels: Kernels, at: int) -> None:
    assert same(found.rows, kernels.state.read(found.ids, at))


def test_a_lookup_equals_the_state(kernels: Kernels, client: FeatureClient) -> None:
    found = client.get(IDS)
    assert found.columns == catalog.columns
    assert found.at == NOW
    assert found.rows.values.shape == (len(IDS), len(catalog.columns))
    for at in (NOW, NOW + 1, START + 29 * HOUR, NOW + 24 * HOUR):
        assert_equal(client.get(IDS, at=at), kernels, at)
    assert_equal(client.get([IDS[1], IDS[1], IDS[0]]), kernels, NOW)
    assert_equal(client.get([]), kernels, NOW)


def test_a_lookup_shows_the_time_that_passed(kernels: Kernels, client: FeatureClient) -> None:
    before, after = client.get(["ann"]), client.get(["ann"], at=NOW + 24 * HOUR)
    assert after.rows.age_ms[0] - before.rows.age_ms[0] == 24 * 3_600_000
    assert before.states("ann")["v:spend"] == "expired"
    assert before.states("ann")["v:n"] == "present"
    most = before.to_dict("ann")["v:most"]
    assert most is not None
    assert most > 0
    assert after.to_dict("ann")["v:most"] is None
    assert after.states("ann")["v:most"] == "missing"


def test_an_unknown_customer_is_missing_and_not_zero(
    kernels: Kernels, client: FeatureClient
) -> None:
    found = client.get(["nobody", "ann", "", "a\r\nb"])
    assert set(found.states("nobody").values()) == {"missing"}
    assert set(found.to_dict("nobody").values()) == {None}
    assert found.rows.age_ms.tolist()[0] == -1
    assert found.rows.age_ms.tolist()[1] > 0
    assert_equal(found, kernels, NOW)


def test_many_rows_in_one_lookup(
    kernels: Kernels, client: FeatureClient, store: redis.Redis
) -> None:
    """More than are unpacked at a time, with gaps among them."""
    known = tuple(f"customer-{i}" for i in range(150))
    kernels.apply(events(2, 900, known))
    publish(store, kernels)
    ids = [name for i in range(150) for name in (f"nobody-{i}", known[i])[i % 3 == 0 :]]
    assert_equal(client.get(ids), kernels, NOW)
    store.set(PREFIX + known[140], b"x" * 24)
    with pytest.raises(StateError, match="row of customer 'customer-140' is not a row of ours"):
        client.get(ids)


def test_a_row_is_not_read_before_its_newest_event(kernels: Kernels, client: FeatureClient) -> None:
    newest = NOW - client.get(["ann"]).rows.age_ms[0].item() * 1000
    past = client.get(["ann"], at=START - 1000 * HOUR)
    assert past.rows.age_ms.tolist() == [0]
    latest = client.get(["ann"], at=newest - 1000)
    assert same(past.rows, latest.rows)
    assert client.get(["ann"], at=-5).rows.age_ms.tolist() == [0]
    for at in (2**62 + 1, -(2**63)):
        with pytest.raises(ValueError, match="are not microseconds since 1970"):
            client.get(["ann"], at=at)


def test_every_damaged_byte_of_a_row_is_noticed(
    kernels: Kernels, client: FeatureClient, store: redis.Redis
) -> None:
    key = PREFIX + "ann"
    row = store.get(key)
    assert isinstance(row, bytes)
    for at in range(len(row)):
        broken = bytearray(row)
        broken[at] ^= 1 << at % 8
        store.set(key, bytes(broken))
        with pytest.raises(StateError, match=r"row of customer 'ann' (is|was) "):
            client.get(["ben", "ann"])
    store.set(key, row)
    assert_equal(client.get(["ann"]), kernels, NOW)


@pytest.mark.parametrize(
    ("cut", "reason"),
    [
        (slice(0, -8), "is cut off or too long"),
        (slice(0, -3), "is cut off or too long"),
        (slice(0, 8), "is not a row of ours"),
        (slice(8, None), "is not a row of ours"),
        (slice(0, 0), "is not a row of ours"),
        (slice(0, 16), "is cut off or too long"),
    ],
)
def test_a_row_that_is_cut_off(
    kernels: Kernels, client: FeatureClient, store: redis.Redis, cut: slice, reason: str
) -> None:
    row = store.get(PREFIX + "x")
    assert isinstance(row, bytes)
    store.set(PREFIX + "x", row[cut])
    with pytest.raises(StateError, match=f"row of customer 'x' {reason}"):
        client.get(["ann", "nobody", "x"])


def test_values_that_are_not_ours(
    kernels: Kernels, client: FeatureClient, store: redis.Redis
) -> None:
    for value in (b"hello", b"hello world, 16 ", b"\x00" * 64, b"\xff" * 512):
        store.set(PREFIX + "x", value)
        with pytest.raises(StateError, match="row of customer 'x' is"):
            client.get(["x"])
    store.delete(PREFIX + "x")
    store.hset(PREFIX + "x", "a", "b")
    assert set(client.get(["x"]).states("x").values()) == {"missing"}


def test_rows_of_another_declaration(kernels: Kernels, store_url: str) -> None:
    other = Catalog(name="demo", views=catalog.views, lateness="1m")
    with pytest.raises(StateError, match="row of customer 'ann' was written under another"):
        FeatureClient(store_url, other).get(["ann"])
    elsewhere = Catalog(name="elsewhere", views=catalog.views)
    found = FeatureClient(store_url, elsewhere).get(["ann"])
    assert set(found.states("ann").values()) == {"missing"}


def test_what_is_no_sequence_of_ids(client: FeatureClient) -> None:
    with pytest.raises(ValueError, match="must be a sequence of strings"):
        client.get("ann")
    with pytest.raises(ValueError, match="must be a sequence of strings"):
        client.get([1])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=f"10001 ids in one lookup, of at most {MAX_IDS}"):
        client.get(["a"] * (MAX_IDS + 1))
    assert client.get([f"c{i}" for i in range(MAX_IDS)]).rows.age_ms.max() == -1


def test_a_url_or_client_that_cannot_work(store_url: str) -> None:
    for url in ("http://me:s3cret@host/1", "redis://me:s3cret@host:port/0", "me:s3cret@host"):
        with pytest.raises(
            SettingsError, match=r"\*\*\*@host.*: (Redis URL|Port|netloc)"
        ) as caught:
            FeatureClient(url, catalog)
        assert "s3cret" not in str(caught.value)
    decoding = redis.Redis.from_url(store_url, decode_responses=True)
    with pytest.raises(SettingsError, match="without decode_responses"):
        FeatureClient(decoding, catalog)


def test_a_given_client_is_used(kernels: Kernels, store: redis.Redis) -> None:
    assert_equal(FeatureClient(store, catalog).get(IDS, at=NOW), kernels, NOW)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_server_that_is_away() -> None:
    for url in (
        f"redis://me:s3cret@127.0.0.1:{closed_port()}/0",
        "unix:///nowhere/store.sock?password=s3cret",
    ):
        with pytest.raises(
            StoreError, match=r"feature lookup failed: .*(127\.0\.0\.1|nowhere)"
        ) as c:
            FeatureClient(url, catalog).get(["ann"])
        assert "s3cret" not in str(c.value)


def test_a_server_that_does_not_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(StoreError, match=r"feature lookup failed: .*[Tt]ime"):
            FeatureClient(url, catalog, timeout_seconds=0.2).get(["ann"])
        server.settimeout(0)
        for _ in range(2):  # it tried once more, and no oftener
            server.accept()[0].close()
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_server_that_refuses(store_url: str, store: redis.Redis) -> None:
    store.acl_setuser(
        "guest", enabled=True, passwords=["+s3cret"], keys=["other:*"], commands=["+mget"]
    )
    try:
        client = FeatureClient(f"{store_url}?username=guest&password=s3cret", catalog)
        with pytest.raises(StoreError, match="feature lookup failed") as caught:
            client.get(["ann"])
        assert "s3cret" not in str(caught.value)
        client.close()
    finally:
        store.acl_deluser("guest")


def test_lookups_from_many_threads_while_rows_change(
    kernels: Kernels, store: redis.Redis, store_url: str
) -> None:
    client = FeatureClient(store_url, catalog, clock=lambda: NOW)
    done = threading.Event()
    kept = client.get(IDS[1:])

    def look(n: int) -> int:
        looked = 0
        while not done.is_set() or not looked:
            found = client.get(IDS)
            assert found.rows.values[1:].tobytes() == kept.rows.values.tobytes()
            assert found.rows.age_ms[0] >= 0
            looked += 1
        return looked

    with ThreadPoolExecutor(4) as pool:
        threads = [pool.submit(look, n) for n in range(4)]
        for seed in range(10, 40):
            kernels.apply(events(seed, 5, ("ann",)))
            publish(store, kernels)
        done.set()
        assert all(thread.result() > 0 for thread in threads)
    found = client.get(["ann"])
    assert_equal(found, kernels, NOW)
    assert not np.isnan(found.rows.values[0, 0])
    client.close()
