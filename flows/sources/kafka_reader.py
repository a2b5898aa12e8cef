"""Reading several partitions of a Kafka topic with one consumer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...features.errors import SourceError, StoreError
from ..kafka_client import START_SECONDS, Cluster
from .outage import AwayError, OnOutage
from .shared import Feed, SharedReader

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

_PREFETCH_KBYTES = "16384"
_RETRY_SECONDS = 2.0


class KafkaReader(SharedReader["Message"]):
    """Reads the partitions of a source; the parameters are those of the source."""

    def __init__(
        self,
        cluster: Cluster,
        topic: str,
        *,
        drain: bool,
        batch_rows: int,
        outage_seconds: float,
        on_outage: OnOutage | None,
    ) -> None:
        super().__init__(outage_seconds=outage_seconds, on_outage=on_outage)
        self._cluster = cluster
        self._topic = topic
        self._drain = drain
        self._rows = batch_rows
        self._made: Consumer | None = None
        self._next: dict[int, int] = {}
        self._assigned: set[int] = set()
        self._paused: set[int] = set()
        self._back = False
        self.ended: set[int] = set()
        """Partitions that were read to their present ends, if they are drained."""

    @property
    def consumer(self) -> Consumer:
        """The one consumer, made when it is first asked for."""
        if self._made is None:
            self._made = self._cluster.consumer(
                **{
                    "auto.offset.reset": "error",  # never pass over what is gone
                    "enable.auto.commit": "false",
                    "enable.auto.offset.store": "false",
                    "enable.partition.eof": str(self._drain).lower(),
                    "queued.max.messages.kbytes": _PREFETCH_KBYTES,
                }
            )
        return self._made

    def begin(self, number: int, offset: int | None) -> tuple[Feed[Message], int, int]:
        """Begin to read a partition; return its feed, its next offset, and its end at present.

        Parameters
        ----------
        number
            Of the partition.
        offset
            Of the next record; None: of the oldest that there is.

        Raises
        ------
        SourceError
            No broker answers, or records from `offset` on are gone.
        """
        low, high = self._limits(number)
        wanted = low if offset is None else offset
        if wanted < low:
            raise self._gap(number, wanted, low, high)
        self._next[number] = wanted
        return self.open(number), wanted, high

    def fetch(self, feeds: Sequence[Feed[Message]], seconds: float) -> Mapping[int, list[Message]]:
        """The next messages of several partitions."""
        consumer = self.consumer
        self._assign({feed.number for feed in feeds})
        # `consume` waits until it has as many as it may bring; `poll` for the first one.
        first = consumer.poll(seconds)
        down, self._cluster.down = self._cluster.down, False
        # What was reported during an outage is served after it.
        back, self._back = self._back, False
        if first is None:
            if down and not back:
                raise AwayError(self._no_answer())
            return {}
        read: dict[int, list[Message]] = {}
        for message in (first, *consumer.consume(self._rows, 0)):
            error = message.error()
            number = message.partition()
            assert number is not None
            if error is None:
                read.setdefault(number, []).append(message)
                self.ended.discard(number)
            elif error.name() == "_PARTITION_EOF":
                self.ended.add(number)
            else:
                self._refuse(number, error)
        for number, messages in read.items():
            offset = messages[-1].offset()
            assert offset is not None
            self._next[number] = offset + 1
        return read

    def lags(self) -> Mapping[int, int]:
        """By partition: messages that were not read; the broker is asked."""
        lags = {}
        if self._made is not None:
            for number, after in dict(self._next).items():
                found = self._made.get_watermark_offsets(self._at(number), timeout=1.0)
                if found is not None:
                    lags[number] = max(0, found[1] - after)
        return lags

    def ask(self) -> None:
        """Does a broker answer for the topic?"""
        try:
            self._cluster.partitions(self.consumer, self._topic, _RETRY_SECONDS)
        except (SourceError, StoreError) as error:
            raise AwayError(str(error)) from error
        self._back = True

    def disconnect(self) -> None:
        """Close the consumer."""
        if self._made is not None:
            self._made.close()
            self._made = None
            self._assigned = set()
            self._paused = set()

    def _assign(self, wanted: set[int]) -> None:
        """Read the open partitions, but fetch no more of those whose messages wait."""
        if self._assigned != self._feeds.keys():
            self._assigned = set(self._feeds)
            self._paused = set()
            self.consumer.assign([self._at(p, self._next[p]) for p in sorted(self._assigned)])
        held = self._assigned - wanted
        if held != self._paused:
            if held - self._paused:
                self.consumer.pause([self._at(p) for p in held - self._paused])
            if self._paused - held:
                self.consumer.resume([self._at(p) for p in self._paused - held])
            self._paused = held

    def _at(self, number: int, offset: int | None = None) -> TopicPartition:
        from confluent_kafka import TopicPartition

        if offset is None:
            return TopicPartition(self._topic, number)
        return TopicPartition(self._topic, number, offset)

    def _limits(self, number: int) -> tuple[int, int]:
        from confluent_kafka import KafkaException

        try:
            found = self.consumer.get_watermark_offsets(self._at(number), timeout=START_SECONDS)
        except KafkaException as error:
            raise SourceError(
                f"{self._topic}[{number}] at {self._cluster.brokers}: "
                f"{self._cluster.reason(error.args[0])}"
            ) from None
        if found is None:
            raise SourceError(self._no_answer())
        return found

    def _refuse(self, number: int, error: KafkaError) -> None:
        if error.name() == "_AUTO_OFFSET_RESET":
            raise self._gap(number, self._next[number], *self._limits(number))
        if error.retriable() or (error.name().startswith("_") and not error.fatal()):
            return  # the client tries again by itself
        raise SourceError(
            f"{self._topic}[{number}] at {self._cluster.brokers}: {self._cluster.reason(error)}"
        )

    def _gap(self, number: int, wanted: int, low: int, high: int) -> SourceError:
        where = f"{self._topic}[{number}] at {self._cluster.brokers}"
        if wanted < low:
            return SourceError(
                f"{where}: {low - wanted} records from offset {wanted} on were deleted before they "
                f"were read (the oldest is {low}); keep more of the topic than a worker can be "
                "behind"
            )
        return SourceError(
            f"{where}: ends at offset {high}, before {wanted}, up to which it was read already: "
            "the topic was made anew or is another one"
        )

    def _no_answer(self) -> str:
        trouble = self._cluster.trouble or "all brokers are away"
        return f"{self._topic} at {self._cluster.brokers}: no answer from a Kafka broker: {trouble}"
