"""Sending messages to one Kafka topic: what those who wait in a thread and in a loop share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..features.errors import LogAwayError
from .kafka_client import Cluster
from .telemetry.context import TRACE_FIELD, carried

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

Delivered = Callable[["KafkaError | None", "Message"], None]
"""What the client calls when a message is in the topic, or never will be."""


class Sending:
    """One client and its topic.

    Parameters
    ----------
    brokers, topic
        Where; the topic must exist.
    config
        More of librdkafka's configuration.
    timeout
        Seconds in which a message must be delivered.

    Attributes
    ----------
    partitions
        How many the topic has.

    Raises
    ------
    SourceError
        There is no such topic, or the configuration is wrong.
    StoreError
        No broker answers.
    """

    def __init__(self, brokers: str, topic: str, config: Mapping[str, str], timeout: float) -> None:
        self.topic, self.timeout = topic, timeout
        self.cluster = Cluster(brokers, config)
        milliseconds = str(round(timeout * 1000))
        self.producer = self.cluster.producer(**{"message.timeout.ms": milliseconds})
        self.partitions = self.cluster.partitions(self.producer, topic)

    def give(self, line: bytes, customer: str, partition: int, report: Delivered) -> bool:
        """Hand a message to the client, with the trace that it belongs to; False: it has no room.

        Raises
        ------
        LogAwayError
            The client refuses it.
        """
        from confluent_kafka import KafkaException

        trace = carried()
        headers: Any = None if trace is None else [(TRACE_FIELD.decode(), trace)]
        try:
            self.producer.produce(
                self.topic, line, customer or None, partition, on_delivery=report, headers=headers
            )
        except BufferError:
            return False
        except KafkaException as error:
            raise self.failure(self.cluster.reason(error.args[0])) from None
        return True

    def offset(self, error: KafkaError | None, message: Message) -> int | str:
        """Return where in its partition a message is, or why it is not there."""
        offset = message.offset()
        if error is not None:
            return self.cluster.reason(error)
        return "the broker told no offset" if offset is None or offset < 0 else offset

    def late(self) -> LogAwayError:
        """Return the error of a message that was not answered for in time."""
        return self.failure(f"no answer within {self.timeout:.0f} s")

    def failure(self, why: str) -> LogAwayError:
        """Return the error of a message that was not delivered."""
        # What the client reported below says more than that time ran out.
        trouble = self.cluster.trouble
        more = f" ({trouble})" if trouble and trouble not in why else ""
        where = f"{self.topic} at {self.cluster.brokers}"
        return LogAwayError(f"{where}: a message was not delivered: {why}{more}")
