"""Sending events to a Kafka topic, each to the partition of its customer's shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from ...features.errors import EventError
from ..partitions import customers_of, events_in
from ..publisher import KafkaPublisher

_BATCH = 8192


def publish_kafka(
    brokers: str,
    topic: str,
    lines: bytes | Iterable[bytes],
    config: Mapping[str, str] | None = None,
    shards: int = 16,
    *,
    timeout: float = 30.0,
) -> int:
    """Send each event to the partition of its customer; return how many there were.

    Parameters
    ----------
    brokers
        ``host:port,...`` of some brokers.
    topic
        The topic, which must exist.
    lines
        NDJSON, whole or line by line. A line that cannot be read goes to the first partition,
        where it becomes a dead letter.
    config
        More of librdkafka's configuration.
    shards
        How many shards the log's workers have: `Settings.shards`.
    timeout
        Seconds in which a message must be delivered.

    Raises
    ------
    EventError
        No event.
    SourceError
        There is no such topic.
    StoreError
        No broker answers, or a message was not delivered. Some may be in the log; send them
        again, an event id counts once.
    """
    publisher = KafkaPublisher(brokers, topic, config, shards, timeout=timeout)
    sent = 0
    for batch in _batches(events_in(lines)):
        sent += len(publisher.publish(batch, customers_of(batch)))
    if not sent:
        raise EventError("no events to publish")
    return sent


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    rest = iter(lines)
    while batch := list(islice(rest, _BATCH)):
        yield batch
