"""`nextbest rebuild`: the state, and the rows of the online store, anew from the archive.

In this order, so that the process may die anywhere: new state beside the old; a note of the
declaration that comes; the recovery store, at one stroke; the record of what runs here; the old
state goes; rows are published, which the next run would do too.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ...features.archive import Archive
from ...features.catalog import Catalog
from ...features.durable import named_errors, sync_path
from ...features.errors import SettingsError, StateError
from ...features.plans import Plans
from ...features.store_url import without_password
from ..decision.loading import load as load_strategy
from ..decisions import DecisionPoint
from ..loop_flow import LEARNER, Loop
from ..rebuild import (
    Shards,
    begin_generation,
    committed_files,
    end_generations,
    rebuild_shards,
)
from ..rebuild_loop import relearn
from ..recovered import Recovered, read_recovered, replace_recovered
from ..republish import republish
from ..run import working_in
from ..settings import Settings
from ..shard import CUSTOMERS, Origin, Snapshot
from . import place, screen
from .job import store_url
from .quiet import without_native_reports
from .references import absolute, load
from .stopping import stop_on_signals
from .values import duration

_Tell = Callable[[int, int], None]
_LEARNERS = {
    "learn": ("learner", "it begins anew"),
    "attribute": ("outcomes", "decisions that were open are forgotten"),
    "align_loop": ("outcomes", "what waited to be learned is forgotten"),
    "learn_loop": ("strategy", "its models begin anew; with --strategy they learn all again"),
}


def run_rebuild(
    settings: Settings,
    reference: str | None,
    *,
    publish: bool,
    threads: int | None,
    console: Console,
    strategy: str | None = None,
) -> None:
    """Make everything that a run keeps of features anew; say how it goes.

    Parameters
    ----------
    settings
        The data directory; without a store in it, that of the last run.
    reference
        The catalog; None: that of the last run.
    publish
        Whether to publish the rows; if not, the next run does.
    threads
        How many shards work at once.
    console
        Where progress is shown.
    strategy
        The text of the strategy; its models are learned anew if their state is gone.

    Raises
    ------
    NextbestError
        Whatever keeps it from being done. The state is then what it was, unless the message says
        that it was rebuilt.
    """
    last = place.remembered(settings.data_dir)
    if last is None:
        raise StateError(f"{settings.data_dir}: nothing ran here that could be rebuilt")
    if publish:
        settings = place.same_store(settings, last)
    reference = last.catalog if reference is None else absolute(reference)
    plans = Plans.compile(load(reference, Catalog))
    if last.decisions is not None:
        load(last.decisions, DecisionPoint).check(plans.catalog.source)
    loop = _loop(strategy, plans.catalog, last)
    keeps_store = settings.redis_url is None and last.store != place.EMBEDDED
    this = msgspec.structs.replace(
        last,
        catalog=reference,
        schema=plans.schema_id,
        store=last.store if keeps_store else place.store_name(settings),
        rebuilding=None,
    )
    with stop_on_signals() as stop, place.claimed(settings.data_dir):
        with working_in(settings.data_dir):
            began = time.perf_counter()
            made = _rebuild(settings, plans, last, this, threads, stop.is_set, console, loop)
            took = time.perf_counter() - began
            screen.entry(
                console, "events",
                f"{made.events:,} applied in {duration(took)}, {made.events / took:,.0f} events/s",
            )  # fmt: skip
            if publish:
                _publish(settings, plans, made.snapshots, stop, console)
            else:
                screen.entry(console, "rows", "the next run publishes them")
        goes_on = f"nextbest run ... --catalog {screen.word(reference)}"
        screen.entry(console, "go on", f"{goes_on} --data-dir {screen.word(settings.data_dir)}")


def _rebuild(
    settings: Settings,
    plans: Plans,
    last: place.Remembered,
    this: place.Remembered,
    threads: int | None,
    stopped: Callable[[], bool],
    console: Console,
    loop: Loop | None,
) -> Shards:
    directory = settings.archive_dir / "events"
    partitions = {int(p.name.partition("=")[2]) for p in directory.glob("partition=*")}
    with without_native_reports():
        found = read_recovered(settings, partitions, last.schema)
    archive = Archive(directory) if any(directory.glob("partition=*/*.parquet")) else None
    files = committed_files(archive, found.archived)
    live = {Origin.of(snapshot).generation for snapshot in found.shards.values()}
    generation = begin_generation(settings, live)
    with _bar(console, "archive", len(files), stopped) as tell:
        made = rebuild_shards(
            plans, settings, generation, files, found.shards, threads=threads, on_file=tell
        )
    forgotten, learned = _lost(settings, found, loop, console)
    place.remember(settings.data_dir, msgspec.structs.replace(last, rebuilding=plans.schema_id))
    with without_native_reports():
        replace_recovered(settings, plans, made.snapshots, forgotten=forgotten, learned=learned)
        again = read_recovered(settings, partitions, plans.schema_id)
    if again.shards != made.snapshots:
        raise StateError(f"{settings.recovery_dir}: did not take the new state; try again")
    _sync(settings)
    place.remember(settings.data_dir, this, rebuilt=True)
    end_generations(settings, generation)
    _tell_left(plans, {entity for entity, _ in found.shards}, console)
    return made


def _loop(text: str | None, catalog: Catalog, last: place.Remembered) -> Loop | None:
    if text is None:
        return None
    loop = Loop.compile(load_strategy(text, catalog), catalog)
    if loop.strategy.name != last.strategy:
        raise SettingsError(
            f"--strategy: what ran here was {last.strategy or 'none'}, not {loop.strategy.name}"
        )
    return loop


def _lost(
    settings: Settings, found: Recovered, loop: Loop | None, console: Console
) -> tuple[list[str], dict[str, tuple[str, Any]]]:
    """Return which learners begin anew as their state is gone, and which learned it all again.

    The archive of events brings none of them back; that of credits a strategy's models.
    """
    forgotten, learned = [], {}
    for step, states in found.learners.items():
        lost = [m["log"] for m in states if not (settings.state_dir / m["log"]).exists()]
        if not lost:
            continue
        name, what = _LEARNERS[step]
        if step == "learn_loop" and loop is not None:
            manifest, examples = relearn(loop, settings, found.credited)
            learned[step] = (LEARNER, manifest)
            what = f"its models learned {examples:,} examples again"
        else:
            forgotten.append(step)
        screen.entry(console, name, f"its state {lost[0]} is gone: {what}")
    return forgotten, learned


def _tell_left(plans: Plans, before: set[str], console: Console) -> None:
    """Name the entities that had rows and are declared no more.

    Their rows stay: an app of the older declaration may read them, and only a person knows when
    none does.
    """
    name = plans.catalog.name
    for entity in sorted(before - {CUSTOMERS, *(p.catalog.entity.name for p in plans.others)}):
        screen.entry(
            console, "left",
            f"rows of {entity} stay in the store, and nothing changes them any more: delete the "
            f"keys nextbest:{name}:{entity}:* when no app reads them",
        )  # fmt: skip


def _publish(
    settings: Settings,
    plans: Plans,
    snapshots: Mapping[tuple[str, int], Snapshot],
    stop: Any,
    console: Console,
) -> None:
    began = time.perf_counter()
    url = store_url(settings)
    tell_outage: Callable[[str, float | None], None] = lambda reason, seconds: (  # noqa: E731
        console.print(f"  waiting: {reason}", soft_wrap=True, markup=False)
    )
    with _bar(console, "rows", len(snapshots), stop.is_set) as tell:
        done = republish(
            plans, settings, url, snapshots, stop=stop, on_outage=tell_outage,
            on_shard=lambda shards: tell(shards, 0),
        )  # fmt: skip
    took = duration(time.perf_counter() - began)
    for entity, rows in done.rows.items():
        if entity == CUSTOMERS and not plans.serves_customers:
            continue
        name = "customers" if entity == CUSTOMERS else entity
        screen.entry(console, name, f"{rows:,} rows in the store {escape(without_password(url))}")
    if done.left:
        screen.entry(
            console, "left", f"{done.left} shards to the next run: the store has newer rows"
        )
    screen.entry(console, "published", f"in {took}")


def _sync(settings: Settings) -> None:
    """Wait for the recovery store to be on disk: the old state goes next."""
    for path in (*settings.recovery_dir.iterdir(), settings.recovery_dir):
        with named_errors(path):
            sync_path(path)


@contextlib.contextmanager
def _bar(console: Console, name: str, total: int, stopped: Callable[[], bool]) -> Iterator[_Tell]:
    """Show how far it is; end it if that is asked for."""
    columns = (
        TextColumn(name), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[events]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(name, total=max(1, total), events="")

        def tell(done: int, events: int) -> None:
            if stopped() and done < total:
                raise StateError("stopped as asked; call it again, and nothing is missing")
            bar.update(task, completed=done, events=f"{events:,} events" if events else "")

        yield tell
