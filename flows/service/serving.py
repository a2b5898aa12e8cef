"""Running the service in this process, until it is asked to end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import uvicorn
import uvloop

from ...features.catalog import Catalog
from ...features.event_check import EventChecker
from ...features.online import AsyncFeatureClient
from ..decision.commit import AsyncCommitter, Log
from ..decision.keys import Keys
from ..kafka_async import AsyncKafkaPublisher
from ..publisher import AsyncPublisher
from ..settings import Settings
from ..telemetry.logs import set_up
from ..telemetry.showing_service import AnyApp, showing_service
from .address import listen, root_of, share
from .app import App, LoopRoutes, Routes
from .archive import ArchiveSearch
from .customers import CustomersRoute
from .decide import DecideRoute
from .decide_batch import BatchRoute
from .events import EventsRoute, Publisher
from .following import follow
from .hosts import Hosts
from .lookup_log import LookupLog
from .lookups import FeaturesRoute
from .outcomes import OutcomesRoute
from .pages import pages
from .protocol import LimitedProtocol
from .strategies import Strategies
from .strategy_store import StrategyStore
from .whys import WhyRoute

_YOUNG = 20_000
"""Objects until the collector looks for cycles among them: a batch has many, and none."""
_TURN_SECONDS = 0.0005
"""After which a thread that takes up models, say, lets the one go on that answers."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What is served, and where.

    Attributes
    ----------
    url
        The online store.
    host, port
        Where the service listens; port 0: any that is free.
    stream, partitions
        The log that events are appended to, as `nextbest run` takes them.
    topic
        The topic that is the log instead; its brokers are those of the settings.
    api_keys
        One of which each request must carry; none: all may come, from this machine only.
    strategy
        The file of the strategy to decide by, or the name of one in the store; None: the only one
        that is there.
    shared
        Whether other processes listen at the same address: see `share`.
    """

    url: str
    host: str
    port: int
    stream: str
    partitions: int | None
    api_keys: tuple[str, ...]
    strategy: Path | str | None = None
    topic: str | None = None
    shared: bool = False


def serve(
    place: Place,
    settings: Settings,
    catalog: Catalog | str | None,
    said: Callable[[str, str], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C; then requests under way are finished.

    Parameters
    ----------
    place
        What is served, and where.
    settings
        Limits and directories.
    catalog
        The declarations that the worker runs with; or the name of those in the store, which may be
        left out where there are no others. Then new ones that workers publish are taken up.
    said
        Is told the name of the catalog that is served and where, once it is.

    Raises
    ------
    SettingsError
        If the address cannot be had, the store has no such catalog, or the strategy's file is
        none that fits it.
    StoreError
        If the store does not answer at the start.
    """
    set_up(settings.log_format)
    take = share if place.shared else listen
    with take(place.host, place.port, keyed=bool(place.api_keys)) as taken, _ends_well():
        port = taken.getsockname()[1]
        url = root_of(place.host, port)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(place, settings, catalog, taken, lambda found: said(found.name, url)))


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


