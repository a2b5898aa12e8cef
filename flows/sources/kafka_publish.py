"""Sending events to a Kafka topic, each to the partition of its customer's shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from ...features.errors import EventError, StoreError
from .kafka_client import Cluster
from .routing import customers_of, events_in, partitions_of

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

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
    cluster = Cluster(brokers, config or {})
    producer = cluster.producer(**{"message.timeout.ms": str(round(timeout * 1000))})
    partitions = cluster.partitions(producer, topic)
    failed: list[str] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(cluster.reason(error))

    sent = 0
    for batch in _batches(events_in(lines)):
        customers = customers_of(batch)
        numbers = partitions_of(customers, partitions, shards).tolist()
        for event, customer, number in zip(batch, customers, numbers, strict=True):
            while True:
                try:
                    producer.produce(topic, event, customer or None, number, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.poll(0)
        sent += len(batch)
        if failed:
            break
    left = producer.flush(timeout + 1.0)
    if failed or left:
        why = failed[0] if failed else f"no answer within {timeout:.0f} s"
        raise StoreError(f"{topic} at {brokers}: a message was not delivered: {why}")
    if not sent:
        raise EventError("no events to publish")
    return sent


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    rest = iter(lines)
    while batch := list(islice(rest, _BATCH)):
        yield batch
