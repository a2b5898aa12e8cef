"""`nextbest strategy …`: what a strategy's file says, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

strategy = typer.Typer(no_args_is_help=True, help="Check a strategy's file, and read it in words.")

File = Annotated[Path, typer.Argument(help="The strategy, YAML.", show_default=False)]
Against = Annotated[
    str | None,
    typer.Option(
        "--catalog",
        help="package.module:attribute or file.py:attribute: check features and events too.",
        show_default=False,
    ),
]


@strategy.command()
def validate(file: File, catalog: Against = None) -> None:
    """Whether a strategy can be used; every fault as FILE:line: reason, and status 1."""
    from .commands.strategies import validate_strategy

    raise typer.Exit(validate_strategy(file, catalog))


@strategy.command()
def explain(file: File, catalog: Against = None) -> None:
    """What a strategy says, in plain sentences."""
    from .commands.strategies import explain_strategy

    raise typer.Exit(explain_strategy(file, catalog))
