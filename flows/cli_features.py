"""`nextbest features …`: look features up, and read what is declared."""

from __future__ import annotations

from typing import Annotated

import typer

from .cli_options import (
    CatalogReference,
    ChosenFeatures,
    DataDir,
    RedisUrl,
    ServiceName,
    make_settings,
)

features = typer.Typer(no_args_is_help=True, help="Look up, list and compare features.")


@features.command("get")
def get(
    ids: Annotated[list[str], typer.Argument(help="Ids.", metavar="ID...")],
    catalog: CatalogReference = None,
    at: Annotated[
        str | None,
        typer.Option(help="As of this time (ISO 8601, or microseconds).  [default: now]"),
    ] = None,
    entity: Annotated[
        str | None,
        typer.Option(
            help="Of which entity the ids are; of a composite one with commas between the parts.  "
            "[default: customer]",
            show_default=False,
        ),
    ] = None,
    features_: ChosenFeatures = None,
    service: ServiceName = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
) -> None:
    """Features as of now."""
    from .commands.lookup import get_features, parse_at
    from .commands.screen import make_console

    get_features(
        make_settings(data_dir, redis_url), ids, catalog, parse_at(at),
        entity=entity, features=features_ or [], service=service,
        as_json=as_json, console=make_console(),
    )  # fmt: skip


@features.command("list")
def list_(
    catalog: CatalogReference = None,
    service: Annotated[
        str | None, typer.Option(help="Only what this service chooses.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """What a catalog declares: name, type, window and description."""
    from .commands.catalogs import list_features
    from .commands.lookup import catalog_of
    from .commands.screen import make_console

    found = catalog_of(make_settings(data_dir, None), catalog)[0]
    list_features(found, make_console(), service)


@features.command()
def describe(
    ref: Annotated[str, typer.Argument(help="view:feature, a view or a service.", metavar="NAME")],
    catalog: CatalogReference = None,
    data_dir: DataDir = None,
) -> None:
    """All that is declared of a feature, a view or a service."""
    from .commands.catalogs import describe as describe_
    from .commands.lookup import catalog_of
    from .commands.screen import make_console

    describe_(catalog_of(make_settings(data_dir, None), catalog)[0], ref, make_console())


@features.command()
def validate(
    catalog: Annotated[str, typer.Argument(help="package.module:attribute or file.py:attribute.")],
) -> None:
    """Whether a catalog can be run, and what its rows would be."""
    from ..features import Catalog
    from .commands.catalogs import validate as validate_
    from .commands.references import load
    from .commands.screen import make_console

    validate_(load(catalog, Catalog), make_console())


@features.command()
def diff(
    old: Annotated[str, typer.Argument(help="A catalog; live: that of the store.")],
    new: Annotated[str, typer.Argument(help="A catalog.")],
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with status 1 if anything differs.")
    ] = False,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
) -> None:
    """What was added, removed or changed between two declarations."""
    from .commands.catalogs import diff as diff_
    from .commands.screen import make_console

    differs = diff_(make_settings(data_dir, redis_url), old, new, make_console())
    raise typer.Exit(int(exit_code and differs))
