"""`nextbest serve --processes N`: processes that share an address, kept alive.

Each listens for itself; the kernel shares connections out among them. One that dies is started
anew while the others go on: nothing of a customer is in a service.
"""

from __future__ import annotations

import logging
import queue
import signal
import threading
import time
from collections.abc import Callable

import msgspec

from ..cluster import ClusterError
from ..service.address import keys_of, reserved, root_of
from ..telemetry.logs import set_up
from . import replica
from .children import Child, Failures, Said
from .reports import Ended, Failed, Serving, encode
from .serve import Service
from .stopping import stop_on_signals

_LOOK_SECONDS = 0.1
_STOP_SECONDS = 5.0
"""More than what requests under way are given, until a process is killed."""
_log = logging.getLogger("nextbest.service")


def run_replicas(service: Service, count: int, said: Callable[[str, str], None]) -> None:
    """Serve by several processes until SIGTERM or Ctrl-C.

    Parameters
    ----------
    service
        What each is to do; their ports for metrics follow each other.
    count
        How many.
    said
        Is told the name of the catalog that is served and where, once all serve.

    Raises
    ------
    NextbestError
        If the address cannot be had, one cannot begin, or they die again and again.
    """
    settings = service.settings
    set_up(settings.log_format)
    with (
        reserved(service.host, service.port, keyed=bool(keys_of())) as port,
        stop_on_signals() as stop,
    ):
        metrics = settings.metrics_port
        orders = [
            msgspec.structs.replace(
                service,
                port=port,
                settings=msgspec.structs.replace(
                    settings, metrics_port=metrics + index if metrics else metrics
                ),
            )
            for index in range(count)
        ]
        root = root_of(service.host, port)
        _Replicas(orders, stop, lambda catalog: said(catalog, root)).run()


class _Replicas:
    def __init__(
        self, orders: list[Service], stop: threading.Event, ready: Callable[[str], None]
    ) -> None:
        self._orders = [encode(order) for order in orders]
        self._patience = orders[0].settings.http_stop_seconds + _STOP_SECONDS
        self._stop, self._ready = stop, ready
        self._said: Said = queue.Queue()
        self._children: dict[int, Child] = {}
        self._starting = set(range(len(orders)))
        self._failed: dict[int, Failed] = {}
        self._failures = Failures()

    def run(self) -> None:
        try:
            for index in range(len(self._orders)):
                self._start(index)
            while not self._stop.is_set():
                self._hear()
            self._end()
        finally:
            for child in self._children.values():
                child.end()

    def _start(self, index: int) -> None:
        self._children[index] = Child(index, replica.__name__, self._orders[index], self._said)

    def _hear(self) -> None:
        try:
            index, message = self._said.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            return
        if isinstance(message, Serving):
            self._starting.discard(index)
            if not self._starting:
                self._ready(message.catalog)
                self._ready = lambda catalog: None
        elif isinstance(message, Failed):
            self._failed[index] = message
        elif message is None:
            self._gone(index)

    def _gone(self, index: int) -> None:
        failed = self._failed.pop(index, None) or self._children[index].reason()
        if self._starting:
            raise ClusterError(failed.text)
        self._failures.add(f"service {index}: {failed.text}")
        _log.warning("restarting service %d: %s", index, failed.text)
        self._children[index].end()
        self._start(index)

    def _end(self) -> None:
        """Let requests under way be finished."""
        for child in self._children.values():
            child.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + self._patience
        left = set(self._children)
        while left and (seconds := until - time.monotonic()) > 0:
            try:
                index, message = self._said.get(timeout=seconds)
            except queue.Empty:
                return
            if message is None or isinstance(message, Ended):
                left.discard(index)
