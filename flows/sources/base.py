"""What every event log shares: how it ends, how it is held back, what it emits.

Another log is one more file: a subclass of `EventSource` that lists its partitions, and a
subclass of `LogPartition` with a `read` and a `state`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from .chunk import RawChunk

S = TypeVar("S")
EPOCH_BYTES = 256 << 20


class StopFlag(Protocol):
    """Anything like `threading.Event`: once set, every source ends with a last snapshot."""

    def is_set(self) -> bool:
        """Whether the dataflow should end."""


class EventSource(FixedPartitionedSource[RawChunk, S]):
    """A partitioned, ordered, replayable log of events."""

    @abstractmethod
    def describe(self) -> str:
        """Where the events come from, in a few words for a person."""


class LogPartition(StatefulSourcePartition[RawChunk, S]):
    """One partition: reads until it is told to stop, at most so many bytes an epoch.

    Parameters
    ----------
    stop
        When set, the partition ends; what it emitted is covered by a last snapshot.
    epoch_bytes
        Bytes emitted between two snapshots, at most (by one chunk more). The engine puts
        no bound on what piles up before a slow step within an epoch; this does.
    pause
        Seconds to wait after a read that found nothing.
    """

    def __init__(
        self, *, stop: StopFlag | None, epoch_bytes: int = EPOCH_BYTES, pause: float = 0.001
    ) -> None:
        self._stop = stop
        self._epoch_bytes = epoch_bytes
        self._spent = 0
        self._pause = timedelta(seconds=pause)
        self._awake: datetime | None = None

    @abstractmethod
    def read(self) -> Sequence[RawChunk] | None:
        """The next chunks; empty if there are none yet, None if there will be none."""

    @abstractmethod
    def state(self) -> S:
        """Where the next read begins."""

    def next_batch(self) -> Sequence[RawChunk]:
        """The next chunks for the engine; see `read`."""
        if self._stop is not None and self._stop.is_set():
            raise StopIteration
        chunks = self.read() if self._spent < self._epoch_bytes else ()
        if chunks is None:
            raise StopIteration
        self._spent += sum(_size(chunk) for chunk in chunks)
        self._awake = None if chunks else datetime.now(UTC) + self._pause
        return chunks

    def next_awake(self) -> datetime | None:
        """At once after data, else after the pause."""
        return self._awake

    def snapshot(self) -> S:
        """Where to resume; a new epoch's credit begins."""
        self._spent = 0
        return self.state()


def _size(chunk: RawChunk) -> int:
    payload = chunk.payload
    return len(payload) if isinstance(payload, bytes) else int(payload.nbytes)
