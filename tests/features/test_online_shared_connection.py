"""A connection that many coroutines share: who gets which reply, and what a bad store does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from nextbest.features import SettingsError, StoreError
from nextbest.features.online.connections import MANY_WORDS, AsyncConnections

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def with_connections(url: str, use: Callable[[AsyncConnections], Awaitable[None]]) -> None:
    async def run() -> None:
        made = AsyncConnections(url, 5.0)
        await use(made)
        await made.close()

    asyncio.run(run())


def with_server(
    talk: Talk, use: Callable[[AsyncConnections], Awaitable[None]], seconds: float = 60.0
) -> None:
    """A store that says yes to the handshake, and then what it likes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        made = AsyncConnections(f"redis://127.0.0.1:{port}?protocol=2", seconds)
        try:
            await use(made)
        finally:
            await made.close()
            server.close()

    asyncio.run(run())


async def handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Answer until the first command that is not of the handshake; return that."""
    while data := await reader.read(65536):
        if b"CLIENT" not in data:
            return data
        writer.write(b"+OK\r\n" * data.count(b"CLIENT"))
    raise ConnectionError


def test_replies_come_in_the_order_of_commands(store: redis.Redis, store_url: str) -> None:
    async def use(made: AsyncConnections) -> None:
        asked = [made.execute(["ECHO", str(i)]) for i in range(5000)]
        assert await asyncio.gather(*asked) == [str(i).encode() for i in range(5000)]

    with_connections(store_url, use)


def test_a_refusal_is_told_to_the_one_who_asked(store: redis.Redis, store_url: str) -> None:
    async def use(made: AsyncConnections) -> None:
        asked = [made.execute(["ECHO", "a"]), made.execute(["NONSENSE"]), made.execute(["ECHO"])]
        good, unknown, wrong = await asyncio.gather(*asked, return_exceptions=True)
        assert good == b"a"
        assert isinstance(unknown, StoreError)
        assert "unknown command" in str(unknown)
        assert "wrong number" in str(wrong)

    with_connections(store_url, use)


def test_commands_that_are_given_up_leave_the_order_alone(
    store: redis.Redis, store_url: str
) -> None:
    async def use(made: AsyncConnections) -> None:
        for turn in range(30):
            asked = [asyncio.ensure_future(made.execute(["ECHO", str(i)])) for i in range(9)]
            for _ in range(turn % 6):
                await asyncio.sleep(0)
            for task in asked[::2]:
                task.cancel()
            assert await asyncio.gather(*asked[1::2]) == [b"1", b"3", b"5", b"7"]

    with_connections(store_url, use)


def test_who_gives_up_while_connecting_takes_it_from_nobody(
    store: redis.Redis, store_url: str
) -> None:
    async def use(made: AsyncConnections) -> None:
        first = asyncio.ensure_future(made.execute(["ECHO", "a"]))
        second = asyncio.ensure_future(made.execute(["ECHO", "b"]))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == b"b"

    with_connections(store_url, use)


def test_long_commands_do_not_stand_in_the_way(store: redis.Redis, store_url: str) -> None:
    async def use(made: AsyncConnections) -> None:
        store.mset({f"k{i}": bytes([i % 256]) * 1000 for i in range(9000)})
        wide = ["MGET", *(f"k{i}" for i in range(9000))]
        assert len(wide) > MANY_WORDS
        found, echoed = await asyncio.gather(made.execute(wide), made.execute(["ECHO", "a"]))
        assert echoed == b"a"
        assert found == [bytes([i % 256]) * 1000 for i in range(9000)]

    with_connections(store_url, use)


def test_a_store_that_never_answers_is_given_up_by_all() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handshake(reader, writer)
        await reader.read()

    async def use(made: AsyncConnections) -> None:
        asked = [made.execute(["ECHO", str(i)]) for i in range(20)]
        for error in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(error, StoreError)
            # No connection: where the machine stood still just then.
            assert re.search(r"no (reply|connection) within 0\.3 s", str(error))

    with_server(talk, use, 0.3)


def test_a_reply_too_late_answers_no_later_command() -> None:
    asked = 0
    given_up, told = asyncio.Event(), asyncio.Event()
    used: list[AsyncConnections] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await handshake(reader, writer)
        asked += 1
        if asked == 1:
            used[0]._short._seconds = 60.0  # the next connection has time
            await given_up.wait()
            writer.write(b"$4\r\nlate\r\n")
            told.set()
            return
        given_up.set()
        await told.wait()
        writer.write(b"$3\r\nnew\r\n")
        await reader.read(65536)
        writer.write(b"$5\r\nnewer\r\n")
        await reader.read()

    async def use(made: AsyncConnections) -> None:
        used.append(made)
        assert await made.execute(["GET", "a"]) == b"new"
        assert await made.execute(["GET", "b"]) == b"newer"

    with_server(talk, use, 0.3)


@pytest.mark.parametrize(
    "said", [b"nonsense\r\n", b"$-7\r\n", b""], ids=["nonsense", "length", "hung-up"]
)
def test_what_no_store_says_is_an_error(said: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handshake(reader, writer)
        writer.write(said)

    async def use(made: AsyncConnections) -> None:
        with pytest.raises(StoreError, match="feature lookup failed"):
            await asyncio.gather(made.execute(["GET", "a"]), made.execute(["GET", "b"]))

    with_server(talk, use)


def test_a_reply_that_nobody_asked_for_answers_nobody() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handshake(reader, writer)
        writer.write(b":1\r\n:2\r\n:3\r\n")
        await reader.read()

    async def use(made: AsyncConnections) -> None:
        for _ in range(3):
            asked = [made.execute(["GET", "a"]), made.execute(["GET", "b"])]
            assert await asyncio.gather(*asked) == [1, 2]

    with_server(talk, use)


def test_a_lookup_under_way_is_answered_before_the_end(store: redis.Redis, store_url: str) -> None:
    async def run() -> Any:
        made = AsyncConnections(store_url, 60.0)
        assert await made.execute(["ECHO", "a"]) == b"a"
        asked = asyncio.ensure_future(made.execute(["BLPOP", "list", "50"]))
        await asyncio.sleep(0.05)
        await made.close()
        assert not asked.done()
        with pytest.raises(SettingsError, match="closed"):
            await made.execute(["ECHO", "a"])
        store.rpush("list", "b")
        return await asked

    assert asyncio.run(run()) == [b"list", b"b"]
