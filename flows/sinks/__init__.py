"""Where a dataflow writes: online rows, the event archive, dead letters, Kafka topics."""

from .archive import ArchiveSink
from .base import KeyedSink
from .dead_letters import DeadLetterSink
from .flush import RowFlush
from .kafka import KafkaMessage, KafkaSink
from .rows import RowSink

__all__ = [
    "ArchiveSink",
    "DeadLetterSink",
    "KafkaMessage",
    "KafkaSink",
    "KeyedSink",
    "RowFlush",
    "RowSink",
]
