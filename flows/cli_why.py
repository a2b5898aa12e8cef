"""`nextbest why`: how a decision came about, and what came of it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .cli_options import CatalogReference, DataDir, RedisUrl, make_settings


def why(
    decision_id: Annotated[
        str, typer.Argument(help="As the decision's answer has it.", show_default=False)
    ],
    catalog: CatalogReference = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="The name of the strategy that decided.  [default: any]",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON text.")] = False,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
) -> None:
    """Why a decision came out so, made again byte for byte, and what came of it.

    From the store while its record is kept (a day), afterwards from the archive.
    """
    import msgspec

    from .commands.lookup import catalog_of
    from .commands.screen import make_console
    from .commands.why import explain_decision
    from .commands.why_text import print_why

    declared, settings = catalog_of(make_settings(data_dir, redis_url), catalog)
    found = explain_decision(settings, declared, decision_id, strategy)
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        print_why(make_console(), found)
