"""`nextbest top`."""

from __future__ import annotations

from typing import Annotated

import typer

from .cli_options import DataDir, make_settings


def top(
    url: Annotated[
        list[str] | None,
        typer.Option(
            help="Where a process shows metrics, host:port; may stand several times.  [default: "
            "the runs and services of the data directory, or else those at this machine's ports "
            "9464 to 9471]",
            metavar="URL",
            show_default=False,
        ),
    ] = None,
    every: Annotated[
        float, typer.Option(min=0.2, max=3600, help="Seconds between two looks.")
    ] = 2.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look once; status 1 if a process is away.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a look, for scripts.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Rates, lag, freshness, decisions and rewards of running processes, live; q ends it.

    It sees processes that were started with --metrics-port. One that was killed is shown as away
    until another takes its place at that port; its file in the data directory's metrics/ may be
    removed.
    """
    from .commands.screen import make_console
    from .commands.top import top as top_

    seen = top_(
        make_settings(data_dir, None), url or [], make_console(),
        every=every, once=once, as_json=as_json,
    )  # fmt: skip
    raise typer.Exit(int(once and not seen))
