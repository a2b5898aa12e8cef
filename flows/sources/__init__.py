"""Event logs that a dataflow reads: files, Valkey or Redis Streams, Kafka."""

from ..partitions import stream_keys
from .base import EventSource, LogPartition, StopFlag
from .chunk import RawChunk, count_records
from .files import FileSource
from .kafka import KafkaSource
from .kafka_publish import publish_kafka
from .valkey_stream import ValkeyStreamSource, publish, publish_events

__all__ = [
    "EventSource",
    "FileSource",
    "KafkaSource",
    "LogPartition",
    "RawChunk",
    "StopFlag",
    "ValkeyStreamSource",
    "count_records",
    "publish",
    "publish_events",
    "publish_kafka",
    "stream_keys",
]
