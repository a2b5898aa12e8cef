"""What the partitions of a log tell, brought to the learners at about the same event time.

Of a backlog one partition may be read days ahead of another. What the ones behind tell would then
come too late to be learned in its place (`Learning.refused`). So what is more than `APART_US` ahead
of the slowest partition waits for it: of what is told nothing changes but when.

A partition that is silent holds nobody up for long: not after `IDLE_LOOKS` looks, which are about
a second apart, but none while the process stands still. At the end of the input everything is
released.

Knows no dataflow engine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace
from itertools import islice

import msgspec

from ...features.errors import StateError
from .open_decisions import Credit

APART_US = 43_200_000_000
"""How far ahead of the slowest partition something may be learned: half of what learners allow."""
IDLE_LOOKS = 10
MOST_HELD = 2_000_000
"""Credits that wait; of more, the oldest go."""


class _Moved(msgspec.Struct, array_like=True):
    """Of a partition: how many credits left from the front, and which came behind."""

    left: int
    came: list[Credit]


_Changes = dict[int, _Moved]
_ENCODER = msgspec.msgpack.Encoder()
_CHANGES = msgspec.msgpack.Decoder(_Changes)


class Aligner:
    """Holds back what is too far ahead.

    Parameters
    ----------
    partitions
        How many the log has.
    apart
        How far ahead of the slowest one something may be learned, microseconds.

    Attributes
    ----------
    clocks
        How far each is, microseconds; -1: nobody knows.

    Examples
    --------
    >>> aligner = Aligner(2)
    >>> ahead = Credit("sale", "d/0", 5 * APART_US, 1, "ann", "tea", 1.0, False, False, 0, {}, [])
    >>> aligner.hear(0, 5 * APART_US, [ahead])
    >>> aligner.released(), len(aligner)
    ([], 1)
    >>> aligner.hear(1, 4 * APART_US, [])
    >>> aligner.released() == [ahead]
    True
    """

    def __init__(self, partitions: int, apart: int = APART_US) -> None:
        self._apart = apart
        self._waiting: list[deque[Credit]] = [deque() for _ in range(partitions)]
        self.clocks = [-1] * partitions
        self._looks = 0
        self._heard = [0] * partitions
        self._kept = [0] * partitions  # of what the last change has, how many wait still
        self._left = [0] * partitions

    def __len__(self) -> int:
        """Return how many wait."""
        return sum(map(len, self._waiting))

    def hear(self, partition: int, newest: int, told: Sequence[Credit]) -> None:
        """Take what a partition tells, and its clock."""
        self._heard[partition] = self._looks
        self.clocks[partition] = max(self.clocks[partition], newest)
        self._waiting[partition].extend(told)

    def look(self) -> None:
        """Count a look at who is silent."""
        self._looks += 1

    def released(self, *, everything: bool = False) -> list[Credit]:
        """Return what need not wait any more, by time; each partition's is in its order."""
        if not any(self._waiting):
            return []
        idle = self._looks - IDLE_LOOKS
        slow = [c for p, c in enumerate(self.clocks) if self._heard[p] > idle]
        until = None if everything or not slow else min(slow) + self._apart
        out: list[Credit] = []
        heads = [(queue[0].time, p) for p, queue in enumerate(self._waiting) if queue]
        heapify(heads)
        over = len(self) - MOST_HELD
        while heads and (until is None or heads[0][0] <= until or len(out) < over):
            partition = heads[0][1]
            out.append(self._take(partition))
            queue = self._waiting[partition]
            if queue:
                heapreplace(heads, (queue[0].time, partition))
            else:
                heappop(heads)
        return out

    def _take(self, partition: int) -> Credit:
        if self._kept[partition]:
            self._kept[partition] -= 1
            self._left[partition] += 1
        return self._waiting[partition].popleft()

    def change(self) -> bytes | None:
        """Return what changed since this was called last; None: nothing."""
        waits = {}
        for partition, queue in enumerate(self._waiting):
            came = list(islice(queue, self._kept[partition], None))
            if came or self._left[partition]:
                waits[partition] = _Moved(self._left[partition], came)
            self._kept[partition], self._left[partition] = len(queue), 0
        return _ENCODER.encode(waits) if waits else None

    def all(self) -> bytes:
        """Return all that waits."""
        waits = {p: _Moved(0, list(queue)) for p, queue in enumerate(self._waiting) if queue}
        return _ENCODER.encode(waits)

    def restore(self, full: bytes | None, changes: Sequence[bytes]) -> None:
        """Take over what `all` and, after it, `change` returned elsewhere.

        Raises
        ------
        StateError
            If something is damaged, or of a log of other partitions.
        """
        try:
            for change in [*([] if full is None else [full]), *changes]:
                for partition, moved in _CHANGES.decode(change).items():
                    queue = self._waiting[partition]
                    for _ in range(moved.left):
                        queue.popleft()
                    queue.extend(moved.came)
        except (msgspec.DecodeError, IndexError) as error:
            raise StateError(f"what waits for other partitions is damaged: {error}") from error
        self._kept = [len(queue) for queue in self._waiting]
