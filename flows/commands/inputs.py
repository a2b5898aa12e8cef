"""What `nextbest run` is asked to do, and the source that it reads."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import redis

from ...features.catalog import Catalog
from ...features.errors import SettingsError
from ...features.plans import Plans
from ..connection import ask, pool
from ..decision.committing import Log
from ..decision.loading import load as load_strategy
from ..embedded import reviver
from ..loop_flow import Loop
from ..partitions import stream_keys
from ..publisher import KafkaPublisher
from ..settings import Settings
from ..sources.base import EventSource, StopFlag
from ..sources.files import FileSource
from ..sources.valkey_stream import ValkeyStreamSource
from ..trigger_flow import Acting, MakeLog
from . import place
from .references import absolute
from .rows import rows_of

_PROBED = 64
"""So many partitions are looked for, of a stream that is not there by its name alone."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: one kind of input, references to declarations, and how many processes.

    Attributes
    ----------
    paths
        Files, directories or globs.
    follow
        Wait for files to grow instead of ending where they end.
    stream
        The key of a stream in the online store's server.
    partitions
        Of how many streams, or directories ``partition=K`` of files, the log is made.
    kafka, topic
        Brokers (None: those of the settings) and the topic.
    drain
        End at the last entry of the stream or topic instead of waiting for more.
    catalog, decisions, columns
        References.
    strategy
        The text of a strategy, whose decisions and outcomes are in the log.
    processes, supervise
        How many workers on this machine, and whether a single one is watched over too.
    addresses, process_id
        A cluster of several machines, and which of its processes this is.
    """

    paths: tuple[Path, ...] = ()
    follow: bool = False
    stream: str | None = None
    partitions: int | None = None
    kafka: str | None = None
    topic: str | None = None
    drain: bool = False
    catalog: str
    decisions: str | None = None
    columns: str | None = None
    strategy: str | None = None
    processes: int = 1
    supervise: bool = False
    addresses: str | None = None
    process_id: int | None = None


def check_input(job: Job, settings: Settings) -> None:
    """Check that there is exactly one kind of input and nothing that it cannot use.

    Raises
    ------
    SettingsError
        Naming what does not fit.
    """
    given = [
        kind
        for kind, is_given in (
            ("files", bool(job.paths)),
            ("--stream", job.stream is not None),
            ("--kafka", job.kafka is not None or job.topic is not None),
        )
        if is_given
    ]
    if not given:
        raise SettingsError(
            "nothing to read: name files, directories or globs, a --stream, or a --topic of Kafka"
        )
    if len(given) > 1:
        raise SettingsError(f"give one kind of input, not both {' and '.join(given)}")
    for option, is_given in (("--follow", job.follow), ("--columns", job.columns is not None)):
        if is_given and given != ["files"]:
            raise SettingsError(f"{option} goes with files")
    if job.drain and given == ["files"]:
        raise SettingsError("--drain goes with --stream and --topic; files end without --follow")
    if job.partitions is not None and given == ["--kafka"]:
        raise SettingsError("--partitions goes with --stream and files; a topic has its own")
    if given == ["--kafka"]:
        if job.topic is None:
            raise SettingsError("--kafka needs a --topic")
        if job.kafka is None and settings.kafka_brokers is None:
            raise SettingsError("--topic needs --kafka BROKERS or NEXTBEST_KAFKA_BROKERS")


def check_stream(job: Job, settings: Settings, url: str) -> None:
    """Check that what is there is not the same stream in another number of partitions.

    A stream that nobody has published to yet is waited for: neither is there then.

    Raises
    ------
    SettingsError
        If only the other is there; the message says how it is read.
    """
    if job.stream is None:
        return
    several = stream_keys(job.stream, max(job.partitions or 0, _PROBED))
    with contextlib.closing(
        redis.Redis(connection_pool=pool(url, seconds=settings.redis_timeout_seconds))
    ) as client:
        try:
            pipeline = client.pipeline(transaction=False)
            for key in (job.stream, *several):
                ask(pipeline, "TYPE", key)
            whole, *parts = [kind in (b"stream", "stream") for kind in pipeline.execute()]
        except redis.RedisError:
            return  # where it is read, what is wrong is said
    there = [key for key, is_stream in zip(several, parts, strict=True) if is_stream]
    if job.partitions is None and there and not whole:
        least = several.index(there[-1]) + 1
        raise SettingsError(
            f"there is no stream {job.stream}, but {', '.join(there)}: give --partitions {least}, "
            "or as many as it was published with"
        )
    if job.partitions is not None and whole and not there:
        raise SettingsError(
            f"there is no stream {several[0]}, but {job.stream} alone: leave --partitions out"
        )


def loop_of(job: Job, catalog: Catalog) -> Loop | None:
    """Return a job's strategy as the dataflow needs it.

    Raises
    ------
    SettingsError
        With every fault of the strategy.
    """
    if job.strategy is None:
        return None
    return Loop.compile(load_strategy(job.strategy, catalog), catalog)


def acting_of(job: Job, loop: Loop | None, settings: Settings) -> Acting | None:
    """Return what a job needs to decide by itself; None: its log is files, or it never does."""
    if loop is None:
        return None
    log: MakeLog | None = None
    if job.stream is not None:
        kept = settings.stream_retention_seconds
        log = partial(Log, job.stream, job.partitions, settings.shards, kept)
    elif job.topic is not None:
        brokers = job.kafka or settings.kafka_brokers or ""
        log = partial(KafkaPublisher, brokers, job.topic, settings.kafka_config, settings.shards)
    return Acting.of(loop.loaded, loop.catalog, log)


def read_strategy(path: Path) -> str:
    """Return the text of a strategy's file.

    Raises
    ------
    SettingsError
        If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None


