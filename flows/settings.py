"""Every setting of a worker, with its unit, in one place.

Paths are fixed here and nowhere else: all state lives below `data_dir`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from ..features.errors import SettingsError
from ..features.store_url import check_url
from .variables import PREFIX, check_names, in_units

_JSON = frozenset({"kafka_config"})
"""Settings that a variable gives as JSON."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs to know, checked when it is made.

    Each attribute can be given as an environment variable too: `NEXTBEST_` and the
    attribute's name in capitals, for example `NEXTBEST_DATA_DIR`.

    Raises
    ------
    SettingsError
        A value of the wrong type or outside its range; the message names it.

    Examples
    --------
    >>> settings = Settings(data_dir=Path("shop"), shards=32)
    >>> settings.archive_dir.as_posix(), settings.epoch_seconds
    ('shop/archive', 1.0)
    >>> Settings(shards=0)
    Traceback (most recent call last):
        ...
    nextbest.features.errors.SettingsError: shards=0: Expected `int` >= 1 (hash ranges of \
customers; fixed for the life of a data directory)
    """

    data_dir: Annotated[
        Path, Meta(description="directory that holds all local state; made with mode 0700")
    ] = Path(".nextbest")
    redis_url: Annotated[
        str | None,
        Meta(description="redis://, rediss:// or unix:// URL; none: an embedded server"),
    ] = None
    shards: Annotated[
        int,
        Meta(
            ge=1,
            le=1024,
            description="hash ranges of customers; fixed for the life of a data directory",
        ),
    ] = 16
    batch_rows: Annotated[
        int, Meta(ge=1, le=1 << 20, description="events in a micro-batch read from a file, at most")
    ] = 16_384
    epoch_seconds: Annotated[
        float, Meta(ge=0.01, le=3600.0, description="seconds between two snapshots")
    ] = 1.0
    epoch_bytes: Annotated[
        int,
        Meta(ge=1 << 20, description="bytes that a source partition emits between two snapshots"),
    ] = 256 << 20
    archive: Annotated[
        bool, Meta(description="whether accepted events are kept as Parquet (training needs them)")
    ] = True
    max_event_bytes: Annotated[
        int, Meta(ge=1024, le=64 << 20, description="longest event accepted, in bytes of JSON")
    ] = 1 << 20
    future_skew_seconds: Annotated[
        float,
        Meta(ge=0.0, description="seconds that an event may lie ahead of the clock when received"),
    ] = 86_400.0
    redis_timeout_seconds: Annotated[
        float, Meta(gt=0.0, le=600.0, description="seconds to wait for one answer of the store")
    ] = 10.0
    outage_seconds: Annotated[
        float,
        Meta(ge=0.0, description="seconds to wait for a store or log that went away in a run"),
    ] = 600.0
    embedded_fsync: Annotated[
        Literal["always", "everysec"],
        Meta(description="when the embedded server writes to disk: at each command, or a second"),
    ] = "everysec"
    memory_bytes: Annotated[
        int,
        Meta(
            ge=16 << 20,
            description="bytes of memory for rows of all shards; more stay on disk",
        ),
    ] = 4 << 30
    idle_seconds: Annotated[
        float,
        Meta(gt=0.0, description="seconds without an event after which a customer leaves memory"),
    ] = 3600.0
    stream_retention_seconds: Annotated[
        float,
        Meta(ge=0.0, description="seconds until entries of a stream may be trimmed; 0: never"),
    ] = 0.0
    kafka_brokers: Annotated[
        str | None, Meta(description="host:port,... of the Kafka cluster to read from")
    ] = None
    kafka_config: Annotated[
        dict[str, str],
        Meta(description="more of librdkafka's configuration, for example sasl.*, as JSON"),
    ] = msgspec.field(default_factory=dict)
    dead_letter_topic: Annotated[
        str | None, Meta(description="Kafka topic that dead letters are sent to as well")
    ] = None
    http_body_bytes: Annotated[
        int, Meta(ge=1024, le=256 << 20, description="longest body of a request, in bytes")
    ] = 8 << 20
    http_events: Annotated[
        int, Meta(ge=1, le=1 << 20, description="events in one request, at most")
    ] = 10_000
    http_body_seconds: Annotated[
        float, Meta(gt=0.0, le=3600.0, description="seconds until a request's body must be there")
    ] = 30.0
    http_stop_seconds: Annotated[
        float, Meta(gt=0.0, le=3600.0, description="seconds that requests under way have to end")
    ] = 30.0
    decide_seconds: Annotated[
        float,
        Meta(gt=0.0, le=600.0, description="seconds of the store until a fallback is decided"),
    ] = 1.0
    decision_seconds: Annotated[
        float,
        Meta(
            ge=1.0,
            le=366 * 86_400.0,
            description="seconds that a decision's record is kept; longer for longer objectives",
        ),
    ] = 86_400.0
    apart_seconds: Annotated[
        float,
        Meta(
            ge=1.0,
            le=366 * 86_400.0,
            description="seconds of event time that partitions of a log may lie apart",
        ),
    ] = 86_400.0
    lookup_log_share: Annotated[
        float, Meta(ge=0.0, le=1.0, description="share of looked up rows that are kept; 0: none")
    ] = 0.0

    metrics_port: Annotated[
        int,
        Meta(ge=0, le=65_535, description="port that Prometheus reads metrics from; 0: none"),
    ] = 0
    metrics_host: Annotated[
        str, Meta(min_length=1, description="where that port is; metrics need no API key")
    ] = "127.0.0.1"
    log_format: Annotated[
        Literal["text", "json"],
        Meta(description="how logs are written to standard error: json is an object a line"),
    ] = "text"

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            shown = "***" if field.name in _JSON else repr(value)
            fit = _convert(field, value, f"{field.name}={shown}", strict=True)
            msgspec.structs.force_setattr(self, field.name, fit)  # a path given as text
        if self.redis_url is not None:
            check_url(self.redis_url)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Self:
        """The settings from `NEXTBEST_*` variables.

        Parameters
        ----------
        environ
            Variables to read; default: those of this process. An empty variable counts
            as unset. A `NEXTBEST_*` variable that is no setting is an error if it nearly is
            one, and otherwise not looked at: Kubernetes makes such names out of the names of
            services.
        **overrides
            Settings by name, before any variable; None means not given.

        Raises
        ------
        SettingsError
            Naming the variable, its value and what was expected; or a variable whose name looks
            like a mistake.

        Examples
        --------
        >>> Settings.from_env({"NEXTBEST_SHARDS": "8"}, archive=False).shards
        8
        >>> Settings.from_env({"NEXTBEST_EPOCH_SECONDS": "soon"})
        Traceback (most recent call last):
            ...
        nextbest.features.errors.SettingsError: NEXTBEST_EPOCH_SECONDS='soon': \
