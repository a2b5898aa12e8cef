"""Publishing events for receipts: where in the log each one is, told by the log's own server.

Needs neither Arrow nor the engine, as a service that takes events in needs none.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..features.errors import EventError, SettingsError
from ..features.event_check import one_line
from ..features.receipts import Receipt
from ..features.store_url import check_url, unusable
from .connection import explained
from .kafka_sending import Delivered, Sending
from .partitions import FIELD, LINE_BITS, hashes_of, packed, partitions_of_hashes, stream_keys
from .telemetry.context import TRACE_FIELD, carried

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

Command = tuple[bytes | str | int, ...]

# One command, so that nobody's entries come in between. What a server that does not count was
# given is taken back: nobody would know of it.
_APPEND = b"""
local key, ids = KEYS[1], {}
for i = 2, #ARGV do ids[#ids + 1] = redis.call('XADD', key, '*', ARGV[1], ARGV[i]) end
local facts = redis.call('XINFO', 'STREAM', key)
for i = 1, #facts, 2 do
  if facts[i] == 'entries-added' then return facts[i + 1] end
end
for _, id in ipairs(ids) do redis.call('XDEL', key, id) end
return redis.error_reply('NOCOUNT this server does not count the entries of a stream, as Redis ' ..
  'has since 7.0 and Valkey always: publish without receipts')
"""


# As above, each entry with one more field.
_APPEND_TRACED = _APPEND.replace(b"for i = 2,", b"for i = 4,").replace(
    b"ARGV[1], ARGV[i]", b"ARGV[1], ARGV[i], ARGV[2], ARGV[3]"
)
ANSWER_SECONDS = 10.0
_CONNECT_SECONDS = 5.0


class _Batch:
    """Events on their way: the commands that append them, and their receipts from the answers."""

    def __init__(
        self, keys: Sequence[str], shards: int, events: Sequence[bytes], customers: Sequence[str]
    ) -> None:
        lines, hashes, numbers = checked(events, customers, len(keys), shards)
        self._hashes = hashes
        self._blobs = packed(lines, numbers, len(keys))
        self._numbers = [number for number, blobs in enumerate(self._blobs) if blobs]
        self.commands: list[Command] = []
        trace = carried()
        for number in self._numbers:
            entries = [b"\n".join([lines[i] for i in b]) + b"\n" for b in self._blobs[number]]
            if trace is None:
                self.commands.append(("EVAL", _APPEND, 1, keys[number], FIELD, *entries))
            else:
                fields = FIELD, TRACE_FIELD, trace
                self.commands.append(("EVAL", _APPEND_TRACED, 1, keys[number], *fields, *entries))

    def receipts(self, answers: Sequence[int]) -> list[Receipt]:
        """What each event's receipt is; `answers` are the entries ever added, a command each."""
        found: list[Receipt | None] = [None] * len(self._hashes)
        for number, added in zip(self._numbers, answers, strict=True):
            blobs = self._blobs[number]
            for ordinal, blob in enumerate(blobs, int(added) - len(blobs)):
                for position, event in enumerate(blob, ordinal << LINE_BITS):
                    found[event] = Receipt(number, position, self._hashes[event])
        return [receipt for receipt in found if receipt is not None]


def checked(
    events: Sequence[bytes], customers: Sequence[str], partitions: int, shards: int
) -> tuple[list[bytes], list[int], list[int]]:
    """Return the events as lines, the hash of the customer of each, and its partition."""
    if len(events) != len(customers):
        raise EventError(f"{len(events)} events of {len(customers)} customers")
    lines = [one_line(event) for event in events]
    for ordinal, line in enumerate(lines):
        if not line:
            raise EventError("no event", f"$[{ordinal}]")
    hashes = hashes_of(customers)
    numbers = partitions_of_hashes(hashes, customers, partitions, shards)
    return lines, hashes.tolist(), numbers.tolist()