def input_name(job: Job) -> str:
    """Return how the input is remembered: another one is another log."""
    if job.topic is not None:
        return f"topic {job.topic}"
    name = place.FILES if job.stream is None else f"stream {job.stream}"
    return name + (f" of {job.partitions}" if job.partitions else "")


def remembered(job: Job, plans: Plans, settings: Settings, loop: Loop | None) -> place.Remembered:
    """Return what the data directory is to keep of a run."""
    return place.Remembered(
        catalog=absolute(job.catalog),
        decisions=None if job.decisions is None else absolute(job.decisions),
        strategy=None if loop is None else loop.strategy.name,
        schema=plans.schema_id,
        source=input_name(job),
        store=place.store_name(settings),
    )


def open_source(
    job: Job,
    settings: Settings,
    url: str | None,
    stop: StopFlag,
    on_outage: Callable[[str, float | None], None] | None = None,
) -> EventSource[Any]:
    """Return the source that a job reads.

    Parameters
    ----------
    job
        Checked by `check_input`.
    settings
        Limits.
    url
        The server of a stream.
    stop
        Ends the source with a last snapshot.
    on_outage
        Told when a log's server goes away, and when it is back.

    Raises
    ------
    NextbestError
        If there is no such input.
    """
    shared: dict[str, Any] = {"epoch_bytes": settings.epoch_bytes, "stop": stop}
    away: dict[str, Any] = {"outage_seconds": settings.outage_seconds, "on_outage": on_outage}
    if job.topic is not None:
        kafka: Any = importlib.import_module("..sources.kafka", __package__)  # brings its client
        source: EventSource[Any] = kafka.KafkaSource(
            job.kafka or settings.kafka_brokers,
            job.topic,
            config=settings.kafka_config,
            drain=job.drain,
            batch_rows=settings.batch_rows,
            max_event_bytes=settings.max_event_bytes,
            **away,
            **shared,
        )
        return source
    if job.stream is not None:
        assert url is not None
        return ValkeyStreamSource(
            url,
            job.stream,
            partitions=job.partitions,
            drain=job.drain,
            timeout=settings.redis_timeout_seconds,
            retention_seconds=settings.stream_retention_seconds,
            reconnect=reviver(settings),
            **away,
            **shared,
        )
    return FileSource(
        job.paths,
        batch_rows=settings.batch_rows,
        max_event_bytes=settings.max_event_bytes,
        follow=job.follow,
        partitions=job.partitions,
        rows=rows_of(job.catalog, job.columns),
        mapped=job.columns is not None,
        **shared,
    )
