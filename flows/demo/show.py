"""`nextbest demo`: real shopping → features → a ranking that learns, before one's eyes."""

from __future__ import annotations

import shutil
import time
from functools import partial
from pathlib import Path

import msgspec
import redis
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ...features.declared import CATALOGS
from ...features.errors import SourceError, StateError
from ...features.plans import Plans
from ...features.store_url import without_password
from ..commands import place, screen
from ..commands.job import store_url
from ..commands.measures import Measures
from ..commands.quiet import without_native_reports
from ..commands.stopping import stop_on_signals
from ..commands.values import duration
from ..commands.warm import warm
from ..embedded import stop_server
from ..pipeline import build_flow
from ..run import run_flow
from ..settings import Settings
from ..sources.base import StopFlag
from ..sources.files import FileSource
from .agreement import FeastProcess
from .picture import Scene, line, picture
from .stream import Written, record_path, write_events

CATALOG = "nextbest.flows.demo.catalog:catalog"
DECISIONS = "nextbest.flows.demo.catalog:next_category"
_MADE = ("events", "state", "recovery", "archive", "dead_letters", "feast", "valkey")
_RECORDS = ("run.json", "demo.json", "shards", "format", "name")
_LOCKS = ("run.lock", "worker.lock")
_BATCH_ROWS = 4096  # small: an event waits for its batch


def run_demo(settings: Settings, limit: int | None, *, fresh: bool, console: Console) -> int:
    """Run the demo; return the exit status.

    Parameters
    ----------
    settings
        Where the data and the online store are.
    limit
        Baskets; None: the whole year.
    fresh
        Whether to begin by deleting what an earlier demo made.
    console
        Where to show it.

    Raises
    ------
    NextbestError
        Whatever keeps it from running, in one line.
    """
    settings = msgspec.structs.replace(settings, batch_rows=min(_BATCH_ROWS, settings.batch_rows))
    with stop_on_signals() as stop, place.claimed(settings.data_dir):
        _check_ours(settings.data_dir)
        if fresh:
            _delete(settings)
        plans = _plans()
        place.check(settings, _this_run(plans, settings))
        with screen.step(console, "store", "finding or starting the online store") as said:
            url = store_url(settings)
            said(without_password(url))
        written = _write(settings, limit, console)
        with FeastProcess(settings) as feast:
            scene = _flow(plans, settings, written, url, console, stop)
            if stop.is_set():
                screen.entry(console, "stopped", "as asked; the same command goes on from here")
                return 0
            _check_whole(scene, written, settings)
            from .ending import show_ending  # brings what the flow does not need

            agreed = show_ending(settings, written, url, feast, scene, console)
    return 0 if agreed else 1


def _plans() -> Plans:
    from .catalog import catalog

    return Plans.compile(catalog)


def _this_run(plans: Plans, settings: Settings) -> place.Remembered:
    return place.Remembered(
        catalog=CATALOG,
        decisions=DECISIONS,
        schema=plans.schema_id,
        source=place.FILES,
        store=place.store_name(settings),
    )


def _check_whole(scene: Scene, written: Written, settings: Settings) -> None:
    standing = scene.standing
    if not scene.decided == (standing.decisions if standing else 0) == written.baskets:
        raise StateError(
            f"{settings.data_dir}: {scene.decided:,} of {written.baskets:,} decisions are "
            "resolved; begin anew with --fresh"
        )


def _check_ours(data_dir: Path) -> None:
    found = {p.name for p in data_dir.iterdir()} - {*_LOCKS, "valkey"}
    if found and not record_path(data_dir).exists():
        raise StateError(
            f"{data_dir}: holds something that the demo did not make; give another --data-dir"
        )


def _delete(settings: Settings) -> None:
    """Remove what the demo made, in the directory and in the store, and nothing else."""
    from .catalog import catalog

    data_dir = settings.data_dir
    last = place.remembered(data_dir)
    if last is not None:
        settings = place.same_store(settings, last)
    if settings.redis_url is None:
        stop_server(data_dir)
    else:
        with redis.Redis.from_url(store_url(settings)) as client:
            for key in client.scan_iter(match=f"nextbest:{catalog.name}:*", count=10_000):
                client.unlink(key)
            client.hdel(CATALOGS, catalog.name)
    for name in _MADE:
        shutil.rmtree(data_dir / name, ignore_errors=True)
    for name in _RECORDS:
        (data_dir / name).unlink(missing_ok=True)


def _write(settings: Settings, limit: int | None, console: Console) -> Written:
    with screen.step(console, "data", "reading the year, writing it as Parquet") as said:
        try:
            written = write_events(settings.data_dir, limit)
        except ModuleNotFoundError as error:
            raise SourceError(str(error)) from None
        verb = "written to" if written.is_new else "found in"
        said(
            f"{written.events:,} events of {written.baskets:,} baskets {verb} "
            f"{settings.data_dir / 'events'}, moved on by {written.shift_weeks} weeks"
        )
    return written


def _flow(
    plans: Plans,
    settings: Settings,
    written: Written,
    url: str,
    console: Console,
    stop: StopFlag,
) -> Scene:
    from .catalog import next_category
    from .step import add_yardsticks

    place.remember(settings.data_dir, _this_run(plans, settings))
    _warm(plans, settings, written, console)
    scene = Scene(written.baskets)
    source = FileSource(written.files, batch_rows=settings.batch_rows, stop=stop)
    flow = build_flow(
        source,
        plans.catalog,
        settings,
        url,
        decisions=next_category,
        observers=scene.measures.observers(),
        beside=partial(add_yardsticks, next_category, scene.stand),
    )
    if not console.is_terminal:
        screen.entry(console, "flow", "events → features → decisions → rewards → learning …")
    follow = screen.following(console, partial(picture, scene), partial(line, scene))
    with scene.measures.running(), follow, without_native_reports():
        run_flow(flow, settings)
    _tell(scene.measures, scene.reference_seconds, settings, console)
    return scene


def _warm(plans: Plans, settings: Settings, written: Written, console: Console) -> None:
    """Compile the kernels, or load them, before an event waits for it."""
    from .catalog import next_category

    measures, began = Measures(), time.perf_counter()

    def doing() -> str:
        took = duration(time.perf_counter() - began)
        if measures.compiling is None:
            return f"  kernels    loading ({took})"
        return f"  kernels    compiling {measures.compiling}, once on this machine ({took})"

    with measures.running(), screen.following(console, lambda: Text(doing()), doing, seconds=5.0):
        warm(plans, settings, next_category, written.files[0])
    done = f"compiled once on this machine, {measures.compiled} of them"
    took = duration(time.perf_counter() - began)
    screen.entry(console, "kernels", f"{done if measures.compiled else 'loaded'} [dim]({took})")


def _tell(
    measures: Measures, reference_seconds: float, settings: Settings, console: Console
) -> None:
    if measures.events:
        screen.entry(
            console, "flow",
            f"{measures.events:,} events in {measures.seconds:.1f} s, "
            f"{measures.events_per_second:,.0f}/s [dim](the references took "
            f"{reference_seconds:.1f} s of it)[/dim]",
        )  # fmt: skip
        screen.entry(
            console, "freshness",
            f"{screen.freshness(measures)} from an event's arrival to its row in the store",
        )  # fmt: skip
    else:
        screen.entry(console, "flow", "everything was processed already; nothing was left to do")
    dead = f"{measures.dead:,} events refused"
    if measures.dead:
        dead += f", see {escape(str(settings.dead_letters_dir / 'dead.ndjson'))}"
    screen.entry(console, "dead", dead)
