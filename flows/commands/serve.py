"""`nextbest serve`: the HTTP service."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec

from ...features.catalog import Catalog
from ...features.errors import SettingsError
from ..embedded import connect, ensure_server
from ..settings import Settings
from . import place
from .references import load


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """What a service is to do.

    Attributes
    ----------
    settings
        Limits and directories.
    catalog
        ``package.module:attribute`` or ``file.py:attribute``; or the name of a catalog that is in
        the store, which may be left out where there are no others.
    host, port
        Where to listen.
    stream, partitions
        The log that events and decisions go to; default: ``events``.
    topic
        The topic that is the log instead, at the brokers of the settings.
    strategy
        A strategy's file; or the name of one in the store, which may be left out where there are
        no others.
    """

    settings: Settings
    catalog: str | None
    host: str
    port: int
    stream: str | None = None
    partitions: int | None = None
    topic: str | None = None
    strategy: str | None = None


def run_service(service: Service, processes: int = 1) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Parameters
    ----------
    service
        What to do.
    processes
        How many share the address.

    Raises
    ------
    NextbestError
        If the address, the store or the catalog cannot be had.
    """
    if processes > 1:
        from .replicas import run_replicas

        run_replicas(service, processes, _say)
    else:
        serve_alone(service, _say)


def serve_alone(
    service: Service, said: Callable[[str, str], None], *, shared: bool = False
) -> None:
    """Serve in this process, until SIGTERM.

    Parameters
    ----------
    service
        What to do.
    said
        Is told the name of the catalog that is served and where, once it is.
    shared
        Whether other processes listen at the same address.

    Raises
    ------
    NextbestError
        As of `run_service`.
    """
    try:
        from ..service.address import keys_of
        from ..service.serving import Place, serve
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("nextbest"):
            raise
        raise SettingsError(
            f"the service needs {error.name}: pip install 'nextbest[serve]'"
        ) from None

    settings, reference = service.settings, service.catalog
    _check_log(settings, service.stream, service.partitions, service.topic)
    last = place.remembered(settings.data_dir)
    if last is not None:
        settings = place.same_store(settings, last)
    catalog: Catalog | str | None = reference
    if reference is not None and ":" in reference:
        catalog = load(reference, Catalog)
    url = settings.redis_url or ensure_server(settings.data_dir, settings.embedded_fsync)
    connect(settings).close()
    where = Place(
        url=url, host=service.host, port=service.port, stream=service.stream or "events",
        partitions=service.partitions, topic=service.topic, api_keys=keys_of(),
        strategy=_strategy(service.strategy), shared=shared,
    )  # fmt: skip
    serve(where, settings, catalog, said)


def _say(catalog: str, root: str) -> None:
    sys.stdout.write(f"serving {catalog} on {root}, documented on {root}/docs\n")
    sys.stdout.flush()


def _check_log(
    settings: Settings, stream: str | None, partitions: int | None, topic: str | None
) -> None:
    """Check that there is one log, and what it needs."""
    if topic is None:
        return
    if stream is not None:
        raise SettingsError("give one log, not both --stream and --topic")
    if partitions is not None:
        raise SettingsError("--partitions goes with --stream; a topic has its own")
    if settings.kafka_brokers is None:
        raise SettingsError("--topic needs --kafka BROKERS or NEXTBEST_KAFKA_BROKERS")
    if find_spec("confluent_kafka") is None:
        raise SettingsError("--topic needs confluent-kafka: pip install 'nextbest[worker]'")


def _strategy(given: str | None) -> Path | str | None:
    """Return the file that is given; or a name, which has neither a dot nor a slash."""
    if given is None or not {"/", ".", "\\"} & set(given):
        return given
    return Path(given)
