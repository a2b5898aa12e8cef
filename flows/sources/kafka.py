"""A Kafka topic as the event log: each message one or several NDJSON lines."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from ...features.errors import SourceError, StateError, StoreError
from ..kafka_client import Cluster
from ..telemetry import tracing
from ..telemetry.context import TRACE_FIELD
from .base import EPOCH_BYTES, EventSource, StopFlag
from .chunk import RawChunk
from .kafka_reader import KafkaReader
from .lines import STATE_VERSION, LinePartition
from .outage import OnOutage

if TYPE_CHECKING:
    from confluent_kafka import Message


_TRACE_HEADER = TRACE_FIELD.decode()
_NOWHERE = sys.maxsize


class KafkaState(TypedDict):
    """Where reading goes on: plain values, so that a stored one outlives this code."""

    version: int
    offset: int
    seq: int
    partitions: NotRequired[int]  # of the topic, since a changed number is refused


class KafkaSource(EventSource[KafkaState]):
    """Events from a topic, resumed at the very record.

    Partitions are assigned, not subscribed to: who reads what is known beforehand, and offsets
    are kept in the dataflow's own snapshots and nowhere else. Messages that come together become
    one chunk. A message without a value, of a line that is too long or of more than 2^20 lines
    becomes a chunk with a fault. A record's position is ``offset << 20`` and its ordinal in the
    message, as `KafkaPublisher` tells producers.

    Parameters
    ----------
    brokers
        ``host:port,...`` of some brokers.
    topic
        The topic. Producers must send a customer's events to the partition
        ``shard % partitions``, as `publish_kafka` does.
    config
        More of librdkafka's configuration, for example ``sasl.password``.
    drain
        End at the offsets that were the ends when the run began, instead of waiting for more.
    batch_rows
        Messages in a chunk, at most.
    epoch_bytes
        Bytes that a partition emits between two snapshots, at most.
    max_event_bytes
        A longer line is too long.
    outage_seconds
        How long all brokers may be away in the middle of a run.
    on_outage
        Called with a message and None when they go away, and with the seconds that they were
        away when one is back.
    stop
        Set it to end with a last snapshot.

    Raises
    ------
    SourceError
        When the run begins: no broker answers within ten seconds, the topic is not there, or we
        are refused. At any time: records were deleted before they were read.
    StateError
        The topic has another number of partitions than when the state was made.
    StoreError
        The brokers were away for too long.
    """

    def __init__(
        self,
        brokers: str,
        topic: str,
        *,
        config: Mapping[str, str] | None = None,
        drain: bool = False,
        batch_rows: int = 16_384,
        epoch_bytes: int = EPOCH_BYTES,
        max_event_bytes: int = 1 << 20,
        outage_seconds: float = 600.0,
        on_outage: OnOutage | None = None,
        stop: StopFlag | None = None,
    ) -> None:
        self._brokers = brokers
        self._topic = topic
        self._drain = drain
        self._epoch_bytes = epoch_bytes
        self._max_event_bytes = max_event_bytes
        self._stop = stop
        self._partitions: int | None = None
        self._cluster = Cluster(brokers, config or {})
        self._reader = KafkaReader(
            self._cluster,
            topic,
            drain=drain,
            batch_rows=batch_rows,
            outage_seconds=outage_seconds,
            on_outage=on_outage,
        )

    def describe(self) -> str:
        """The topic and the brokers."""
        return f"topic {self._topic} at {self._brokers}"

    def partitions(self) -> int:
        """As many as the topic has."""
        if self._partitions is None:
            try:
                self._partitions = self._cluster.partitions(self._reader.consumer, self._topic)
            except StoreError as error:
                raise SourceError(str(error)) from None
        return self._partitions

    def lags(self) -> Mapping[int, int]:
        """See `EventSource.lags`."""
        return self._reader.lags()

    def build_part(
        self, step_id: str, for_part: str, resume_state: KafkaState | None
    ) -> _KafkaPartition:
        """Begin at the oldest record, or go on after the last one read."""
        return _KafkaPartition(self, self._reader, int(for_part), resume_state)


class _KafkaPartition(LinePartition[KafkaState]):
    def __init__(
        self, source: KafkaSource, reader: KafkaReader, number: int, state: KafkaState | None
    ) -> None:
        self._longest = source._max_event_bytes
        super().__init__(
            number,
            f"{source._topic}[{number}]",
            state,
            "offset",
            stop=source._stop,
            epoch_bytes=source._epoch_bytes,
        )
        self._partitions = source.partitions()
        had = state.get("partitions", self._partitions) if state else self._partitions
        if had != self._partitions:
            raise StateError(
                f"topic {source._topic} had {had} partitions when its state was made, and has "
                f"{self._partitions} now: events of a customer are in one and in another, in no "
                "order. Make a new topic with as many, and give another --data-dir"
            )
        self._reader = reader
        self._feed, self._offset, end = reader.begin(number, state["offset"] if state else None)
        # A topic that ends before what was read is another one, or the broker errs: reading tells.
        self._end = (end if self._offset <= end else _NOWHERE) if source._drain else None

    def read(self) -> list[RawChunk] | None:
        """The chunks of the messages that have come."""
        if self._end is not None and self._offset >= self._end:
            return None
        messages = self._reader.take(self._feed)
        self.pause = self._reader.pause
        if self._end is not None:
            # The last offsets may be markers of transactions, which never come.
            if not messages and self._feed.dry and self.number in self._reader.ended:
                return None
            messages = [message for message in messages if _offset(message) < self._end]
        traced = tracing.is_on()
        for message in messages:
            trace = _trace(message) if traced else None
            offset = _offset(message)
            value = message.value()
            if value is None:
                self.refuse(str(offset), offset, b"", "a message without a value (tombstone)")
            elif len(value) > self._longest and b"\n" not in value.rstrip(b"\n"):
                self.refuse(str(offset), offset, value, f"longer than {self._longest} bytes")
            else:
                self.add(str(offset), offset, value, message.timestamp()[1], trace)
            self._offset = offset + 1
        return self.taken()

    def state(self) -> KafkaState:
        """The next offset, how many chunks there were, and the partitions of the topic."""
        return {
            "version": STATE_VERSION,
            "offset": self._offset,
            "seq": self.seq,
            "partitions": self._partitions,
        }

    def close(self) -> None:
        """Read no more for this partition."""
        self._reader.close(self._feed)


def _trace(message: Message) -> bytes | None:
    """Return what travels with a message of a trace; its producer may be anyone."""
    headers: Any = message.headers() or ()
    for name, value in headers.items() if isinstance(headers, dict) else headers:
        if name == _TRACE_HEADER and isinstance(value, bytes):
            return value
    return None


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None
    return offset
