"""Dead letters to a Kafka topic as well, for those who watch over many workers."""

from __future__ import annotations

import msgspec

from ...features.errors import SettingsError
from ..dead_letters import DeadLetter
from ..settings import Settings
from .kafka import KafkaMessage, KafkaSink


def topic_sink(settings: Settings) -> KafkaSink | None:
    """Return the sink of the topic that the settings name; None: they name none.

    A letter is sent at least once: the topic cannot be cut back to a snapshot, as the file can.

    Raises
    ------
    SettingsError
        If there are no brokers.
    """
    topic = settings.dead_letter_topic
    if topic is None:
        return None
    if settings.kafka_brokers is None:
        raise SettingsError(
            f"NEXTBEST_DEAD_LETTER_TOPIC={topic!r} needs the brokers: NEXTBEST_KAFKA_BROKERS or "
            "--kafka"
        )
    return KafkaSink(settings.kafka_brokers, topic, config=settings.kafka_config)


def as_message(letter: DeadLetter) -> KafkaMessage:
    """Return a letter as the topic has it: JSON, as in a line of the file.

    >>> as_message(DeadLetter.of(
    ...     b"{", reason="no", origin="a", line=1, position=0, received_at=0)).key is None
    True
    """
    return KafkaMessage(None, msgspec.json.encode(letter))
