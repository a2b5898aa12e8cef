"""Event logs that a dataflow reads: files, and Valkey or Redis Streams."""

from .base import EventSource, LogPartition, StopFlag
from .chunk import RawChunk, count_records
from .files import FileSource
from .valkey_stream import ValkeyStreamSource, publish, publish_events, stream_keys

__all__ = [
    "EventSource",
    "FileSource",
    "LogPartition",
    "RawChunk",
    "StopFlag",
    "ValkeyStreamSource",
    "count_records",
    "publish",
    "publish_events",
    "stream_keys",
]
