"""The metrics of one worker process: made, kept fresh and shown while it runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Protocol

from ..cluster import Member
from ..settings import Settings
from . import names as n
from . import tracing
from .exposition import check_free, shown
from .lagging import Lags
from .process import audit_refresher, begin
from .running import RunMeter
from .whereabouts import noted


class Log(Protocol):
    """The part of an event source that is asked how far behind it is."""

    def partitions(self) -> int:
        """How many partitions the log has."""

    def lags(self) -> Mapping[int, int]:
        """By partition: how many entries were not read yet."""


def check_ports(settings: Settings, processes: int) -> None:
    """Check the ports of processes that are to be started.

    Raises
    ------
    SettingsError
        See `check_free`.
    """
    if settings.metrics_port:
        first = settings.metrics_port
        check_free(settings.metrics_host, range(first, first + processes))


def run_meter(settings: Settings) -> RunMeter | None:
    """Return what counts; None: nobody wants to see it."""
    return RunMeter(settings.epoch_seconds) if settings.metrics_port else None


@contextlib.contextmanager
def showing_run(
    meter: RunMeter | None,
    settings: Settings,
    catalog: str,
    source: Log,
    member: Member | None = None,
    *,
    beside: int = 0,
    compiled: Callable[[], float] = lambda: 0.0,
) -> Iterator[None]:
    """Show a worker's metrics, and trace if the environment says so, while the block runs.

    Parameters
    ----------
    meter
        Which; None: none are shown.
    settings
        Where to listen.
    catalog
        Its name.
    source
        The log.
    member
        This process's part in a cluster.
    beside
        How many processes of this machine have ports before this one's.
    compiled
        Seconds of compiling so far.

    Raises
    ------
    SettingsError
        If the address cannot be had, or there can be no traces.
    """
    tracing.begin("nextbest-run", version("nextbest"))
    try:
        with _showing(meter, settings, catalog, source, member, beside, compiled):
            yield
    finally:
        tracing.end()


@contextlib.contextmanager
def _showing(
    meter: RunMeter | None,
    settings: Settings,
    catalog: str,
    source: Log,
    member: Member | None,
    beside: int,
    compiled: Callable[[], float],
) -> Iterator[None]:
    if meter is None:
        yield
        return
    index = 0 if member is None else member.index
    begin(meter, "run", catalog, index)
    mine = range(source.partitions())
    meter.begin_partitions([p for p in mine if member is None or member.worker.owns(p)])

    lags = Lags(source.lags)

    def refresh_lags() -> None:
        for partition, behind in lags().items():
            meter.set(n.LAG_RECORDS, behind, str(partition))
            newest = meter.newest.get(partition)
            if not behind:
                meter.set(n.LAG_SECONDS, 0.0, str(partition))
            elif newest is not None:
                meter.set(n.LAG_SECONDS, max(0.0, time.time() - newest), str(partition))

    def refresh_compiling() -> None:
        meter.set(n.COMPILE_SECONDS, compiled())

    refresh = (meter.refresh, refresh_compiling, audit_refresher(meter, settings), refresh_lags)
    port = settings.metrics_port + beside
    with shown(settings.metrics_host, port, meter, refresh), noted(settings, port):
        yield
