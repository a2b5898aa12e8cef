"""Valkey or Redis Streams as the event log: each entry a blob of NDJSON lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import msgspec
import redis

from ...features.errors import EventError, StateError, StoreError
from ..connection import ask, pool, store_errors, without_password
from .base import EPOCH_BYTES, EventSource, LogPartition, StopFlag
from .chunk import RawChunk, count_records

FIELD = b"events"
_FETCH_BYTES = 4 << 20
_FETCH_ENTRIES = 512
_PAUSE_SECONDS = 0.002
_KEPT_BYTES = 4096

_Entry = tuple[bytes, dict[bytes, bytes]]


class StreamState(TypedDict):
    """Where reading goes on: plain values, so that a stored one outlives this code."""

    version: int
    id: str
    entries: int
    position: int
    seq: int
    trimmed: int


def stream_keys(stream: str, partitions: int | None) -> list[str]:
    """The keys of a log's partitions, in order.

    >>> stream_keys("events", 2), stream_keys("events", None)
    (['events:0', 'events:1'], ['events'])
    """
    return [stream] if partitions is None else [f"{stream}:{p}" for p in range(partitions)]


def publish(client: redis.Redis, stream: str, events: bytes | Sequence[bytes]) -> str:
    """Append events to a stream, in one round trip.

    Parameters
    ----------
    client
        A client of the server that holds the stream.
    stream
        The key, as `stream_keys` names it.
    events
        One blob of NDJSON lines, or several: each blob becomes one entry. Many lines in a
        blob are far cheaper than many blobs.

    Returns
    -------
    str
        The id of the last entry.

    Raises
    ------
    EventError
        No blob, or one without a record.
    StoreError
        The server is away or refuses. Events sent before it went may be in the log; send
        them again, an event id counts once.

    Examples
    --------
    >>> publish(client, "events", [b'{"event_id":"1"}\\n'])  # doctest: +SKIP
    '1700000000000-0'
    """
    blobs = [events] if isinstance(events, bytes) else list(events)
    if not blobs:
        raise EventError("no events to publish")
    for number, blob in enumerate(blobs):
        if not blob.strip():
            raise EventError("no event in this blob", f"$[{number}]")
    with store_errors(stream):
        pipeline = client.pipeline(transaction=False)
        for blob in blobs:
            ask(pipeline, "XADD", stream, "*", FIELD, blob)
        ids: list[Any] = pipeline.execute()
    last = ids[-1]
    return last.decode() if isinstance(last, bytes) else str(last)


class ValkeyStreamSource(EventSource[StreamState]):
    """Events from streams, each stream a partition, resumed after the last entry read.

    Each entry has a field `events`, a blob of NDJSON lines, and becomes one chunk. An entry
    without that field becomes a chunk with a fault.

    Parameters
    ----------
    url
        The server, as `redis.Redis.from_url` takes it.
    stream
        The stream's key, or with `partitions` the beginning of the keys: `{stream}:{p}`.
    partitions
        How many streams make the log; None: the one stream is all of it.
    drain
        End at the entry that was the last one when the run began, instead of waiting for
        more: for batch runs and tests.
    epoch_bytes
        Bytes that a partition emits between two snapshots, at most.
    timeout
        Seconds to wait for an answer.
    stop
        Set it to end with a last snapshot.

    Raises
    ------
    StoreError
        The server is away or refuses, the key is no stream, the stream ends before the
        place to resume at, or entries were trimmed before they were read.
    """

    def __init__(
        self,
        url: str,
        stream: str = "events",
        *,
        partitions: int | None = None,
        drain: bool = False,
        epoch_bytes: int = EPOCH_BYTES,
        timeout: float = 10.0,
        stop: StopFlag | None = None,
    ) -> None:
        self._url = url
        self._keys = stream_keys(stream, partitions)
        self._drain = drain
        self._epoch_bytes = epoch_bytes
        self._timeout = timeout
        self._stop = stop

    def describe(self) -> str:
        """The server and the keys."""
        return f"{', '.join(self._keys)} at {without_password(self._url)}"

    def list_parts(self) -> list[str]:
        """The partitions' numbers."""
        return [str(p) for p in range(len(self._keys))]

    def build_part(
        self, step_id: str, for_part: str, resume_state: StreamState | None
    ) -> _StreamPartition:
        """Begin at the oldest entry, or go on after the last one read."""
        number = int(for_part)
        return _StreamPartition(self, number, self._keys[number], resume_state)


