"""`nextbest up` and `nextbest down`: the embedded server of a data directory."""

from __future__ import annotations

import typer

from .cli_options import DataDir, make_settings


def up(data_dir: DataDir = None) -> None:
    """Start the embedded server of a data directory, or find it; print its URL."""
    from .embedded import ensure_server

    typer.echo(ensure_server(make_settings(data_dir, None).data_dir))


def down(data_dir: DataDir = None) -> None:
    """Stop the embedded server of a data directory; its rows stay on disk."""
    from .embedded import stop_server

    directory = make_settings(data_dir, None).data_dir
    if stop_server(directory):
        typer.echo(f"stopped; its rows stay in {directory}")
    else:
        typer.echo(f"{directory}: no embedded server is running")
