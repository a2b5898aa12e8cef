"""`nextbest backfill`, `audit` and `rebuild`: what is made of the archive of events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import (
    CatalogReference,
    ChosenFeatures,
    DataDir,
    RedisUrl,
    ServiceName,
    Threads,
    make_settings,
)


def backfill(
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    entities: Annotated[
        Path | None,
        typer.Option(
            help="Parquet or CSV with the join keys and event_timestamp; other columns are kept.",
            show_default=False,
        ),
    ] = None,
    catalog: CatalogReference = None,
    features_: ChosenFeatures = None,
    service: ServiceName = None,
    known: Annotated[
        str | None,
        typer.Option(
            help="A column of log positions: what was served then, bit for bit.",
            metavar="COLUMN",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            help="One time for all (ISO 8601, or microseconds); without --entities, of all that "
            "had an event by then.",
            show_default=False,
        ),
    ] = None,
    states: Annotated[
        bool, typer.Option("--states", help="Add columns: present, missing or expired.")
    ] = False,
    incomplete: Annotated[
        bool,
        typer.Option("--incomplete", help="Go on if the archive lacks events that came."),
    ] = False,
    threads: Threads = None,
    memory_mb: Annotated[
        int, typer.Option(min=16, help="Memory for events and queries, MiB.", metavar="N")
    ] = 1024,
    data_dir: DataDir = None,
) -> None:
    """Features at any past time, by replaying the archive: a training set."""
    from .commands.backfill import run_backfill
    from .commands.lookup import catalog_of, parse_at
    from .commands.screen import make_console

    settings = make_settings(data_dir, None)
    run_backfill(
        settings, catalog_of(settings, catalog)[0], entities, out, features=features_ or [],
        service=service, known=known, at=parse_at(at), states=states, threads=threads,
        memory_mb=memory_mb, console=make_console(), incomplete=incomplete,
    )  # fmt: skip


def audit(
    catalog: CatalogReference = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Compare N lookups.  [default: all]", metavar="N"),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only lookups as of this time or later.", show_default=False),
    ] = None,
    threads: Threads = None,
    data_dir: DataDir = None,
) -> None:
    """Replay what services served, and compare; ends with status 1 if a value differs."""
    from .commands.audit import run_audit
    from .commands.lookup import catalog_of, parse_at
    from .commands.screen import make_console

    settings = make_settings(data_dir, None)
    same = run_audit(
        settings, catalog_of(settings, catalog)[0],
        sample=sample, since=parse_at(since), threads=threads, console=make_console(),
    )  # fmt: skip
    raise typer.Exit(int(not same))


def rebuild(
    catalog: CatalogReference = None,
    no_publish: Annotated[
        bool, typer.Option("--no-publish", help="Leave the rows' publication to the next run.")
    ] = False,
    strategy: Annotated[
        Path | None,
        typer.Option(
            help="If the state is lost: its models learn again what they had learned.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    threads: Threads = None,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
) -> None:
    """State and rows anew from the archive: for a changed catalog, or after a loss.

    New features get their whole history. No run may be under way; lookups go on meanwhile. The
    next run goes on where the last one ended.
    """
    from .commands.inputs import read_strategy
    from .commands.rebuild import run_rebuild
    from .commands.screen import make_console

    run_rebuild(
        make_settings(data_dir, redis_url), catalog, publish=not no_publish, threads=threads,
        console=make_console(), strategy=None if strategy is None else read_strategy(strategy),
    )  # fmt: skip
