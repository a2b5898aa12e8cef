"""Writing rows to the online store: commands that are encoded already, sent as they are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from bytewax.outputs import StatefulSinkPartition

from ..sources.base import StopFlag
from .base import KeyedSink
from .flush import RowFlush
from .outage import Patience
from .wire import Sent, Wire


class RowSink(KeyedSink[RowFlush, int]):
    """Sends rows to the store; when an epoch ends, every command has been answered.

    The rows hold absolute, versioned values, so writing one twice after a crash is harmless.
    All partitions of a worker share one connection. Replies are read while later commands
    are on their way, and all of them in `snapshot()`.

    A store that goes away in a run (killed, restarted and loading, failing over, its disk full)
    is waited for, with growing pauses, and is then sent again, in order, what it had not
    answered. The worker stands still meanwhile, so nothing piles up. At the start of a run a
    store that is away is an error at once, unless it is loading.

    Parameters
    ----------
    url
        The store, as `redis.Redis.from_url` takes it: user, password, TLS and unix sockets
        are the client library's business.
    parts
        Shards, as their number or their names.
    outstanding
        Replies that may be unread, at most, after a flush.
    timeout
        Seconds to wait for the store, for a reply or for room to send.
    outage_seconds
        How long to wait for a store that went away; 0: not at all.
    stop
        Ends such a wait once it is set, or when the try under way has failed.
    reconnect
        Called before each try, to start a server that died, say.
    on_outage
        Told the reason and None when an outage begins, the reason and its seconds when it ends.
    on_stored
        Called with the rows of a flush, and the seconds from receiving its oldest event until
        the store had answered it.

    Raises
    ------
    StoreError
        The store is away for too long, or refused a command that waiting cannot help (a wrong
        password, a full memory); with its own words.

    Examples
    --------
    >>> command = b"*3\\r\\n$3\\r\\nSET\\r\\n$1\\r\\nk\\r\\n$1\\r\\nv\\r\\n"
    >>> flush = RowFlush(command, replies=1, rows=1)
    >>> sink = RowSink("redis://localhost:6379", parts=16)
    >>> part = sink.build_part("rows", "0", None)  # doctest: +SKIP
    >>> part.write_batch([flush]); part.snapshot()  # doctest: +SKIP
    1
    """

    def __init__(
        self,
        url: str,
        parts: int | Sequence[str] = 16,
        *,
        outstanding: int = 2_000,
        timeout: float = 30.0,
        outage_seconds: float = 600.0,
        stop: StopFlag | None = None,
        reconnect: Callable[[], None] | None = None,
        on_outage: Callable[[str, float | None], None] = lambda reason, seconds: None,
        on_stored: Callable[[int, float], None] | None = None,
    ) -> None:
        super().__init__(parts)
        self._on_stored = on_stored
        self._url = url
        self._outstanding = outstanding
        self._timeout = timeout
        self._patience = Patience(outage_seconds, stop, reconnect, on_outage)
        # A worker is a thread, and a connection must stay with one.
        self._wires: dict[int, Wire] = {}

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _RowPartition:
        """A partition on this worker's connection; `resume_state` counts rows."""
        thread = threading.get_ident()
        wire = self._wires.get(thread)
        if wire is None or wire.closed:
            wire = Wire(
                self._url, self._outstanding, self._timeout, self._patience, self._on_stored
            )
            self._wires[thread] = wire
        wire.users += 1
        return _RowPartition(wire, resume_state or 0)


class _RowPartition(StatefulSinkPartition[RowFlush, int]):
    def __init__(self, wire: Wire, rows: int) -> None:
        self._wire = wire
        self._last: Sent | None = None
        self.rows = rows

    def write_batch(self, items: list[RowFlush]) -> None:
        for flush in items:
            # One flush of a shard after the other: sent again, an older row must not come back.
            self._last = self._wire.send(flush, after=self._last)
            self.rows += flush.rows

    def snapshot(self) -> int:
        self._wire.drain()
        return self.rows

    def close(self) -> None:
        self._wire.leave()
