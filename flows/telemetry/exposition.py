"""Showing metrics to Prometheus: over HTTP, on a port of their own, without a key.

What is shown is read when it is asked for; nothing else of a worker or a service waits for it.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from ...features.errors import SettingsError
from .meter import Meter
from .names import Metric

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client import Metric as Family

_log = logging.getLogger("nextbest.telemetry")


class MeterCollector:
    """Makes what Prometheus is shown of a meter.

    Parameters
    ----------
    meter
        Whose values.
    refresh
        Called before each reading, to set what is only known when it is looked for. One that
        fails is logged, once, and what it sets stays as it was.
    """

    def __init__(self, meter: Meter, refresh: Sequence[Callable[[], None]] = ()) -> None:
        self._meter = meter
        self._refresh = refresh
        self._complaints: dict[int, str] = {}

    def collect(self) -> Iterator[Family]:
        """Yield every metric that there is something of."""
        for number, refresh in enumerate(self._refresh):
            try:
                refresh()
            except Exception as error:  # whatever it is, the others are to be seen
                if self._complaints.get(number) != str(error):
                    self._complaints[number] = str(error)
                    _log.warning("metrics: %s: %s", type(error).__name__, error)
        for metric in self._meter.metrics():
            yield _family(self._meter, metric)


def _family(meter: Meter, metric: Metric) -> Family:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.text, labels=metric.labels)
        for labels, found in meter.histograms(metric):
            names = [*map(str, metric.bounds), "+Inf"]
            counts = accumulate(found.counts)
            histogram.add_metric(labels, list(zip(names, counts, strict=True)), found.total)
        return histogram
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.text, labels=metric.labels)
    for labels, value in meter.values(metric):
        family.add_metric(labels, value)
    return family


def registry_of(collector: MeterCollector) -> CollectorRegistry:
    """Return what is shown: the meter's metrics, and those of the process."""
    from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector
    from prometheus_client import ProcessCollector as Process

    registry = CollectorRegistry()
    registry.register(collector)
    for kind in (Process, PlatformCollector, GCCollector):
        kind(registry=registry)
    return registry


@contextlib.contextmanager
def shown(
    host: str, port: int, meter: Meter, refresh: Sequence[Callable[[], None]] = ()
) -> Iterator[int]:
    """Show a meter's metrics while the block runs; yield the port.

    Parameters
    ----------
    host, port
        Where to listen; port 0: any that is free.
    meter, refresh
        See `MeterCollector`.

    Raises
    ------
    SettingsError
        If the address cannot be had, or prometheus-client is not installed.
    """
    try:
        from prometheus_client import start_http_server
    except ModuleNotFoundError:
        raise SettingsError(
            "metrics need prometheus-client: pip install 'nextbest[worker]' or 'nextbest[serve]'"
        ) from None
    registry = registry_of(MeterCollector(meter, refresh))
    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, OverflowError) as error:
        raise refused(host, port, error) from None
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def check_free(host: str, ports: Sequence[int]) -> None:
    """Check that metrics could be shown at some ports.

    Raises
    ------
    SettingsError
        Naming the first that cannot be had.

    Examples
    --------
    >>> check_free("127.0.0.1", [65_535 + 1])
    Traceback (most recent call last):
        ...
    nextbest.features.errors.SettingsError: --metrics-port: 127.0.0.1:65536: there is no such port
    """
    for port in ports:
        try:
            if port > 65_535:
                raise OverflowError
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, address = found[0]
            with socket.socket(family, kind, protocol) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind(address)
                one.listen(1)  # bound by another that listens is found out only here
        except (OSError, OverflowError) as error:
            raise refused(host, port, error) from None


def refused(host: str, port: int, error: Exception) -> SettingsError:
    """Return why an address cannot be had."""
    why = "there is no such port"
    if isinstance(error, OSError):
        why = f"metrics cannot be shown there: {error.strerror or error}"
    return SettingsError(f"--metrics-port: {host}:{port}: {why}")
