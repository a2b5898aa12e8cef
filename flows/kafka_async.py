"""Publishing events to a Kafka topic from an event loop: nobody waits in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from ..features.errors import LogAwayError, SourceError, StoreError
from ..features.receipts import Receipt
from .kafka_sending import Delivered, Sending
from .partitions import LINE_BITS
from .publisher import checked

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

_POLL_SECONDS = 0.1
_FULL_SECONDS = 0.02
_ASK_SECONDS = 1.0
_CLOSE_SECONDS = 5.0


class AsyncKafkaPublisher:
    """As `KafkaPublisher`, with ``await``; of one event loop.

    One thread takes the broker's answers for all that is under way. When the client reports that
    no broker answers, the thread asks; as long as none does, nothing is sent.

    Parameters
    ----------
    brokers
        ``host:port,...`` of some brokers.
    topic
        The topic, which must exist.
    config
        More of librdkafka's configuration.
    shards
        How many shards the log's workers have: `Settings.shards`.
    timeout
        Seconds in which a message must be delivered.

    Raises
    ------
    SourceError
        There is no such topic, or the configuration is wrong.
    StoreError
        No broker answers.

    Examples
    --------
    >>> async with AsyncKafkaPublisher("broker:9092", "clicks") as publisher:  # doctest: +SKIP
    ...     await publisher.publish([b'{"event_id":"1", ...}'], ["ann"])
    [Receipt(partition=3, position=1048576, customer=1534769113439308204)]
    """

    def __init__(
        self,
        brokers: str,
        topic: str,
        config: Mapping[str, str] | None = None,
        shards: int = 16,
        *,
        timeout: float = 30.0,
    ) -> None:
        self._shards = shards
        # Somebody waits for each message.
        self._sending = Sending(brokers, topic, {"linger.ms": "0", **(config or {})}, timeout)
        self._closing = threading.Event()
        self._away = ""
        self._thread = threading.Thread(target=self._poll, name="kafka-answers", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Check that brokers are not known to be away.

        Raises
        ------
        LogAwayError
            If they are.
        """
        if self._away:
            raise LogAwayError(self._away)

    async def publish(self, events: Sequence[bytes], customers: Sequence[str]) -> list[Receipt]:
        """Send events, each to the partition of its customer; wait until all are delivered.

        See `KafkaPublisher.publish`. If the wait is cancelled, the events may be in the topic.
        """
        self.check()
        sending = self._sending
        lines, hashes, numbers = checked(events, customers, sending.partitions, self._shards)
        if not lines:
            return []
        answers = _Answers(len(lines), asyncio.get_running_loop(), sending.offset)
        for event, line in enumerate(lines):
            await self._send(line, customers[event], numbers[event], answers.of(event))
        try:
            # The client itself gives up first.
            offsets = await asyncio.wait_for(answers.all, sending.timeout + 1.0)
        except TimeoutError:
            raise sending.late() from None
        if isinstance(offsets, str):
            raise sending.failure(offsets)
        return [
            Receipt(number, offset << LINE_BITS, customer)
            for number, offset, customer in zip(numbers, offsets, hashes, strict=True)
        ]

    async def close(self) -> None:
        """Wait a little for what is under way, then end."""
        if not self._closing.is_set():
            self._closing.set()
            await asyncio.to_thread(self._thread.join)
            await asyncio.to_thread(self._sending.producer.flush, _CLOSE_SECONDS)

    async def __aenter__(self) -> Self:
        """The brokers were asked already."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    async def _send(self, line: bytes, customer: str, partition: int, report: Delivered) -> None:
        now = asyncio.get_running_loop().time
        end = now() + self._sending.timeout
        while not self._sending.give(line, customer, partition, report):
            if now() > end:
                raise self._sending.failure("the queue of messages stays full")
            await asyncio.sleep(_FULL_SECONDS)

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._sending.producer.poll(_POLL_SECONDS)
            if self._sending.cluster.down:
                self._ask()

    def _ask(self) -> None:
        """Ask whether a broker answers, now and again, until one does."""
        sending = self._sending
        try:
            sending.cluster.partitions(sending.producer, sending.topic, _ASK_SECONDS)
        except (SourceError, StoreError) as error:
            self._away = str(error)
        else:
            self._away, sending.cluster.down = "", False


class _Answers:
    """The offsets of messages that were sent together; or why one was not delivered."""

    def __init__(
        self,
        many: int,
        loop: asyncio.AbstractEventLoop,
        offset: Callable[[KafkaError | None, Message], int | str],
    ) -> None:
        self.all: asyncio.Future[list[int] | str] = loop.create_future()
        self._loop, self._offset = loop, offset
        self._offsets = [-1] * many
        self._left = many
        self._fault = ""

    def of(self, event: int) -> Delivered:
        """Return what the client calls, in the thread that polls."""

        def delivered(error: KafkaError | None, message: Message) -> None:
            offset = self._offset(error, message)
            if isinstance(offset, str):
                self._fault = self._fault or offset
            else:
                self._offsets[event] = offset
            self._left -= 1
            if not self._left and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._end)

        return delivered

    def _end(self) -> None:
        if not self.all.done():  # nobody waits any more
            self.all.set_result(self._fault or self._offsets)
