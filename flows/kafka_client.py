"""What every client of a Kafka cluster shares: configuration, metadata, errors for a person.

`confluent_kafka` is imported when a client is made: it belongs to the worker's extra.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ..features.errors import SourceError, StoreError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Producer
    from confluent_kafka.admin._metadata import TopicMetadata

START_SECONDS = 5.0
_ATTEMPT_SECONDS = 1.0
C = TypeVar("C")
_SECRET = ("password", "secret", "key", "jaas", "token")


class Cluster:
    """A cluster, and what its clients reported last.

    Parameters
    ----------
    brokers
        ``host:port,...``.
    config
        More of librdkafka's configuration. Secrets belong here; they are in no message.

    Examples
    --------
    >>> cluster = Cluster("broker:9092", {"sasl.password": "s3cret"})
    >>> cluster.hide("s3cret is not welcome at broker:9092")
    '*** is not welcome at broker:9092'
    """

    def __init__(self, brokers: str, config: Mapping[str, str]) -> None:
        self.brokers = brokers
        self._config = dict(config)
        self._secrets = [
            value
            for name, value in config.items()
            if value and any(word in name for word in _SECRET)
        ]
        self.trouble: str | None = None
        self.down = False
        self.refused = False

    def consumer(self, **ours: str) -> Consumer:
        """A consumer; `ours` cannot be overridden by the configuration."""
        from confluent_kafka import Consumer

        return self._made(Consumer, {"group.id": "nextbest"}, ours)

    def producer(self, **ours: str) -> Producer:
        """A producer that keeps order and writes nothing twice; `ours` as above."""
        from confluent_kafka import Producer

        return self._made(Producer, {"linger.ms": "5"}, {"enable.idempotence": "true", **ours})

    def partitions(
        self, client: Consumer | Producer, topic: str, seconds: float = START_SECONDS
    ) -> int:
        """How many partitions a topic has.

        Raises
        ------
        StoreError
            No broker answers within `seconds`.
        SourceError
            There is no such topic, or we may not see it.
        """
        from confluent_kafka import KafkaException

        end = time.monotonic() + seconds
        while True:
            try:
                found = client.list_topics(topic, timeout=min(seconds, _ATTEMPT_SECONDS))
                self.trouble = None  # what was reported before is over
                break
            except KafkaException as error:
                client.poll(0)  # brings what went wrong, one layer down
                if self.refused or time.monotonic() > end:
                    raise StoreError(
                        f"{topic} at {self.brokers}: no answer from a Kafka broker: "
                        f"{self.trouble or self.reason(error.args[0])}"
                    ) from None
        return self._count(found.topics[topic])

    def _count(self, found: TopicMetadata) -> int:
        topic = found.topic
        if found.error is not None:
            raise SourceError(
                f"{topic} at {self.brokers}: cannot be read: {self.reason(found.error)}"
            )
        return len(found.partitions)

    def reason(self, error: KafkaError) -> str:
        """What librdkafka says, without secrets."""
        return self.hide(error.str())

    def hide(self, text: str) -> str:
        """`text` without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _made(
        self, kind: Callable[[dict[str, Any]], C], defaults: dict[str, str], ours: Mapping[str, str]
    ) -> C:
        from confluent_kafka import KafkaException

        settings: dict[str, Any] = {
            "log_level": "2",  # it reports the same as errors, which are told once
            "reconnect.backoff.max.ms": "2000",
            **defaults,
            **self._config,
            **ours,
            "bootstrap.servers": self.brokers,
            "error_cb": self._note,
        }
        try:
            return kind(settings)
        except KafkaException as error:
            raise SourceError(f"Kafka configuration: {self.reason(error.args[0])}") from None
        except (ValueError, TypeError) as error:
            raise SourceError(f"Kafka configuration: {self.hide(str(error))}") from None

    def _note(self, error: KafkaError) -> None:
        if error.name() == "_ALL_BROKERS_DOWN":
            self.down = True
        else:
            self.refused = error.name() == "_AUTHENTICATION"
            self.trouble = self.reason(error)
