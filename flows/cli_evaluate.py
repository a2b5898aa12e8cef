"""`nextbest evaluate`: would another strategy have done better?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .cli_options import CatalogReference, DataDir, make_settings


def evaluate(
    policy: Annotated[
        Path,
        typer.Option(
            "--policy", help="The strategy to judge, YAML.", metavar="FILE", show_default=False
        ),
    ],
    catalog: CatalogReference = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only decisions of this time or later.", show_default=False),
    ] = None,
    method: Annotated[
        str,
        typer.Option(help="bernstein, betting, asymptotic (any time); percentile, bca (one look)."),
    ] = "bernstein",
    alpha: Annotated[float, typer.Option(help="The chance of a wrong verdict.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON text.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Whether a strategy would have done better than what was logged, without trying it."""
    from ..learners.off_policy.report import METHODS
    from .commands import evaluate as command
    from .commands.evaluate_text import print_evaluation
    from .commands.lookup import catalog_of, parse_at
    from .commands.screen import make_console
    from .commands.strategies import read_loaded

    command.check_settings(method, alpha, METHODS)
    settings = make_settings(data_dir, None)
    declared = catalog_of(settings, catalog)[0]
    loaded = read_loaded(policy, declared)
    if loaded is None:
        raise typer.Exit(1)
    found = command.evaluate_strategy(
        settings,
        declared,
        loaded,
        since=parse_at(since),
        method=method,  # type: ignore[arg-type]  # it is one of METHODS
        alpha=alpha,
    )
    if as_json:
        sys.stdout.write(command.as_json(found).decode() + "\n")
    else:
        print_evaluation(make_console(), found)
