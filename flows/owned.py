"""Sources, steps and sinks as one worker of a cluster holds them.

Each worker lists only the partitions that are its own, so that the engine leaves them there; and
the first failure is noted, because the engine of a cluster keeps nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from .cluster import Member
from .pacing import Pace

X = TypeVar("X")
Y = TypeVar("Y")

_EMPTY_READS = 8
"""Reads that bring nothing and end a long call: a source may leave some out after data."""


class OwnedSource(FixedPartitionedSource[Any, Any]):
    """The partitions of a source that belong to this worker, kept in step with the others'.

    Parameters
    ----------
    source
        Whose partitions have numbers for names.
    member
        This process.
    epoch_seconds
        How long an epoch lasts.
    """

    def __init__(
        self, source: FixedPartitionedSource[Any, Any], member: Member, epoch_seconds: float
    ) -> None:
        self._source = source
        self._member = member
        self._epoch_seconds = epoch_seconds

    def list_parts(self) -> list[str]:
        """The partitions of this worker; none, if there are fewer than workers."""
        self._member.formed.set()  # the engine asks when its processes are connected
        return [p for p in self._source.list_parts() if self._member.worker.owns(int(p))]

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> _OwnedPartition:
        """Begin, or go on."""
        with self._member.noting():
            part = self._source.build_part(step_id, for_part, resume_state)
        return _OwnedPartition(part, self._member, Pace(self._epoch_seconds))


class _OwnedPartition(StatefulSourcePartition[Any, Any]):
    def __init__(self, part: StatefulSourcePartition[Any, Any], member: Member, pace: Pace) -> None:
        self._part = part
        self._member = member
        self._pace = pace

    def next_batch(self) -> Sequence[Any]:
        self._pace.called()
        if self._pace.rests():
            return ()
        with self._member.noting():
            items = list(self._part.next_batch())
            end, empty = time.monotonic() + self._pace.reading_seconds(), 0
            while items and empty < _EMPTY_READS and time.monotonic() < end:
                more = self._read_on()
                empty = 0 if more else empty + 1
                items.extend(more)
        if items:
            self._pace.brought()
        return items

    def _read_on(self) -> Sequence[Any]:
        try:
            return list(self._part.next_batch())
        except StopIteration:
            return ()  # it will end at the next call too

    def next_awake(self) -> datetime | None:
        return self._pace.awake(self._part.next_awake())

    def snapshot(self) -> Any:
        self._pace.epoch_ended()
        with self._member.noting():
            return self._part.snapshot()

    def close(self) -> None:
        self._part.close()


class OwnedSink(FixedPartitionedSink[Any, Any]):
    """The partitions of a sink that belong to this worker.

    Parameters
    ----------
    sink
        The sink; every worker makes the same.
    member
        This process.
    owner
        The number of the worker that a partition belongs to, from its name.
    """

    def __init__(
        self, sink: FixedPartitionedSink[Any, Any], member: Member, owner: Callable[[str], int]
    ) -> None:
        self._sink = sink
        self._member = member
        self._owner = owner

    def list_parts(self) -> list[str]:
        """The partitions of this worker."""
        return [p for p in self._sink.list_parts() if self._owner(p) == self._member.index]

    def part_fn(self, item_key: str) -> int:
        """The number, among all workers' partitions, of the one for this key."""
        with self._member.noting():
            return self._sink.part_fn(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> _OwnedSinkPartition:
        """Begin, or go on."""
        with self._member.noting():
            part = self._sink.build_part(step_id, for_part, resume_state)
        return _OwnedSinkPartition(part, self._member)


class _OwnedSinkPartition(StatefulSinkPartition[Any, Any]):
    def __init__(self, part: StatefulSinkPartition[Any, Any], member: Member) -> None:
        self._part = part
        self._member = member

    def write_batch(self, items: list[Any]) -> None:
        with self._member.noting():
            self._part.write_batch(items)

    def snapshot(self) -> Any:
        with self._member.noting():
            return self._part.snapshot()

    def close(self) -> None:
        with self._member.noting():
            self._part.close()


def noting_failures(step: Callable[[X], Iterator[Y]], member: Member) -> Callable[[X], Iterator[Y]]:
    """Return a step that yields, such that its first failure is noted."""

    def noted(item: X) -> Iterator[Y]:
        with member.noting():
            yield from step(item)

    return noted


def owned_logic(
    build: Callable[[Any], StatefulBatchLogic[Any, Any, Any]], member: Member
) -> Callable[[Any], StatefulBatchLogic[Any, Any, Any]]:
    """Return a builder of logics whose failures are noted."""

    def owned(resume: Any) -> StatefulBatchLogic[Any, Any, Any]:
        with member.noting():
            return _OwnedLogic(build(resume), member)

    return owned


class _OwnedLogic(StatefulBatchLogic[Any, Any, Any]):
    def __init__(self, logic: StatefulBatchLogic[Any, Any, Any], member: Member) -> None:
        self._logic = logic
        self._member = member

    def _do(self, what: Callable[..., X], *args: Any) -> X:
        with self._member.noting():
            return what(*args)

    def on_batch(self, values: list[Any]) -> Any:
        return self._do(self._logic.on_batch, values)

    def on_notify(self) -> Any:
        return self._do(self._logic.on_notify)

    def on_eof(self) -> Any:
        return self._do(self._logic.on_eof)

    def notify_at(self) -> datetime | None:
        return self._logic.notify_at()

    def snapshot(self) -> Any:
        return self._do(self._logic.snapshot)
