"""Logs whose entries are lines: where in the log a run of them stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from ...features.errors import StateError
from ..partitions import LINE_BITS, MAX_LINES, NO_TIME
from ..telemetry.context import parent_in
from .base import LogPartition, StopFlag
from .chunk import Entries, RawChunk, count_records

S = TypeVar("S")
STATE_VERSION = 2
"""1 counted records where 2 counts entries: a place of the one means nothing to the other."""
_JOINED_BYTES = 1 << 20
_KEPT_BYTES = 4096
_NO_TRACES: Mapping[int, str] = {}
_FIRST_MS = 1_000_000_000_000  # 2001: what counts from elsewhere is no time


class LinePartition(LogPartition[S]):
    """A partition whose entries become chunks: those that came together become one.

    A chunk takes the same time for one event as for many.

    Parameters
    ----------
    number, name
        Of the partition: which, and what to call it.
    state
        What an earlier one left behind; None: it begins.
    mark
        The key in the state that no other kind of source has.
    stop, epoch_bytes
        See `LogPartition`.

    Attributes
    ----------
    seq
        Chunks emitted before.

    Raises
    ------
    StateError
        The state is that of another kind of source, or of another version.
    """

    def __init__(
        self,
        number: int,
        name: str,
        state: Mapping[str, Any] | None,
        mark: str,
        *,
        stop: StopFlag | None,
        epoch_bytes: int,
    ) -> None:
        super().__init__(stop=stop, epoch_bytes=epoch_bytes)
        self.number = number
        self.name = name
        if state is not None and mark not in state:
            raise StateError(f"{name}: the state is that of another kind of source")
        if state is not None and state["version"] != STATE_VERSION:
            raise StateError(
                f"{name}: a place of version {state['version']} in the log, this version of "
                f"nextbest has {STATE_VERSION}; go on with the version that made it, or begin in "
                "another data directory"
            )
        self.seq: int = state["seq"] if state else 0
        self._chunks: list[RawChunk] = []
        self._blobs: list[bytes] = []
        self._names: list[str] = []
        self._places: list[tuple[int, int]] = []  # ordinal, lines
        self._times: list[int] = []
        self._traces: dict[int, str] = {}
        self._size = 0

    def add(
        self, name: str, ordinal: int, blob: bytes, time_ms: int = -1, trace: bytes | None = None
    ) -> None:
        """Take an entry of lines.

        Parameters
        ----------
        name, ordinal, blob
            Its id, how many the log had before it, and what it holds.
        time_ms
            When the log took it in, milliseconds.
        trace
            The trace that it is part of, as it was published.
        """
        lines = blob.count(b"\n")
        if not blob.endswith(b"\n"):
            blob += b"\n"
            lines += 1
        if lines > MAX_LINES:
            self.refuse(name, ordinal, blob, f"more than {MAX_LINES:,} lines in one entry")
            return
        parent = None if trace is None else parent_in(trace)
        if parent is not None:
            self._traces[len(self._blobs)] = parent
        self._blobs.append(blob)
        self._names.append(name)
        self._places.append((ordinal, lines))
        self._times.append(time_ms * 1000 if time_ms >= _FIRST_MS else NO_TIME)
        self._size += len(blob)
        if self._size > _JOINED_BYTES:
            self._join()

    def refuse(self, name: str, ordinal: int, entry: bytes, fault: str) -> None:
        """Take an entry that is a dead letter as a whole."""
        self._join()
        head = entry[:_KEPT_BYTES]
        self._emit(head, 1, [name], [(ordinal, 1)], fault=fault, size=len(entry))

    def taken(self) -> list[RawChunk]:
        """Return the chunks of what was taken."""
        self._join()
        chunks, self._chunks = self._chunks, []
        return chunks

    def _join(self) -> None:
        payload = b"".join(self._blobs)
        records = count_records(payload)
        if records:
            self._emit(
                payload, records, self._names, self._places, times=self._times, traces=self._traces
            )
        self._blobs, self._names, self._places, self._size = [], [], [], 0
        self._times, self._traces = [], {}

    def _emit(
        self,
        payload: bytes,
        records: int,
        names: list[str],
        places: list[tuple[int, int]],
        *,
        times: list[int] | None = None,
        traces: Mapping[int, str] = _NO_TRACES,
        fault: str | None = None,
        size: int = 0,
    ) -> None:
        ordinals, lines = np.array(places, np.int64).T
        held = lines
        if fault is None and lines.sum() != records:  # some are blank
            held = np.array([count_records(blob) for blob in self._blobs], np.int64)
        positions = ordinals << LINE_BITS
        took = None if times is None else np.array(times, np.int64)
        chunk = RawChunk(
            partition=self.number,
            position=int(positions[np.argmax(held > 0)]),
            format="ndjson",
            payload=payload,
            origin=self.name,
            line=1,
            seq=self.seq,
            records=records,
            fault=fault,
            size=size,
            entries=Entries(
                names, lines.cumsum() - lines, held.cumsum() - held, positions, took, traces
            ),
        )
        self._chunks.append(chunk)
        self.seq += 1
