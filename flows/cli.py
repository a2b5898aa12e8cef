"""The command line. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

try:
    import typer
except ModuleNotFoundError:
    raise SystemExit(
        "nextbest: the command line belongs to the worker: pip install 'nextbest[worker]'"
    ) from None

from .cli_beside import explained, tell_unknown
from .cli_evaluate import evaluate
from .cli_features import features
from .cli_fleet import fleet
from .cli_history import audit, backfill, rebuild
from .cli_options import (
    ColumnsReference,
    DataDir,
    KafkaBrokers,
    MetricsHost,
    MetricsPort,
    RedisUrl,
    make_settings,
)
from .cli_rehearse import warm
from .cli_simulate import simulate
from .cli_store import down, up
from .cli_strategy import strategy
from .cli_top import top
from .cli_why import why

_OURS = "nextbest."  # where the errors that are raised on purpose are defined

app = typer.Typer(
    name="nextbest",
    help="Features that are never stale, and next best actions that learn from every outcome.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(features, name="features")
app.add_typer(strategy, name="strategy")
app.add_typer(fleet, name="fleet")


@app.callback(invoke_without_command=True)
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.")
    ] = False,
) -> None:
    if show_version:
        typer.echo(f"nextbest {version('nextbest')}")
        raise typer.Exit


@app.command()
def demo(
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Only the first N baskets; a later run goes on.", metavar="N"),
    ] = None,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the demo's data first.")] = False,
) -> None:
    """A year of real shopping becomes live features and a ranking that learns."""
    from .commands.screen import make_console

    console = make_console()
    console.print(
        "[bold]nextbest demo[/bold]  a year of real shopping, one event after the other\n"
        "           When a basket starts, one of 30 product categories is recommended to the "
        "household\n           from its past only; the reward is 1 if the basket then holds it.\n"
    )
    from .demo.show import run_demo

    code = run_demo(make_settings(data_dir, redis_url), limit, fresh=fresh, console=console)
    raise typer.Exit(code)


@app.command()
def run(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="NDJSON, CSV and Parquet files, directories of them, or globs.",
            show_default=False,
        ),
    ] = None,
    catalog: Annotated[
        str, typer.Option(help="package.module:attribute or file.py:attribute.")
    ] = ...,  # type: ignore[assignment]  # typer's way to say that it must be given
    columns: ColumnsReference = None,
    decisions: Annotated[
        str | None, typer.Option(help="A DecisionPoint to decide and learn.", show_default=False)
    ] = None,
    strategy: Annotated[
        Path | None,
        typer.Option(
            help="A strategy's YAML: learn from its decisions and outcomes in the log, and decide "
            "at its triggers.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Wait for NDJSON and CSV files to grow.")
    ] = False,
    stream: Annotated[
        str | None,
        typer.Option(help="Read this stream of the store instead of files.", show_default=False),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The stream is N streams, or the files lie in N directories partition=K.",
            metavar="N",
        ),
    ] = None,
    kafka: KafkaBrokers = None,
    topic: Annotated[
        str | None, typer.Option(help="The topic to read.", show_default=False)
    ] = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="With --stream or --topic: end at its last entry.")
    ] = False,
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            max=256,
            metavar="N",
            help="Worker processes; best 2, 4, 8 ... with a log of as many partitions or a "
            "multiple. If one dies, all go on from the last snapshot.",
        ),
    ] = 1,
    supervise: Annotated[
        bool, typer.Option("--supervise", help="Watch over a single process too.")
    ] = False,
    addresses: Annotated[
        str | None,
        typer.Option(
            help="Run one process of a cluster: host:port,... where each listens, the same on "
            "every machine. The network must be private, and --data-dir on a file system that "
            "all share.",
            show_default=False,
        ),
    ] = None,
    process_id: Annotated[
        int | None,
        typer.Option(help="With --addresses: which of them is this one, from 0.", metavar="I"),
    ] = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = None,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
) -> None:
    """Events → features (and a ranking that learns), until the input ends or Ctrl-C.

    The same command goes on where the last one ended, with any number of processes. With
    --processes N each has its own metrics: process I at --metrics-port + I.
    """
    from .commands.inputs import Job, read_strategy
    from .commands.job import run_job
    from .commands.screen import make_console

    job = Job(
        paths=tuple(paths or ()),
        follow=follow,
        stream=stream,
        partitions=partitions,
        kafka=kafka,
        topic=topic,
        drain=drain,
        catalog=catalog,
        columns=columns,
        decisions=decisions,
        strategy=None if strategy is None else read_strategy(strategy),
        processes=processes,
        supervise=supervise,
        addresses=addresses,
        process_id=process_id,
    )
    metrics = metrics_port, metrics_host
    run_job(job, make_settings(data_dir, redis_url, kafka, metrics), make_console())


@app.command()
def init(
    file: Annotated[Path, typer.Argument(help="Events of yours: CSV or NDJSON.")],
    out: Annotated[Path, typer.Option(help="The module to write.")] = Path("shop.py"),
    customer: Annotated[
        str | None, typer.Option(help="The column of the customer.", show_default=False)
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="The column of the time.", show_default=False)
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--type", help="The column of the type.", show_default=False)
    ] = None,
) -> None:
    """Look at a file of yours, and write a first declaration of features for it."""
    from .commands.init import init as init_
    from .commands.screen import make_console

    init_(file, out, make_console(), customer=customer, time=time, kind=kind)


@app.command()
def publish(
    file: Annotated[
        Path, typer.Argument(help="NDJSON or CSV, also packed (.gz); - reads NDJSON from stdin.")
    ],
    stream: Annotated[str, typer.Option(help="The key of the stream.")] = "events",
    catalog: Annotated[
        str | None,
        typer.Option(help="What the rows of CSV mean: module:attribute.", show_default=False),
    ] = None,
    columns: ColumnsReference = None,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, help="Append each event to its customer's of N streams.", metavar="N"),
    ] = None,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
) -> None:
    """Append a file's events to a stream, which `nextbest run --stream` reads."""
    from .commands.publishing import publish_file
    from .commands.screen import make_console

    publish_file(
        make_settings(data_dir, redis_url), file, stream, partitions, make_console(),
        catalog=catalog, columns=columns,
    )  # fmt: skip


