"""Valkey or Redis Streams as the event log: each entry a blob of NDJSON lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict

import msgspec
import redis

from ...features.errors import EventError
from ...features.store_url import without_password
from ..connection import ask, store_errors
from ..partitions import FIELD, customers_of, events_in, packed, partitions_of, stream_keys
from ..telemetry.context import TRACE_FIELD
from .base import EPOCH_BYTES, EventSource, StopFlag
from .chunk import RawChunk
from .lines import STATE_VERSION, LinePartition
from .outage import OnOutage
from .valkey_reader import Entry, Place, StreamReader, order, text

_TRIM_SECONDS = 5.0


class StreamState(TypedDict):
    """Where reading goes on: plain values, so that a stored one outlives this code."""

    version: int
    id: str
    entries: int
    seq: int
    trimmed: int
    server: str


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
    return text(ids[-1])


def publish_events(
    client: redis.Redis,
    stream: str,
    lines: bytes | Iterable[bytes],
    partitions: int | None,
    shards: int,
) -> dict[str, str]:
    """Append each event to the partition of its customer, in one round trip.

    Parameters
    ----------
    client
        A client of the server that holds the streams.
    stream
        The key, or with `partitions` the beginning of the keys, as `ValkeyStreamSource` takes it.
    lines
        NDJSON, whole or line by line. A line that cannot be read goes to the first partition,
        where it becomes a dead letter.
    partitions
        How many streams make the log; None: the one stream is all of it.
    shards
        How many shards the log's workers have: `Settings.shards`.

    Returns
    -------
    dict[str, str]
        The last id in each stream that was appended to.

    Raises
    ------
    EventError
        No event.
    StoreError
        As for `publish`.
    """
    keys = stream_keys(stream, partitions)
    events = list(events_in(lines))
    if not events:
        raise EventError("no events to publish")
    numbers = partitions_of(customers_of(events), len(keys), shards).tolist()
    blobs = packed(events, numbers, len(keys))
    sent = [(key, blob) for key, mine in zip(keys, blobs, strict=True) for blob in mine]
    with store_errors(stream):
        pipeline = client.pipeline(transaction=False)
        for key, blob in sent:
            ask(pipeline, "XADD", key, "*", FIELD, b"\n".join(events[i] for i in blob) + b"\n")
        ids: list[Any] = pipeline.execute()
    return {key: text(last) for (key, _), last in zip(sent, ids, strict=True)}


class ValkeyStreamSource(EventSource[StreamState]):
    """Events from streams, each stream a partition, resumed after the last entry read.

    Each entry has a field `events`, a blob of NDJSON lines; entries that have come together make
    a chunk. An entry without that field, or of more than 2^20 lines, becomes a chunk with a fault.

    A record's position is made of its entry's ordinal among all entries ever added to the stream,
    as the server counts them (``entries-added``), and its own in the entry; `Publisher` tells
    producers the same. Trimming leaves that count as it is; entries that are deleted one by one
    (XDEL) before they were read do not, and receipts of later ones would then never be reached.

    A server that goes away in the middle of a run is waited for. If it has lost the tail of its
    append-only file, entries that were read already, the stream's last id is set to the last one
    read: an id that is given out a second time would be passed over.

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
        Seconds to wait for an answer when the run begins; later no answer within a second
        is an outage.
    retention_seconds
        Age at which entries are trimmed, if a snapshot that covers them is committed; 0: never.
    outage_seconds
        How long the server may be away in the middle of a run.
    on_outage
        Called with a message and None when the server goes away, and with the seconds that it
        was away when it is back.
    reconnect
        Called before each attempt to reach a server that is away, in a thread of its own; it
        may start the server again.
    stop
        Set it to end with a last snapshot.

    Raises
    ------
    StoreError
        The server is away when the run begins or for too long, or refuses; the key is no stream,
        the stream ends far before the place to resume at, or entries were trimmed before they
        were read.
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
        retention_seconds: float = 0.0,
        outage_seconds: float = 600.0,
        on_outage: OnOutage | None = None,
        reconnect: Callable[[], None] | None = None,
        stop: StopFlag | None = None,
    ) -> None:
        self._url = url
        self._keys = stream_keys(stream, partitions)
        self._drain = drain
        self._epoch_bytes = epoch_bytes
        self._timeout = timeout
        self._retention_seconds = retention_seconds
        self._outage_seconds = outage_seconds
        self._on_outage = on_outage
        self._reconnect = reconnect
        self._stop = stop
        self._reader: StreamReader | None = None

    def describe(self) -> str:
        """The server and the keys."""
        return f"{', '.join(self._keys)} at {without_password(self._url)}"

    def partitions(self) -> int:
        """One for each stream."""
        return len(self._keys)

    def lags(self) -> Mapping[int, int]:
        """See `EventSource.lags`; as the server counts entries."""
        return {} if self._reader is None else self._reader.lags()

    def build_part(
        self, step_id: str, for_part: str, resume_state: StreamState | None
    ) -> _StreamPartition:
        """Begin at the oldest entry, or go on after the last one read."""
        number = int(for_part)
        if self._reader is None:
            self._reader = StreamReader(
                self._url,
                timeout=self._timeout,
                outage_seconds=self._outage_seconds,
                on_outage=self._on_outage,
                reconnect=self._reconnect,
            )
        return _StreamPartition(self, self._reader, number, self._keys[number], resume_state)


