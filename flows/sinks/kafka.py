"""A Kafka topic as a sink: every message at least once, or the run ends."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from bytewax.outputs import StatefulSinkPartition

from ...features.errors import StoreError
from ..kafka_client import Cluster
from .base import KeyedSink

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

_QUEUE_KBYTES = "65536"


class KafkaMessage(NamedTuple):
    """What is sent: the key says to which partition of the topic, none means any."""

    key: bytes | None
    value: bytes


class KafkaSink(KeyedSink[KafkaMessage, int]):
    """Sends messages to a topic, in order, and takes a snapshot when all are delivered.

    At least once: what was sent after the last committed snapshot is sent again on a resume, as a
    topic cannot be cut back. Within a run nothing is doubled or out of order (the producer is
    idempotent). A reader that must count once needs a name in the value, such as an event id. Not
    at all is never: a message that is not delivered ends the run, and the next one sends it again.

    Parameters
    ----------
    brokers
        ``host:port,...`` of some brokers.
    topic
        The topic.
    parts
        The names of the sink's partitions, or how many there are; see `KeyedSink`. Each has a
        producer of its own.
    config
        More of librdkafka's configuration. Secrets belong here; they are in no message.
    timeout
        Seconds in which a message must be delivered. While brokers are away the worker waits that
        long.

    Raises
    ------
    StoreError
        While running: a message was not delivered; it names the topic and the reason.
    SourceError
        The configuration has an unknown name or value.
    """

    def __init__(
        self,
        brokers: str,
        topic: str,
        *,
        parts: int | Sequence[str] = 1,
        config: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> None:
        super().__init__(parts)
        self._brokers = brokers
        self._topic = topic
        self._config = dict(config or {})
        self._timeout = timeout

    def build_part(
        self, step_id: str, for_part: str, resume_state: int | None
    ) -> _KafkaSinkPartition:
        """A producer; the state is how many messages were delivered."""
        cluster = Cluster(self._brokers, self._config)
        return _KafkaSinkPartition(cluster, self._topic, self._timeout, resume_state or 0)


class _KafkaSinkPartition(StatefulSinkPartition[KafkaMessage, int]):
    def __init__(self, cluster: Cluster, topic: str, timeout: float, delivered: int) -> None:
        self._cluster = cluster
        self._topic = topic
        self._timeout = timeout
        self._delivered = delivered
        self._failure: str | None = None
        self._producer = cluster.producer(
            **{
                "message.timeout.ms": str(round(timeout * 1000)),
                "queue.buffering.max.kbytes": _QUEUE_KBYTES,
            }
        )

    def write_batch(self, items: list[KafkaMessage]) -> None:
        for message in items:
            self._send(message)
        self._producer.poll(0)
        self._check()

    def snapshot(self) -> int:
        left = self._producer.flush(self._timeout + 1.0)
        self._check()
        if left:
            raise self._error(f"{left} messages without an answer for {self._timeout:.0f} s")
        return self._delivered

    def close(self) -> None:
        """Nothing: all is delivered at the last snapshot.

        After a failure the engine closes too, and an error then would abort the process.
        """

    def _send(self, message: KafkaMessage) -> None:
        from confluent_kafka import KafkaException

        end = time.monotonic() + self._timeout + 1.0
        while True:
            try:
                self._producer.produce(
                    self._topic, message.value, message.key, on_delivery=self._report
                )
            except BufferError:
                self._producer.poll(0.05)
                self._check()
                if time.monotonic() > end:
                    raise self._error("the queue of messages stays full") from None
            except KafkaException as error:
                raise self._error(self._cluster.reason(error.args[0])) from None
            else:
                return

    def _report(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._delivered += 1
        elif self._failure is None:
            self._failure = self._cluster.reason(error)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._error(self._failure)

    def _error(self, why: str) -> StoreError:
        # What the client reported below says more than that time ran out.
        trouble = self._cluster.trouble
        more = f" ({trouble})" if trouble and trouble not in why else ""
        return StoreError(
            f"topic {self._topic} at {self._cluster.brokers}: a message was not delivered: "
            f"{why}{more}"
        )
