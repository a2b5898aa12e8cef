"""`nextbest run`: files or a stream → features, and a ranking if decisions are declared."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import redis
from rich.console import Console
from rich.markup import escape

from ...features.catalog import Catalog
from ...features.online import key_prefix
from ...features.plans import Plans
from ...features.store_url import without_password
from ..connection import ask, pool
from ..decisions import DecisionPoint
from ..embedded import connect, ensure_server
from ..pipeline import build_flow
from ..run import run_flow
from ..settings import Settings
from ..telemetry.logs import set_up
from ..telemetry.observing import metered
from ..telemetry.showing import check_ports, run_meter, showing_run
from . import place, screen
from .inputs import Job, acting_of, check_input, check_stream, loop_of, open_source, remembered
from .measures import Measures
from .processes import check_processes, make_supervisor
from .quiet import without_native_reports
from .references import load
from .reports import Tally
from .stopping import stop_on_signals
from .values import duration

_COUNTED_KEYS = 2_000_000
_REASONS = 5


def run_job(job: Job, settings: Settings, console: Console) -> None:
    """Run to the end of the input, or until stopped; print a summary.

    Raises
    ------
    NextbestError
        Whatever keeps it from running, in one line.
    """
    set_up(settings.log_format)
    catalog = load(job.catalog, Catalog)
    point = None if job.decisions is None else load(job.decisions, DecisionPoint)
    loop = loop_of(job, catalog)
    acting = acting_of(job, loop, settings)
    check_input(job, settings)
    member = check_processes(job, settings)
    with stop_on_signals() as stop:
        beside = job.processes if member is None else 1
        check_ports(settings, beside)
        stream_url = store_url(settings) if job.stream is not None else None
        if stream_url is not None:
            check_stream(job, settings, stream_url)
        measures = Measures()
        source = open_source(job, settings, stream_url, stop, measures.outage)
        with place.claimed(settings.data_dir, shared=member is not None):
            this = remembered(job, Plans.compile(catalog), settings, loop)
            place.check(settings, this, first=member is None or member.index == 0)
            url = stream_url or store_url(settings)
            last = place.remembered(settings.data_dir)
            place.remember(settings.data_dir, this)
            what = escape(source.describe())
            console.print(f"[bold]nextbest run[/bold]  {what}", soft_wrap=True)
            if last is not None and last.strategy is None and this.strategy is not None:
                screen.entry(
                    console, "strategy",
                    f"{this.strategy} learns from here on; this directory's run had none before",
                )  # fmt: skip
            if loop is not None and loop.strategy.triggers and acting is None:
                console.print(
                    "  triggers   pass: decisions are appended to the log, and files are only read",
                    soft_wrap=True,
                )
            if job.processes > 1 or job.supervise or member is not None:
                tally = Tally()
                supervisor = make_supervisor(job, settings, url, member, stop, tally, console)
                with _screen(console, tally.measures):
                    supervisor.run()
                restarts = supervisor.restarts
                measures = tally.measures
            else:
                restarts = 0
                meter = run_meter(settings)
                flow = build_flow(
                    source, catalog, settings, url,
                    decisions=point, loop=loop, acting=acting,
                    observers=metered(measures.observers(), meter), stop=stop,
                )  # fmt: skip
                show = showing_run(
                    meter, settings, catalog.name, source,
                    compiled=lambda: measures.compiled_seconds,
                )  # fmt: skip
                with show, _screen(console, measures), without_native_reports():
                    run_flow(flow, settings)
            _summary(
                console, settings, catalog, url, measures, stopped=stop.is_set(), restarts=restarts
            )


@contextlib.contextmanager
def _screen(console: Console, measures: Measures) -> Iterator[None]:
    began = time.perf_counter()
    follow = screen.following(
        console,
        lambda: screen.measures_grid(measures),
        lambda: screen.speed_line(measures, began),
        seconds=10.0,
    )
    with measures.running(), follow:
        yield


def store_url(settings: Settings) -> str:
    """Return the URL of the online store, which answers; the embedded one is started.

    Raises
    ------
    StoreError
        If it does not answer.
    """
    with contextlib.closing(connect(settings)):
        return settings.redis_url or ensure_server(settings.data_dir)


def rows_in(url: str, catalog: Catalog, settings: Settings) -> dict[str, int] | None:
    """Count each entity's rows in the store; None where that takes long or the store cannot say."""
    with contextlib.closing(
        redis.Redis(connection_pool=pool(url, seconds=settings.redis_timeout_seconds))
    ) as client:
        try:
            if int(ask(client, "DBSIZE")) > _COUNTED_KEYS:
                return None
            return {
                entity.name: _keys_in(client, key_prefix(catalog.of(entity.name)))
                for entity in catalog.entities
            }
        except redis.RedisError:
            return None  # all has been done, and its end is told without that


def _keys_in(client: redis.Redis, prefix: bytes) -> int:
    declared = prefix + b"schema:"
    found = client.scan_iter(match=prefix + b"*", count=10_000)
    return sum(not name.startswith(declared) for name in found)


def _summary(
    console: Console,
    settings: Settings,
    catalog: Catalog,
    url: str,
    measures: Measures,
    *,
    stopped: bool,
    restarts: int,
) -> None:
    put: Callable[[str, str], None] = lambda name, text: screen.entry(console, name, text)  # noqa: E731
    if stopped:
        put("stopped", "as asked, after a last snapshot; the same command goes on from here")
    if restarts:
        put("restarts", f"{restarts}; what was taken in again counts again here, nowhere else")
    put(
        "events",
        f"{measures.events:,} accepted ({measures.late:,} of them late), "
        f"{measures.duplicates:,} duplicate, {measures.dead:,} dead letters",
    )
    if not measures.events + measures.duplicates + measures.dead:
        put("", "there was nothing to read: all of it is empty, or was read before")
    if measures.away_seconds:
        put("waited", f"{duration(measures.away_seconds)} for servers that were away")
    if measures.dead:
        letters = settings.dead_letters_dir / "dead.ndjson"
        put("", f"dead letters are in {escape(str(letters))}")
        for reason, times in measures.reasons.most_common(_REASONS):
            put("", f"{times:>6,} x {escape(reason)}")
    for long, times in measures.too_long.items():
        put("", f"{times:,} have too long a key to count for {long}")
    for entity, number in (rows_in(url, catalog, settings) or {}).items():
        name = "customers" if entity == "customer" else entity
        put(name, f"{number:,} in the store {escape(without_password(url))}")
    fresh = f", freshness {screen.freshness(measures)}" if measures.rows else ""
    put("rows", f"{measures.rows:,} written{fresh}")
    compiled = measures.compiled_seconds
    put(
        "speed",
        f"{measures.events_per_second:,.0f} events/s over {duration(measures.seconds)}"
        + (f", after {duration(compiled)} of compiling kernels once" if compiled else ""),
    )
    if measures.progress is not None and measures.progress.resolved:
        progress = measures.progress
        put(
            "decisions",
            f"{progress.decisions:,} made, {progress.resolved:,} resolved, "
            f"mean reward {progress.reward.get():.4f}",
        )
    if measures.loop:
        put("loop", screen.loop_line(measures.loop))
    if measures.acted:
        put("triggers", screen.acted_line(measures.acted))
    put("look up", f"nextbest features get ID --data-dir {screen.word(settings.data_dir)}")
