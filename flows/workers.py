"""Which worker of a cluster this is, and what therefore belongs to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Worker:
    """One of the workers of a cluster; each has a process of its own.

    Partition ``p`` of a log and shard ``s`` belong to worker ``p % count`` and ``s % count``: if
    a log is partitioned by ``shard % partitions`` and the workers divide the partitions, an event
    is read, computed and stored in one process.

    Examples
    --------
    >>> [p for p in range(6) if Worker(1, 2).owns(p)]
    [1, 3, 5]
    """

    index: int = 0
    count: int = 1

    def owns(self, number: int) -> bool:
        """Is the partition or shard of this number this worker's?"""
        return number % self.count == self.index