@app.command()
def serve(
    host: Annotated[
        str,
        typer.Option(help="Where to listen; other machines need a key of NEXTBEST_API_KEYS."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any that is free.")] = 8080,
    catalog: Annotated[
        str | None,
        typer.Option(
            help="package.module:attribute or file.py:attribute, or the name of one in the store, "
            "whose new declarations are taken up.  [default: the only one in the store]",
            show_default=False,
        ),
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(help="The stream that events go to.  [default: events]", show_default=False),
    ] = None,
    partitions: Annotated[
        int | None, typer.Option(min=1, help="It is N streams.", metavar="N")
    ] = None,
    kafka: KafkaBrokers = None,
    topic: Annotated[
        str | None,
        typer.Option(help="The topic that events go to instead.", show_default=False),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="Decide by this strategy's YAML, taken up whenever it changes; or by one in the "
            "store, named.  [default: the only one in the store]",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            max=64,
            help="That many share the address; one that dies is started anew.",
            metavar="N",
        ),
    ] = 1,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = None,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
) -> None:
    """Events in, features and decisions out, over HTTP, until Ctrl-C."""
    from .commands.serve import Service, run_service

    settings = make_settings(data_dir, redis_url, kafka, (metrics_port, metrics_host))
    asked = Service(
        settings=settings, catalog=catalog, host=host, port=port, stream=stream,
        partitions=partitions, topic=topic, strategy=strategy,
    )  # fmt: skip
    run_service(asked, processes)


for command in (backfill, audit, rebuild, evaluate, simulate, why, top, warm, up, down):
    app.command()(command)


def main() -> None:
    """Run the command line: exit status 0, 1 with one line for a failure, 2 for a wrong use."""
    try:
        tell_unknown()
        with explained():
            app()
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        if not type(error).__module__.startswith(_OURS):
            raise  # a mistake in code, ours or the user's: its place is what helps
        _fail(str(error))


def _fail(message: str) -> None:
    from .telemetry.logs import say

    say(" ".join(message.split()))
    sys.exit(1)


if __name__ == "__main__":
    main()
