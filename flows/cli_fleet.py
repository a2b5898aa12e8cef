"""`nextbest fleet …`: a strategy's champion and challengers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .cli_options import CatalogReference, DataDir, KafkaBrokers, RedisUrl, make_settings

if TYPE_CHECKING:
    from .settings import Settings

fleet = typer.Typer(no_args_is_help=True, help="A strategy's champion and its challengers.")

StrategyName = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        help="The name of the strategy.  [default: the only one with a fleet]",
        metavar="NAME",
        show_default=False,
    ),
]
Member = Annotated[str, typer.Argument(help="The challenger's name.", show_default=False)]
Note = Annotated[str, typer.Option("--note", help="Why; it is kept in the audit log.")]
By = Annotated[
    str | None,
    typer.Option("--by", help="Who wants it.  [default: the user]", show_default=False),
]
Stream = Annotated[
    str | None,
    typer.Option(help="The log.  [default: that of the last run]", show_default=False),
]
Partitions = Annotated[int | None, typer.Option(min=1, help="It is N streams.", metavar="N")]


@fleet.command("list")
def list_members(
    strategy: StrategyName = None,
    changes: Annotated[
        int, typer.Option(min=0, max=100, help="Show the last N changes.", metavar="N")
    ] = 10,
    catalog: CatalogReference = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON text.")] = False,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
) -> None:
    """Who decides, who is on trial, how sure it is by now, and what changed last."""
    from .commands import fleet as command
    from .commands.lookup import catalog_of
    from .commands.screen import make_console

    declared, settings = catalog_of(make_settings(data_dir, redis_url), catalog)
    name, roster = command.find_fleet(settings, declared, strategy)
    if as_json:
        sys.stdout.write(command.as_json(name, roster).decode() + "\n")
    else:
        command.print_fleet(make_console(), name, roster, changes)


@fleet.command()
def promote(
    member: Member,
    note: Note = "",
    by: By = None,
    strategy: StrategyName = None,
    stream: Stream = None,
    partitions: Partitions = None,
    catalog: CatalogReference = None,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
    kafka: KafkaBrokers = None,
) -> None:
    """Make a challenger the champion now, whatever its trial says: an order in the log."""
    where = strategy, stream, partitions, catalog
    _order("promote", member, note, by, where, make_settings(data_dir, redis_url, kafka))


@fleet.command()
def retire(
    member: Member,
    note: Note = "",
    by: By = None,
    strategy: StrategyName = None,
    stream: Stream = None,
    partitions: Partitions = None,
    catalog: CatalogReference = None,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
    kafka: KafkaBrokers = None,
) -> None:
    """Let a challenger or the reserve go now: an order in the log."""
    where = strategy, stream, partitions, catalog
    _order("retire", member, note, by, where, make_settings(data_dir, redis_url, kafka))


def _order(
    what: Literal["promote", "retire"],
    member: str,
    note: str,
    by: str | None,
    where: tuple[str | None, str | None, int | None, str | None],
    settings: Settings,
) -> None:
    from .commands import fleet as command
    from .commands.lookup import catalog_of

    strategy, stream, partitions, catalog = where
    declared, settings = catalog_of(settings, catalog)
    name, roster = command.find_fleet(settings, declared, strategy)
    identifier = command.give_order(
        settings, name, roster, what, member, note=note, by=by, stream=stream,
        partitions=partitions,
    )  # fmt: skip
    typer.echo(
        f"{what} {member} of {name}: in the log as {identifier}, done by the run's next step"
    )
