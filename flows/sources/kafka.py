"""A Kafka topic as the event log: each message one or several NDJSON lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

from ...features.errors import SourceError, StateError, StoreError
from .base import EPOCH_BYTES, EventSource, StopFlag
from .chunk import RawChunk, count_records
from .kafka_client import Cluster
from .kafka_reader import KafkaReader
from .lines import LinePartition
from .outage import OnOutage

if TYPE_CHECKING:
    from confluent_kafka import Message

_KEPT_BYTES = 4096


class KafkaState(TypedDict):
    """Where reading goes on: plain values, so that a stored one outlives this code."""

    version: int
    offset: int
    position: int
    seq: int


class KafkaSource(EventSource[KafkaState]):
    """Events from a topic, resumed at the very record.

    Partitions are assigned, not subscribed to: who reads what is known beforehand, and offsets
    are kept in the dataflow's own snapshots and nowhere else. Messages that come together become
    one chunk. Its origin is ``topic[partition]@offset`` of the first one, and if messages are of
    one line each, line ``n`` of it is that of offset ``+ n - 1``. A message without a value, or of
    a line that is too long, becomes a chunk with a fault.

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

    def build_part(
        self, step_id: str, for_part: str, resume_state: KafkaState | None
    ) -> _KafkaPartition:
        """Begin at the oldest record, or go on after the last one read."""
        return _KafkaPartition(self, self._reader, int(for_part), resume_state)


class _KafkaPartition(LinePartition[KafkaState]):
    def __init__(
        self, source: KafkaSource, reader: KafkaReader, number: int, state: KafkaState | None
    ) -> None:
        self._name = f"{source._topic}[{number}]"
        if state is not None and "offset" not in state:
            raise StateError(f"{self._name}: the state is that of another kind of source")
        if state is not None and state["version"] != 1:
            raise SourceError(f"{self._name}: a position of version {state['version']} is unknown")
        self._longest = source._max_event_bytes
        super().__init__(
            number,
            state["position"] if state else 0,
            state["seq"] if state else 0,
            stop=source._stop,
            epoch_bytes=source._epoch_bytes,
        )
        self._reader = reader
        self._feed, self._offset, end = reader.begin(number, state["offset"] if state else None)
        self._end = end if source._drain else None
        self._first = self._offset

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
        chunks: list[RawChunk] = []
        lines: list[bytes] = []
        for message in messages:
            offset = _offset(message)
            value = message.value()
            if value is None:
                self._join(chunks, lines)
                fault = "a message without a value (tombstone)"
                chunks.append(self._fault(b"", offset, fault, 0))
            elif len(value) > self._longest and b"\n" not in value.rstrip(b"\n"):
                self._join(chunks, lines)
                fault = f"longer than {self._longest} bytes"
                chunks.append(self._fault(value[:_KEPT_BYTES], offset, fault, len(value)))
            else:
                if lines and offset != self._offset:
                    self._join(chunks, lines)
                if not lines:
                    self._first = offset
                lines.append(value.rstrip(b"\n"))
            self._offset = offset + 1
        self._join(chunks, lines)
        return chunks

    def _join(self, chunks: list[RawChunk], lines: list[bytes]) -> None:
        """Make the messages so far a chunk."""
        if lines:
            lines.append(b"")
            payload = b"\n".join(lines)
            lines.clear()
            records = count_records(payload)
            if records:
                origin = f"{self._name}@{self._first}"
                chunks.append(self.chunk(payload, records, origin=origin, line=1))

    def _fault(self, payload: bytes, offset: int, fault: str, size: int) -> RawChunk:
        origin = f"{self._name}@{offset}"
        return self.chunk(payload, 1, origin=origin, line=1, fault=fault, size=size)

    def state(self) -> KafkaState:
        """The next offset and the counts up to it."""
        return {
            "version": 1,
            "offset": self._offset,
            "position": self.position,
            "seq": self.seq,
        }

    def close(self) -> None:
        """Read no more for this partition."""
        self._reader.close(self._feed)


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None
    return offset
