"""The processes that `nextbest run` starts, here or as one of several machines."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence

import msgspec
import redis
from rich.console import Console

from ...features.errors import SettingsError
from ..cluster import Member, parse_addresses
from ..connection import ask, explained, passes, pool
from ..embedded import reviver
from ..settings import Settings
from ..sinks.outage import Outage, Patience
from .inputs import Job
from .reports import Order, Tally
from .supervise import Supervisor


def check_processes(job: Job, settings: Settings) -> Member | None:
    """Return this process's part in a cluster of several machines, if there is one.

    Raises
    ------
    SettingsError
        If the options do not go together.
    """
    member = None
    if job.addresses is not None:
        if job.processes > 1:
            raise SettingsError("give --processes or --addresses, not both")
        member = parse_addresses(job.addresses, job.process_id)
    elif job.process_id is not None:
        raise SettingsError("--process-id needs --addresses")
    count = job.processes if member is None else len(member.addresses)
    if count > settings.shards:
        raise SettingsError(
            f"{count} processes for {settings.shards} shards: some would have nothing to do; "
            "NEXTBEST_SHARDS of a new data directory may be more"
        )
    return member


def make_supervisor(
    job: Job,
    settings: Settings,
    url: str,
    member: Member | None,
    stop: threading.Event,
    tally: Tally,
    console: Console,
) -> Supervisor:
    """Return what runs the processes of a job, and reports to a tally and a console."""
    whole = Order(job=job, settings=settings, url=url)
    died = False

    def waiting(reason: str, seconds: float | None) -> None:
        console.print(f"  waiting: {reason}", soft_wrap=True, markup=False)

    patience = Patience(settings.outage_seconds, stop, reviver(settings), waiting)

    def orders() -> Sequence[Order]:
        if died:
            # The store may have died with them, and who begins does not wait for it.
            await_store(settings, url, patience)
        if member is not None:
            change = {"index": member.index, "addresses": member.addresses}
            return [msgspec.structs.replace(whole, **change)]
        if job.processes == 1:
            return [whole]
        addresses = _free_addresses(job.processes)
        return [
            msgspec.structs.replace(whole, index=index, addresses=addresses)
            for index in range(job.processes)
        ]

    def restart(reason: str) -> None:
        nonlocal died
        died = True
        tally.restart()
        console.print(f"  restarting: {reason}", soft_wrap=True, markup=False)

    return Supervisor(orders, stop, on_report=tally.take, on_restart=restart)


def await_store(settings: Settings, url: str, patience: Patience) -> None:
    """Wait until the store answers.

    Raises
    ------
    StoreError
        It is away for too long or refuses, or the wait was ended.
    """
    outage: Outage | None = None
    with contextlib.closing(
        redis.Redis(connection_pool=pool(url, seconds=settings.redis_timeout_seconds))
    ) as client:
        while True:
            try:
                ask(client, "PING")
            except redis.RedisError as error:
                if not passes(error):
                    raise explained(url, error) from error
                outage = outage or Outage(patience, url, error)
                outage.goes_on(error)
            else:
                return
            outage.wait()


def _free_addresses(count: int) -> tuple[str, ...]:
    """Loopback ports that nobody uses; if somebody is faster, the next start takes others."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return tuple(f"127.0.0.1:{s.getsockname()[1]}" for s in sockets)
