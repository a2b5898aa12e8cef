"""Options that several commands take, and the settings that they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from .settings import Settings


DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Where all local state is kept.  [default: .nextbest; env: NEXTBEST_DATA_DIR]",
        show_default=False,
    ),
]
RedisUrl = Annotated[
    str | None,
    typer.Option(
        help="The online store; without it an embedded server.  [env: NEXTBEST_REDIS_URL]",
        show_default=False,
    ),
]
KafkaBrokers = Annotated[
    str | None,
    typer.Option(
        help="The topic is at these brokers (host:port,...).  [env: NEXTBEST_KAFKA_BROKERS]",
        metavar="BROKERS",
        show_default=False,
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65_535,
        help="Show metrics to Prometheus at this port, /metrics; 0: none.  "
        "[default: 0; env: NEXTBEST_METRICS_PORT]",
        metavar="PORT",
        show_default=False,
    ),
]
MetricsHost = Annotated[
    str | None,
    typer.Option(
        help="Where that port is; it needs no API key.  "
        "[default: 127.0.0.1; env: NEXTBEST_METRICS_HOST]",
        show_default=False,
    ),
]
CatalogReference = Annotated[
    str | None,
    typer.Option(
        "--catalog",
        help="package.module:attribute or file.py:attribute.  [default: that of the last run]",
        show_default=False,
    ),
]
ChosenFeatures = Annotated[
    list[str] | None,
    typer.Option(
        "--features",
        help="view:feature or view; may stand several times.  [default: all]",
        metavar="REF",
        show_default=False,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, max=256, help="[default: one a processor]", show_default=False),
]
ColumnsReference = Annotated[
    str | None,
    typer.Option(
        "--columns",
        help="The files' columns have other names, or times another form: a Columns, or a dict "
        "of one for each kind of files by a pattern of their names.",
        metavar="REF",
        show_default=False,
    ),
]
ServiceName = Annotated[
    str | None, typer.Option(help="The features of a service.", show_default=False)
]


def make_settings(
    data_dir: Path | None,
    redis_url: str | None,
    kafka_brokers: str | None = None,
    metrics: tuple[int | None, str | None] = (None, None),
) -> Settings:
    """Return the settings of the environment, and before them those of the command line."""
    from .settings import Settings

    port, host = metrics
    return Settings.from_env(
        data_dir=data_dir, redis_url=redis_url, kafka_brokers=kafka_brokers,
        metrics_port=port, metrics_host=host,
    )  # fmt: skip
