"""A process's part in a cluster of workers, and what therefore belongs to it."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

from ..features.errors import NextbestError, SettingsError

_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})")


class ClusterError(NextbestError):
    """A cluster lost a worker, or could not be formed."""


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


@dataclass
class Member:
    """One process of a cluster, which runs one worker.

    Attributes
    ----------
    index
        Which of the addresses is this process's.
    addresses
        Where each process of the cluster listens, ``host:port``; the same in all of them.
    failure
        What the first of our own steps, sources and sinks to fail here raised. The engine of a
        cluster ends with a failure of its own and drops this one.
    formed
        Set when the processes have found each other.
    """

    index: int
    addresses: tuple[str, ...]
    failure: BaseException | None = field(default=None, compare=False)
    formed: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)

    @property
    def worker(self) -> Worker:
        """Which worker this is."""
        return Worker(self.index, len(self.addresses))

    def noting(self) -> _Noting:
        """Note what a block raises, if it is the first failure; it is raised all the same.

        >>> member = Member(0, ("a:1", "b:1"))
        >>> with member.noting():
        ...     raise StopIteration
        Traceback (most recent call last):
            ...
        StopIteration
        >>> member.failure is None  # that is how the engine's sources end
        True
        """
        return _Noting(self)


class _Noting:
    """No generator: it must let `StopIteration` pass."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        is_failure = isinstance(error, Exception) and not isinstance(error, StopIteration)
        if is_failure and self._member.failure is None:
            self._member.failure = error


def parse_addresses(text: str, index: int | None) -> Member:
    """Read ``host:port,host:port`` and check it.

    Raises
    ------
    SettingsError
        An address that is none, one given twice, fewer than two, or an index that is none of
        them.

    Examples
    --------
    >>> parse_addresses("a.shop:2101,b.shop:2101", 1).worker
    Worker(index=1, count=2)
    >>> parse_addresses("a.shop,b.shop:2101", 0)
    Traceback (most recent call last):
        ...
    nextbest.features.errors.SettingsError: --addresses: 'a.shop': expected host:port
    """
    addresses = tuple(part.strip() for part in text.split(",") if part.strip())
    for number, address in enumerate(addresses):
        match = _ADDRESS.fullmatch(address)
        if not match:
            raise SettingsError(f"--addresses: {address!r}: expected host:port")
        if not 0 < int(match[1]) < 1 << 16:
            raise SettingsError(f"--addresses: {address!r}: a port is 1 to 65535")
        if address in addresses[:number]:
            raise SettingsError(f"--addresses: {address} is given twice")
    if len(addresses) < 2:
        raise SettingsError(
            f"--addresses: {len(addresses)} given; name every process of the cluster, at least two"
        )
    if index is None:
        raise SettingsError("--addresses needs --process-id: which of them is this process?")
    if not 0 <= index < len(addresses):
        raise SettingsError(
            f"--process-id {index}: there are {len(addresses)} addresses, "
            f"so it is 0 to {len(addresses) - 1}"
        )
    return Member(index, addresses)
