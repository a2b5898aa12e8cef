"""Keeping the processes of a cluster alive: all of them, or all anew."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

from ..cluster import ClusterError
from . import member
from .children import Child, Failures, Said
from .reports import Ended, Failed, Order, Ready, Report, Stopping, encode

_LONGEST_PAUSE = 5.0
_CAUSE_SECONDS = 3.0
"""After a failure, so long is waited for others to say a better reason."""

_FINAL = ("SettingsError", "DeclarationError", "StateError", "RowError")
"""Trying again would not help."""

_STARTING_GAP = 0.05


class Supervisor:
    """Runs processes until all have ended; starts all anew when one dies.

    Parameters
    ----------
    orders
        Returns what the processes are to do, at every start.
    stop
        Set it to end them with a last snapshot.
    on_report
        Called with the number of a process and its report.
    on_restart
        Called with the reason before they are started anew.
    """

    def __init__(
        self,
        orders: Callable[[], Sequence[Order]],
        stop: threading.Event,
        *,
        on_report: Callable[[int, Report], None] = lambda index, report: None,
        on_restart: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._orders = orders
        self._stop = stop
        self._on_report = on_report
        self._on_restart = on_restart
        self.restarts = 0

    def run(self) -> None:
        """Run to the end.

        Raises
        ------
        ClusterError
            What trying again would not help, or that there were too many failures.
        """
        failures = Failures()
        while (failure := _Round(self._orders(), self._stop, self._on_report).run()) is not None:
            index, failed = failure
            reason = f"worker {index}: {failed.text}"
            if _is_final(failed):
                raise ClusterError(failed.text)
            if self._stop.is_set():
                raise ClusterError(f"ended without a last snapshot: {reason}")
            count = failures.add(reason)
            self.restarts += 1
            self._on_restart(reason)
            if self._stop.wait(min(_LONGEST_PAUSE, 0.1 * 3 ** (count - 1))):
                return


class _Round:
    """The processes from one start to their end, or to the first failure."""

    def __init__(
        self,
        orders: Sequence[Order],
        stop: threading.Event,
        on_report: Callable[[int, Report], None],
    ) -> None:
        self._stop = stop
        self._on_report = on_report
        self._said: Said = queue.Queue()
        self._children: dict[int, Child] = {}
        self._loading = {order.index for order in orders}
        self._ended: set[int] = set()
        self._failed: dict[int, Failed] = {}
        self._orders = orders

    def run(self) -> tuple[int, Failed] | None:
        """Return which failed and why, None if all ended well."""
        told = False
        until: float | None = None
        try:
            for order in self._orders:
                self._children[order.index] = Child(
                    order.index, member.__name__, encode(order), self._said
                )
            while len(self._ended) < len(self._children):
                if self._stop.is_set() and not told:
                    told = True
                    self._say(member.STOP)
                self._hear()
                if self._failed:
                    until = until or time.monotonic() + _CAUSE_SECONDS
                    gone = len(self._failed) + len(self._ended)
                    if time.monotonic() > until or gone == len(self._children):
                        return self._cause()
            return None
        finally:
            for child in self._children.values():
                child.end()

    def _hear(self) -> None:
        try:
            index, message = self._said.get(timeout=0.1)
        except queue.Empty:
            return
        if isinstance(message, Report):
            self._on_report(index, message)
        elif isinstance(message, Failed):
            self._failed[index] = message
        elif isinstance(message, Stopping):
            self._stop.set()
        elif isinstance(message, Ended):
            self._ended.add(index)
        elif isinstance(message, Ready):
            self._loading.discard(index)
            if not self._loading:
                self._say(member.GO)
        elif index not in self._ended and index not in self._failed:
            self._failed[index] = self._children[index].reason()

    def _say(self, word: bytes) -> None:
        for child in self._children.values():
            child.say(word)
            # The first listens before the others call: the engine's second try is a second later.
            time.sleep(_STARTING_GAP if word == member.GO else 0.0)

    def _cause(self) -> tuple[int, Failed]:
        """The failure that explains the others."""
        order = sorted(
            self._failed.items(),
            key=lambda item: (
                not _is_final(item[1]),
                item[1].kind == ClusterError.__name__ and "killed" not in item[1].text,
            ),
        )
        return order[0]


def _is_final(failed: Failed) -> bool:
    return failed.lasts or failed.kind in _FINAL