Expected `float`, got `str` (seconds between two snapshots)
        """
        source = os.environ if environ is None else environ
        fields = {field.name: field for field in msgspec.structs.fields(cls)}
        for name in overrides:
            if name not in fields:
                known = ", ".join(fields)
                raise SettingsError(f"{name}: there is no such setting; there are {known}")
        check_names(source, fields)
        values = {name: value for name, value in overrides.items() if value is not None}
        for name, field in fields.items():
            variable = PREFIX + name.upper()
            text = source.get(variable, "")
            if text and name not in values:
                shown = "***" if name in _JSON else repr(text)  # there may be a password in it
                values[name] = _convert(field, text, f"{variable}={shown}", strict=False)
        return cls(**values)

    @property
    def recovery_dir(self) -> Path:
        """Bytewax's recovery store: pointers and source offsets."""
        return self.data_dir / "recovery"

    @property
    def state_dir(self) -> Path:
        """The shards' delta logs."""
        return self.data_dir / "state"

    @property
    def archive_dir(self) -> Path:
        """Accepted events, Parquet."""
        return self.data_dir / "archive"

    @property
    def dead_letters_dir(self) -> Path:
        """Refused events, NDJSON."""
        return self.data_dir / "dead_letters"

    @property
    def lookups_dir(self) -> Path:
        """A sample of what the service answered, NDJSON."""
        return self.data_dir / "lookups"

    @property
    def valkey_dir(self) -> Path:
        """The embedded server's append-only file, log and locks."""
        return self.data_dir / "valkey"


def _convert(
    field: msgspec.structs.FieldInfo, value: object, shown: str, *, strict: bool
) -> object:
    """`value` as the field's type, or a SettingsError that begins with `shown`."""
    try:
        if isinstance(value, str) and field.name in _JSON:
            return msgspec.json.decode(value, type=field.type)
        return msgspec.convert(value, field.type, strict=strict, dec_hook=_path)
    except msgspec.DecodeError as error:
        told = (isinstance(value, str) and in_units(field.name, value)) or error
        raise SettingsError(f"{shown}: {told} ({_meaning(field.type)})") from None


def _path(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise msgspec.ValidationError(f"Expected a path, got `{type(value).__name__}`")


def _meaning(annotated: Any) -> str:
    return next(
        meta.description
        for meta in annotated.__metadata__
        if isinstance(meta, Meta) and meta.description
    )