class Publisher:
    """Appends events to a stream of a Valkey or Redis server, for receipts.

    May be used by several threads at once. Nothing is sent a second time by itself.

    Parameters
    ----------
    client_or_url
        The server that holds the stream; of a client its settings are used, not its connections.
    stream
        The key, or with `partitions` the beginning of the keys, as `ValkeyStreamSource` takes it.
    partitions
        How many streams make the log; None: the one stream is all of it.
    shards
        How many shards the log's workers have: `Settings.shards`.

    Raises
    ------
    SettingsError
        The URL is no Redis URL, or there is not at least one shard and partition.

    Examples
    --------
    >>> with Publisher(url, "clicks", partitions=4, shards=16) as publisher:  # doctest: +SKIP
    ...     publisher.publish([b'{"event_id":"1", ...}'], ["ann"])
    [Receipt(partition=3, position=1048576, customer=1534769113439308204)]
    """

    def __init__(
        self, client_or_url: redis.Redis | str, stream: str, *, partitions: int | None, shards: int
    ) -> None:
        self._keys = log_keys(stream, partitions, shards)
        self._shards = shards
        self._where = client_or_url if isinstance(client_or_url, str) else stream
        connections = own_connections(client_or_url, redis.ConnectionPool, Retry(NoBackoff(), 0))
        self._client = redis.Redis(connection_pool=connections)

    def publish(self, events: Sequence[bytes], customers: Sequence[str]) -> list[Receipt]:
        """Append events, each to the partition of its customer, in one round trip.

        Parameters
        ----------
        events
            The JSON text of one event each, as `EventChecker` takes it.
        customers
            Whose each is, as `EventChecker` returns it.

        Returns
        -------
        list[Receipt]
            One each, in the same order. The events of a customer keep their order.

        Raises
        ------
        EventError
            There are not as many customers as events, or an event is blank.
        StoreError
            The server is away or refuses. Any of the events may be in the log; send them again,
            an event id counts once.
        """
        batch = _Batch(self._keys, self._shards, events, customers)
        if not batch.commands:
            return []
        try:
            pipeline: Any = self._client.pipeline(transaction=False)
            for command in batch.commands:
                pipeline.execute_command(*command)
            return batch.receipts(pipeline.execute())
        except redis.RedisError as error:
            raise explained(self._where, error) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.connection_pool.disconnect()

    def __enter__(self) -> Self:
        """Nothing is opened before it is needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()


class AsyncPublisher:
    """As `Publisher`, with ``await``; of one event loop.

    Examples
    --------
    >>> async with AsyncPublisher(url, "clicks", partitions=4, shards=16) as p:  # doctest: +SKIP
    ...     await p.publish([b'{"event_id":"1", ...}'], ["ann"])
    """

    def __init__(
        self,
        client_or_url: redis.asyncio.Redis | str,
        stream: str,
        *,
        partitions: int | None,
        shards: int,
    ) -> None:
        self._keys = log_keys(stream, partitions, shards)
        self._shards = shards
        self._where = client_or_url if isinstance(client_or_url, str) else stream
        none = redis.asyncio.retry.Retry(NoBackoff(), 0)
        connections = own_connections(client_or_url, redis.asyncio.ConnectionPool, none)
        self._client = redis.asyncio.Redis(connection_pool=connections)

    async def publish(self, events: Sequence[bytes], customers: Sequence[str]) -> list[Receipt]:
        """See `Publisher.publish`."""
        batch = _Batch(self._keys, self._shards, events, customers)
        if not batch.commands:
            return []
        try:
            pipeline: Any = self._client.pipeline(transaction=False)
            for command in batch.commands:
                pipeline.execute_command(*command)
            return batch.receipts(await pipeline.execute())
        except redis.RedisError as error:
            raise explained(self._where, error) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.connection_pool.disconnect()

    async def __aenter__(self) -> Self:
        """Nothing is opened before it is needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.close()


class KafkaPublisher:
    """Sends events to a Kafka topic, a message each, for receipts.

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
        self._sending = Sending(brokers, topic, config or {}, timeout)

    def publish(self, events: Sequence[bytes], customers: Sequence[str]) -> list[Receipt]:
        """Send events, each to the partition of its customer; wait until all are delivered.

        See `Publisher.publish`. A message is sent again until it is delivered or its time is
        over, and is in the topic once.
        """
        sending = self._sending
        lines, hashes, numbers = checked(events, customers, sending.partitions, self._shards)
        offsets: dict[int, int] = {}
        failed: list[str] = []

        def report(event: int) -> Delivered:
            def delivered(error: KafkaError | None, message: Message) -> None:
                offset = sending.offset(error, message)
                if isinstance(offset, str):
                    failed.append(offset)
                else:
                    offsets[event] = offset

            return delivered

        for event, line in enumerate(lines):
            told = report(event)
            while not sending.give(line, customers[event], numbers[event], told):
                sending.producer.poll(0.1)
        end = time.monotonic() + sending.timeout + 1.0
        while len(offsets) + len(failed) < len(lines) and time.monotonic() < end:
            sending.producer.poll(0.01)
        if len(offsets) < len(lines):
            raise sending.failure(failed[0]) if failed else sending.late()
        return [
            Receipt(number, offsets[event] << LINE_BITS, customer)
            for event, (number, customer) in enumerate(zip(numbers, hashes, strict=True))
        ]


def log_keys(stream: str, partitions: int | None, shards: int) -> list[str]:
    """The keys of a log's partitions, if there can be so many and as many shards."""
    if shards < 1 or (partitions is not None and partitions < 1):
        raise SettingsError(f"{partitions} partitions of {shards} shards: at least one of each")
    return stream_keys(stream, partitions)


def own_connections(client_or_url: Any, kind: Any, no_retry: Any) -> Any:
    """Connections that send nothing twice: the client's own setting may be to try again."""
    if not isinstance(client_or_url, str):
        known = client_or_url.connection_pool
        settings = known.connection_kwargs | {"retry": no_retry, "retry_on_error": []}
        return kind(connection_class=known.connection_class, **settings)
    check_url(client_or_url)
    try:
        return kind.from_url(
            client_or_url,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=_CONNECT_SECONDS,
            retry=no_retry,
        )
    except (ValueError, TypeError) as error:
        raise unusable(client_or_url, error) from None