async def _serve(
    place: Place,
    settings: Settings,
    catalog: Catalog | str | None,
    taken: socket.socket,
    ready: Callable[[Catalog], None],
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        timeout = settings.redis_timeout_seconds
        client = AsyncFeatureClient(place.url, catalog, timeout_seconds=timeout)
        stack.push_async_callback(client.close)
        await client.open()
        publisher = await _publisher(place, settings)
        stack.push_async_callback(publisher.close)
        log = None
        if settings.lookup_log_share > 0:
            log = LookupLog(settings.lookups_dir, settings.lookup_log_share)
            stack.callback(log.close)

        archive = ArchiveSearch(settings.archive_dir)
        stack.callback(archive.close)
        await archive.warm()
        strategies = _strategies(place, settings, client, publisher, archive)
        stack.push_async_callback(strategies.close)
        await strategies.start()
        loop = _loop(strategies, settings, archive)

        async def routes(client: AsyncFeatureClient) -> Routes:
            lookups = FeaturesRoute(
                client, log,
                max_bytes=settings.http_body_bytes, body_seconds=settings.http_body_seconds,
            )  # fmt: skip
            await lookups.warm()
            return Routes(
                _events(settings, client.catalog, publisher),
                lookups,
                pages(
                    client,
                    max_events=settings.http_events,
                    keyed=bool(place.api_keys),
                    strategy=lambda: strategies.loaded,
                ),
                loop,
            )

        async def take_up(newer: AsyncFeatureClient) -> None:
            app.take_up(await routes(newer))
            await strategies.with_client(newer)

        hosts = None if place.api_keys else Hosts(place.host)
        app = App(await routes(client), place.api_keys, hosts)
        # What is there now stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
        sys.setswitchinterval(_TURN_SECONDS)
        following = [asyncio.create_task(strategies.follow())]
        if not isinstance(catalog, Catalog):
            following.append(asyncio.create_task(follow(client, take_up)))
        showing = showing_service(app, settings, client.catalog.name, strategies)
        config = _config(stack.enter_context(showing), settings)
        await _Server(config, lambda: ready(client.catalog)).serve(sockets=[taken])
        for task in following:
            task.cancel()


async def _publisher(place: Place, settings: Settings) -> AsyncPublisher | AsyncKafkaPublisher:
    """Return what appends to the log.

    Raises
    ------
    SourceError, StoreError
        If it is a topic that is not there, or no broker answers.
    """
    if place.topic is None:
        return AsyncPublisher(
            place.url, place.stream, partitions=place.partitions, shards=settings.shards
        )
    brokers, config = settings.kafka_brokers or "", settings.kafka_config
    return await asyncio.to_thread(
        AsyncKafkaPublisher, brokers, place.topic, config, settings.shards
    )


def _strategies(
    place: Place,
    settings: Settings,
    client: AsyncFeatureClient,
    publisher: AsyncPublisher | AsyncKafkaPublisher,
    archive: ArchiveSearch,
) -> Strategies:
    log: Log | AsyncKafkaPublisher = Log(
        place.stream, place.partitions, settings.shards, settings.stream_retention_seconds
    )
    if isinstance(publisher, AsyncKafkaPublisher):
        log = publisher

    def committer(keys: Keys, record_seconds: float) -> AsyncCommitter:
        return AsyncCommitter(place.url, keys, log, record_seconds=record_seconds)

    store = StrategyStore(place.url)
    return Strategies(
        store, client, place.strategy, committer, settings.decision_seconds, archive.text
    )


def _loop(strategies: Strategies, settings: Settings, archive: ArchiveSearch) -> LoopRoutes:
    most, seconds = settings.http_body_bytes, settings.http_body_seconds
    decide = DecideRoute(strategies, settings.decide_seconds, max_bytes=most, body_seconds=seconds)
    return LoopRoutes(
        decide,
        BatchRoute(strategies, decide.decider, max_bytes=most, body_seconds=seconds),
        OutcomesRoute(strategies, max_bytes=most, body_seconds=seconds),
        WhyRoute(strategies, archive),
        CustomersRoute(strategies),
    )


def _events(settings: Settings, catalog: Catalog, publisher: Publisher) -> EventsRoute:
    checker = EventChecker(
        catalog.source,
        future_skew_us=round(settings.future_skew_seconds * 1e6),
        max_event_bytes=settings.max_event_bytes,
    )
    return EventsRoute(
        checker,
        publisher,
        max_bytes=settings.http_body_bytes,
        max_events=settings.http_events,
        body_seconds=settings.http_body_seconds,
    )


def _config(app: AnyApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        cast("Any", app),
        http=LimitedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.http_stop_seconds)),
    )


@contextlib.contextmanager
def _ends_well() -> Iterator[None]:
    """After its shutdown the server raises the signal again: that is to do nothing."""
    numbers: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
