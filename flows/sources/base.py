"""What every event log shares: how it ends, how it is held back, what it emits.

Another log is one more file: a subclass of `EventSource` that says how many partitions it has,
and a subclass of `LogPartition` with a `read` and a `state`. If its partitions can be read
together, they take their records from a `SharedReader`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar, final

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from .chunk import RawChunk

S = TypeVar("S")
EPOCH_BYTES = 256 << 20
PAUSE_SECONDS = 0.001
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class StopFlag(Protocol):
    """Anything like `threading.Event`: once set, every source ends with a last snapshot."""

    def is_set(self) -> bool:
        """Whether the dataflow should end."""


class EventSource(FixedPartitionedSource[RawChunk, S]):
    """A partitioned, ordered, replayable log of events."""

    @abstractmethod
    def describe(self) -> str:
        """Where the events come from, in a few words for a person."""

    @abstractmethod
    def partitions(self) -> int:
        """How many partitions the log has."""

    def lags(self) -> Mapping[int, int]:
        """By partition that is read here: entries not read yet; of files none, nobody knows.

        May be asked by any thread.

        Raises
        ------
        NextbestError, redis.RedisError
            The log does not answer.
        """
        return {}

    @final
    def list_parts(self) -> list[str]:
        """The names of the partitions: their numbers."""
        return [str(p) for p in range(self.partitions())]


class LogPartition(StatefulSourcePartition[RawChunk, S]):
    """One partition: reads until it is told to stop, at most so many bytes an epoch.

    Parameters
    ----------
    stop
        When set, the partition ends; what it emitted is covered by a last snapshot.
    epoch_bytes
        Bytes emitted between two snapshots, at most (by one read more). The engine puts
        no bound on what piles up before a slow step within an epoch; this does.

    Attributes
    ----------
    pause
        Seconds until the next read after one that found nothing. A `read` may set it.
    """

    def __init__(self, *, stop: StopFlag | None, epoch_bytes: int = EPOCH_BYTES) -> None:
        self.pause = PAUSE_SECONDS
        self._stop = stop
        self._epoch_bytes = epoch_bytes
        self._spent = 0
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
        if self._spent >= self._epoch_bytes:
            self._awake = datetime.now(UTC) + timedelta(seconds=PAUSE_SECONDS)
            return ()
        # The engine counts from before the call: a time after a read that waited, even the
        # present one, would make it wait as long once more.
        began = datetime.now(UTC)
        chunks = self.read()
        if chunks is None:
            raise StopIteration
        self._spent += sum(_size(chunk) for chunk in chunks)
        pause = began + timedelta(seconds=self.pause) if self.pause else _LONG_AGO
        self._awake = None if chunks else pause
        return chunks

    def next_awake(self) -> datetime | None:
        """None: at once, after data; else after the pause."""
        return self._awake

    def snapshot(self) -> S:
        """Where to resume; a new epoch's credit begins."""
        self._spent = 0
        return self.state()


def _size(chunk: RawChunk) -> int:
    payload = chunk.payload
    return len(payload) if isinstance(payload, bytes) else int(payload.nbytes)