class _StreamPartition(LinePartition[StreamState]):
    def __init__(
        self,
        source: ValkeyStreamSource,
        reader: StreamReader,
        number: int,
        key: str,
        state: StreamState | None,
    ) -> None:
        super().__init__(
            number, key, state, "id", stop=source._stop, epoch_bytes=source._epoch_bytes
        )
        self._key = key
        self._last = state["id"] if state else "0-0"
        self._entries = state["entries"] if state else 0
        self._reader = reader
        known = (state["trimmed"], state["server"]) if state else (None, None)
        self._place = Place(key, self._last, self._entries, *known)
        self._feed, end = reader.begin(number, self._place)
        self._trimmed = self._place.trimmed or 0
        self._end = order(end) if source._drain else None
        self._retention = source._retention_seconds
        # Ids at the last two snapshots: the engine commits one before it asks for the next but
        # one, and tells us in no other way.
        self._snapshots = ("0-0", "0-0")
        self._trim_at = time.monotonic() + _TRIM_SECONDS

    def read(self) -> list[RawChunk] | None:
        """The chunks of the entries that have come."""
        if self._end is not None and order(self._last) >= self._end:
            return None
        entries: Sequence[Entry] = self._reader.take(self._feed)
        self.pause = self._reader.pause
        if self._end is not None:
            if self._feed.dry and not entries:
                return None  # what was the last entry has been deleted
            entries = [entry for entry in entries if order(text(entry[0])) <= self._end]
        ordinal = self._trimmed + self._entries
        for entry, fields in entries:
            blob = fields.get(FIELD)
            if blob is None:
                whole = msgspec.json.encode([[text(k), text(v)] for k, v in fields.items()])
                fault = f"an entry without the field `{FIELD.decode()}`"
                self.refuse(text(entry), ordinal, whole, fault)
            else:
                name = text(entry)
                self.add(name, ordinal, blob, order(name)[0], fields.get(TRACE_FIELD))
            ordinal += 1
        if entries:
            self._entries += len(entries)
            self._last = text(entries[-1][0])
        return self.taken()

    def state(self) -> StreamState:
        """The last entry read and the counts up to it."""
        committed, previous = self._snapshots
        self._snapshots = (previous, self._last)
        if self._retention > 0 and time.monotonic() >= self._trim_at:
            self._trim_at = time.monotonic() + _TRIM_SECONDS
            self._reader.trim(self._key, committed, self._retention)
        return {
            "version": STATE_VERSION,
            "id": self._last,
            "entries": self._entries,
            "seq": self.seq,
            "trimmed": self._trimmed,
            "server": self._place.server or "",
        }

    def close(self) -> None:
        """Read no more for this partition."""
        self._reader.close(self._feed)
