"""An answer's head and body leave as one packet, and nothing is held back for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from nextbest.flows.service.protocol import _OneWrite

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


class Sent(asyncio.Transport):
    """A transport that keeps what it is given to send."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 7)})
        self.packets: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.packets.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def packets(use: Callable[[_OneWrite], Awaitable[None]]) -> list[bytes]:
    """What was sent when `use` and the loop's next turn are over."""
    sent = Sent()

    async def run() -> None:
        await use(_OneWrite(sent, asyncio.get_running_loop()))
        await asyncio.sleep(0)

    asyncio.run(run())
    return sent.packets


def test_head_and_body_are_one_packet() -> None:
    async def use(one: _OneWrite) -> None:
        one.write(HEAD)
        one.write(b"body")

    assert packets(use) == [HEAD + b"body"]


def test_a_head_alone_leaves_in_the_next_turn() -> None:
    async def use(one: _OneWrite) -> None:
        one.write(HEAD)
        assert one._transport.packets == []
        await asyncio.sleep(0)
        assert one._transport.packets == [HEAD]
        one.write(b"body")

    assert packets(use) == [HEAD, b"body"]


def test_what_follows_the_body_is_not_held_back() -> None:
    async def use(one: _OneWrite) -> None:
        one.write(HEAD)
        for chunk in (b"a", b"b", b"c"):
            one.write(chunk)
        assert one._transport.packets == [HEAD + b"a", b"b", b"c"]

    assert packets(use) == [HEAD + b"a", b"b", b"c"]


def test_answers_one_after_the_other_keep_their_order() -> None:
    async def use(one: _OneWrite) -> None:
        for body in (b"one", b"two"):
            one.write(HEAD)
            one.write(body)
        one.write(HEAD)
        one.write(HEAD)  # the one before had no body

    assert packets(use) == [HEAD + b"one", HEAD + b"two", HEAD + HEAD]


def test_closing_sends_what_was_held_back_first() -> None:
    async def use(one: _OneWrite) -> None:
        one.write(HEAD)
        one.close()
        assert one.is_closing()
        assert one._transport.closed

    assert packets(use) == [HEAD]


def test_nothing_is_sent_to_a_connection_that_was_lost() -> None:
    async def use(one: _OneWrite) -> None:
        one.write(HEAD)
        one._transport.close()

    assert packets(use) == []


def test_everything_else_is_the_transport_s() -> None:
    async def use(one: _OneWrite) -> None:
        assert one.get_extra_info("peername") == ("127.0.0.1", 7)

    assert packets(use) == []
