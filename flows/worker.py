"""A dataflow for those who deploy with the engine's own command.

    python -m bytewax.run nextbest.flows.worker:flow -r .nextbest/recovery -s 1 -b 0

With ``-i`` and ``-a`` it is one process of a cluster. What to run stands in the environment:
`NEXTBEST_CATALOG` and, if there are any, `NEXTBEST_DECISIONS` and `NEXTBEST_COLUMNS` (references);
`NEXTBEST_STRATEGY`, a file; one of `NEXTBEST_INPUT` (paths, with a colon between),
`NEXTBEST_STREAM` (and `NEXTBEST_PARTITIONS`) and `NEXTBEST_TOPIC`; `NEXTBEST_FOLLOW=1` or
`NEXTBEST_DRAIN=1`; and every setting, see `Settings`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from bytewax.dataflow import Dataflow
from bytewax.run import _parse_args

from ..features.catalog import Catalog
from ..features.errors import NextbestError, SettingsError
from ..features.plans import Plans
from .cluster import Member, parse_addresses
from .commands import place
from .commands.inputs import (
    Job,
    acting_of,
    check_input,
    check_stream,
    loop_of,
    open_source,
    read_strategy,
    remembered,
)
from .commands.job import store_url
from .commands.references import load
from .decisions import DecisionPoint
from .peers import watching
from .pipeline import Observers, build_flow
from .run import prepare_recovery, working_in
from .settings import Settings
from .telemetry.logs import say, set_up
from .telemetry.observing import metered
from .telemetry.showing import run_meter, showing_run

_API = "BYTEWAX_DATAFLOW_API_ENABLED"
_ALLOWED = "NEXTBEST_ALLOW_PUBLIC_API"


def flow() -> Dataflow:
    """Make the dataflow that the environment describes, for the engine's command to run.

    The data directory is held until the process ends. SIGTERM and Ctrl-C end the dataflow with a
    last snapshot; a second one ends it at once.
    """
    try:
        return _flow(_parse_args(), os.environ)  # type: ignore[no-untyped-call]  # the engine's
    except NextbestError as error:
        raise SystemExit(f"nextbest: {error}") from None


def job_of(environ: Mapping[str, str]) -> Job:
    """Read what to run from the environment.

    Raises
    ------
    SettingsError
        If a variable is missing or wrong.

    Examples
    --------
    >>> job_of({"NEXTBEST_CATALOG": "shop:catalog", "NEXTBEST_INPUT": "a.ndjson:b"}).catalog
    'shop:catalog'
    >>> job_of({})
    Traceback (most recent call last):
        ...
    nextbest.features.errors.SettingsError: NEXTBEST_CATALOG is not set: package.module:attribute \
or file.py:attribute
    """

    def text(name: str) -> str | None:
        return environ.get(f"NEXTBEST_{name}") or None

    catalog = text("CATALOG")
    if catalog is None:
        raise SettingsError(
            "NEXTBEST_CATALOG is not set: package.module:attribute or file.py:attribute"
        )
    partitions, strategy = text("PARTITIONS"), text("STRATEGY")
    if partitions is not None and not (partitions.isdecimal() and int(partitions)):
        raise SettingsError(f"NEXTBEST_PARTITIONS={partitions!r}: expected a number from 1")
    return Job(
        catalog=catalog,
        decisions=text("DECISIONS"),
        columns=text("COLUMNS"),
        strategy=None if strategy is None else read_strategy(Path(strategy)),
        paths=tuple(Path(p) for p in (text("INPUT") or "").split(os.pathsep) if p),
        follow=text("FOLLOW") is not None,
        stream=text("STREAM"),
        partitions=None if partitions is None else int(partitions),
        topic=text("TOPIC"),
        drain=text("DRAIN") is not None,
    )


def _flow(options: Any, environ: Mapping[str, str]) -> Dataflow:
    if _API in environ and not environ.get(_ALLOWED):
        raise SettingsError(
            f"{_API}: the engine would answer on every network of this machine, without a "
            f"password, and nothing can change that; unset it, or set {_ALLOWED}=1 where a "
            "firewall keeps others out"
        )
    stop = _stop_flag()
    job = job_of(environ)
    settings = Settings.from_env(environ)
    set_up(settings.log_format)
    check_input(job, settings)
    member = _member(options)
    settings = msgspec.structs.replace(
        settings, epoch_seconds=_checked_recovery(options, settings) / timedelta(seconds=1)
    )
    catalog = load(job.catalog, Catalog)
    point = None if job.decisions is None else load(job.decisions, DecisionPoint)
    held = contextlib.ExitStack()
    held.enter_context(place.claimed(settings.data_dir, shared=member is not None))
    loop = loop_of(job, catalog)
    this = remembered(job, Plans.compile(catalog), settings, loop)
    place.check(settings, this, first=member is None or member.index == 0)
    held.enter_context(working_in(settings.data_dir, member))
    prepare_recovery(settings)
    url = store_url(settings)
    check_stream(job, settings, url)
    place.remember(settings.data_dir, this)
    if member is not None:
        held.enter_context(watching(settings.data_dir, member, _die))
    atexit.register(_end, held, member)
    source = open_source(job, settings, url, stop)
    meter = run_meter(settings)
    held.enter_context(showing_run(meter, settings, catalog.name, source, member))
    return build_flow(
        source, catalog, settings, url, decisions=point, loop=loop,
        acting=acting_of(job, loop, settings), member=member, stop=stop,
        observers=metered(Observers(), meter),
    )  # fmt: skip


def _member(options: Any) -> Member | None:
    if (options.workers_per_process or 1) > 1:
        raise SettingsError(
            "-w: one process is one worker here, for threads do not scale; start more of them "
            "with -i and -a"
        )
    if options.addresses is None or options.process_id is None:
        return None
    if ";" not in options.addresses:
        return None  # a cluster of one
    return parse_addresses(options.addresses.replace(";", ","), options.process_id)


def _checked_recovery(options: Any, settings: Settings) -> timedelta:
    given = options.recovery_directory
    if given is None or Path(given).absolute() != settings.recovery_dir.absolute():
        raise SettingsError(
            f"-r {given}: give -r {settings.recovery_dir} (made if need be): its pointers and the "
            f"state in {settings.data_dir} belong together"
        )
    interval: timedelta = options.snapshot_interval
    if interval < timedelta(seconds=1):
        raise SettingsError("-s: give at least one second")
    return interval


def _stop_flag() -> threading.Event:
    stop = threading.Event()

    def ask(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return stop


def _die(reason: str) -> None:
    say(f"{reason}; ending, so that all can begin anew")
    os._exit(1)


def _end(held: contextlib.ExitStack, member: Member | None) -> None:
    """Leave the data directory; as a failed process does, if it failed."""
    if member is not None and member.failure is not None:
        say(f"worker {member.index}: {member.failure}")
    if not hasattr(sys, "last_type"):  # set by an error that nobody caught
        held.close()
