"""`nextbest backfill`: features of many customers at many times, from the archive to a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ...features.catalog import Catalog
from ...features.errors import SettingsError, StateError
from ...features.replay_table import Training, backfill_to
from ..settings import Settings
from ..telemetry.logs import say
from . import screen
from .values import duration
from .whole import check_whole


def run_backfill(
    settings: Settings,
    catalog: Catalog,
    queries: Path | None,
    out: Path,
    *,
    features: Sequence[str],
    service: str | None,
    known: str | None,
    at: int | None,
    states: bool,
    threads: int | None,
    memory_mb: int,
    console: Console,
    incomplete: bool = False,
) -> None:
    """Write the file, and say how it goes.

    Parameters
    ----------
    settings
        Where the archive is.
    catalog
        The declarations.
    queries, out
        Files; without queries, all that had an event up to ``at``.
    features, service
        What to compute: references, or a service's; default: all.
    known
        The queries' column of log positions.
    at
        One time for all, microseconds.
    states
        Whether to write states too.
    threads, memory_mb
        How much of the machine to use.
    console
        Where progress is shown.
    incomplete
        Go on, with a warning, if the archive lacks events that were taken in.

    Raises
    ------
    NextbestError
        If an option, the archive, the queries or the file to be written cannot be used.
    """
    if features and service is not None:
        raise SettingsError("give --features or a --service, not both")
    if queries is None and at is None:
        raise SettingsError("give --entities FILE, or --at TIME for all that had an event by then")
    chosen = catalog.service(service).features if service is not None else features
    training = Training(
        catalog=catalog,
        archive=settings.archive_dir / "events",
        features=tuple(chosen) or None,
        known=known,
        at=at,
        states=states,
        threads=threads,
        memory_bytes=memory_mb << 20,
    )
    _check(settings, incomplete)
    began = time.perf_counter()
    with _progress(console, out.name) as bar:
        task = bar.add_task("replay", total=1.0)
        tell: Callable[[float], None] = lambda part: bar.update(task, completed=part)  # noqa: E731
        done = backfill_to(training, queries, out, on_progress=tell)
    took = duration(time.perf_counter() - began)
    width = len(training.fields())
    said = f"{done.rows:,} rows with {width} columns of features, in {took}"
    console.print(f"{out}: {said}", markup=False)
    if done.before:
        screen.entry(
            console, "before",
            f"{done.before:,} rows are of a time before the archive begins: all is missing there",
        )  # fmt: skip
    if done.after:
        screen.entry(
            console, "after",
            f"{done.after:,} rows are of a time after the archive's last event: as if nothing "
            "has happened since",
        )  # fmt: skip


def _check(settings: Settings, incomplete: bool) -> None:
    try:
        check_whole(settings)
    except StateError as error:
        if not incomplete:
            raise StateError(
                f"{error}. Its history would be wrong: restore them, or give --incomplete to have "
                "what is there"
            ) from None
        say(f"{error}. What is written is of those that are there", "warning")


def _progress(console: Console, name: str) -> Progress:
    return Progress(
        TextColumn(name, markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