class _StreamPartition(LogPartition[StreamState]):
    def __init__(
        self, source: ValkeyStreamSource, number: int, key: str, state: StreamState | None
    ) -> None:
        super().__init__(stop=source._stop, epoch_bytes=source._epoch_bytes, pause=_PAUSE_SECONDS)
        self._number = number
        self._key = key
        self._url = source._url
        self._client = redis.Redis(connection_pool=pool(source._url, seconds=source._timeout))
        if state is not None and "id" not in state:
            raise StateError(f"{key}: the state is that of another kind of source")
        if state is not None and state["version"] != 1:
            raise StoreError(f"{key}: a position of version {state['version']} is not known")
        self._last = state["id"] if state else "0-0"
        self._entries = state["entries"] if state else 0
        self._position = state["position"] if state else 0
        self._seq = state["seq"] if state else 0
        end, trimmed = self._inspect()
        self._trimmed = state["trimmed"] if state else trimmed
        self._check(end, trimmed)
        self._end = _order(end) if source._drain else None
        self._count = 16

    def _inspect(self) -> tuple[str, int]:
        """The last id ever given, and how many entries are gone from the stream."""
        with store_errors(self._url):
            if not ask(self._client, "EXISTS", self._key):
                return "0-0", 0
            info: Any = ask(self._client, "XINFO STREAM", self._key)
        facts = {_text(name): value for name, value in dict(info).items()}
        gone = int(facts.get("entries-added", facts["length"])) - int(facts["length"])
        return _text(facts["last-generated-id"]), gone

    def _check(self, end: str, trimmed: int) -> None:
        if _order(end) < _order(self._last):
            raise StoreError(
                f"{self._key}: ends at {end}, before {self._last}, which was read already: it was "
                "deleted or restored from an older copy. If it is to go on from here: "
                f"XSETID {self._key} {self._last}"
            )
        lost = trimmed - self._trimmed - self._entries
        if lost > 0:
            raise StoreError(
                f"{self._key}: {lost} entries after {self._last} were trimmed before they were "
                "read; keep more of the stream than a worker can be behind"
            )

    def read(self) -> list[RawChunk] | None:
        """The chunks of the entries that have come."""
        if self._end is not None and _order(self._last) >= self._end:
            return None
        # Not XREAD BLOCK: it would hold up every other step of this worker.
        with store_errors(self._url):
            entries: list[_Entry] = ask(
                self._client, "XRANGE", self._key, f"({self._last}", "+", "COUNT", self._count
            )
        if not entries:
            return [] if self._end is None else None
        chunks = [self._chunk(fields) for _, fields in entries]
        size = sum(len(chunk.payload) for chunk in chunks if isinstance(chunk.payload, bytes))
        self._count = max(1, min(_FETCH_ENTRIES, _FETCH_BYTES * len(entries) // (size + 1)))
        self._last = _text(entries[-1][0])
        return [chunk for chunk in chunks if chunk.records]

    def _chunk(self, fields: dict[bytes, bytes]) -> RawChunk:
        self._entries += 1
        blob = fields.get(FIELD)
        fault = None
        size = 0
        if blob is None:
            whole = msgspec.json.encode([[_text(k), _text(v)] for k, v in fields.items()])
            fault = f"an entry without the field `{FIELD.decode()}`"
            blob, size = whole[:_KEPT_BYTES], len(whole)
        records = 1 if fault else count_records(blob)
        chunk = RawChunk(
            partition=self._number,
            position=self._position,
            format="ndjson",
            payload=blob,
            origin=self._key,
            line=self._entries,
            seq=self._seq,
            records=records,
            fault=fault,
            size=size,
        )
        self._position += records
        self._seq += records > 0
        return chunk

    def state(self) -> StreamState:
        """The last entry read and the counts up to it."""
        return {
            "version": 1,
            "id": self._last,
            "entries": self._entries,
            "position": self._position,
            "seq": self._seq,
            "trimmed": self._trimmed,
        }

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()


def _order(entry_id: str) -> tuple[int, int]:
    time, _, number = entry_id.partition("-")
    return int(time), int(number or 0)


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
