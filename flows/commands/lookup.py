"""`nextbest features get`: what the store holds."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from ...features.catalog import Catalog
from ...features.declaration import Entity, Feature, FeatureView
from ...features.errors import SettingsError
from ...features.events import MAX_TIMESTAMP
from ...features.online import FeatureClient, Features
from ..embedded import connect
from ..settings import Settings
from . import place
from .references import load
from .values import columns_of, duration, shown


def parse_at(text: str | None) -> int | None:
    """Return a time given by a person in microseconds since 1970, UTC.

    Parameters
    ----------
    text
        ISO 8601 (without a zone it is UTC), or integer microseconds.

    Raises
    ------
    SettingsError
        If it is neither, or lies outside 1970 to 2100.

    Examples
    --------
    >>> parse_at("2026-01-01T00:00:00Z"), parse_at("1767225600000000")
    (1767225600000000, 1767225600000000)
    """
    if text is None:
        return None
    try:
        if text.isdecimal():
            us = int(text)
        else:
            when = datetime.fromisoformat(text)
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            us = round((when - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
    except ValueError:
        raise SettingsError(
            f"--at {text!r}: expected a time such as 2026-01-01T12:00:00Z, "
            "or microseconds since 1970"
        ) from None
    if not 0 < us <= MAX_TIMESTAMP:
        raise SettingsError(f"--at {text!r}: expected a time between 1970 and 2100")
    return us


def catalog_of(settings: Settings, reference: str | None) -> tuple[Catalog, Settings]:
    """Return the catalog asked for, or that of the last run, and the settings with its store.

    Raises
    ------
    SettingsError
        If none was named and there was no run.
    """
    last = place.remembered(settings.data_dir)
    if last is not None:
        settings = place.same_store(settings, last)
    if reference is None:
        if last is None:
            raise SettingsError(
                f"{settings.data_dir}: no run has been made here; name a catalog with --catalog, "
                "or the directory of a run with --data-dir"
            )
        reference = last.catalog
    return load(reference, Catalog), settings


def get_features(
    settings: Settings,
    ids: Sequence[str],
    reference: str | None,
    at: int | None,
    *,
    entity: str | None = None,
    features: Sequence[str] = (),
    service: str | None = None,
    as_json: bool,
    console: Console,
) -> None:
    """Print features as of now or of a time; what is unknown is missing, not zero.

    Parameters
    ----------
    ids
        Of the entity; for a composite one the parts with commas between them.
    entity
        Which; default: the customer.
    features, service
        Which of its features; default: all.

    Raises
    ------
    NextbestError
        If the store, the catalog or a row cannot be read.
    """
    whole, settings = catalog_of(settings, reference)
    customers = next((e.name for e in whole.entities if e.is_customer), whole.entity.name)
    catalog = whole.of(entity or customers)
    keys = len(catalog.entity.join_keys)
    wanted: list[Any] = [tuple(one.split(",")) for one in ids] if keys > 1 else list(ids)
    if service is not None:
        if features:
            raise SettingsError("give --service or --features, not both")
        features = _own(whole, service, catalog.entity)
    chosen = catalog.select(features, f"entity {catalog.entity.name}") if features else None
    with contextlib.closing(connect(settings)) as client:
        found = FeatureClient(client, catalog).get(wanted, features=features or None, at=at)
    if as_json:
        answer = [_as_json(found, catalog, one) for one in wanted]
        console.file.write(msgspec.json.format(msgspec.json.encode(answer), indent=1).decode())
        console.file.write("\n")
        return
    for one in wanted:
        _print(console, found, catalog.entity, chosen or tuple(catalog.features()), one)


def _own(catalog: Catalog, service: str, entity: Entity) -> list[str]:
    """Return those features of a service that are of an entity."""
    chosen = catalog.select(catalog.service(service).features)
    own = [f"{v.name}:{f.name}" for v, f in chosen if v.entity.name == entity.name]
    if not own:
        raise SettingsError(f"service {service!r} has no features of {entity.name}: see --entity")
    return own


def moment(us: int) -> str:
    """Return microseconds since 1970 as a date and time, UTC."""
    return f"{datetime.fromtimestamp(us / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _as_json(found: Features, catalog: Catalog, key: Any) -> dict[str, Any]:
    age = int(found.rows.age_ms[found.ids.index(key)])
    states = found.states(key)
    parts = (key,) if isinstance(key, str) else key
    return {
        **dict(zip(catalog.entity.join_keys, parts, strict=True)),
        "at": found.at,
        "known": age >= 0,
        "age_ms": age if age >= 0 else None,
        "features": {
            column: {"value": value, "state": states[column]}
            for column, value in found.to_dict(key).items()
        },
    }


def _print(
    console: Console,
    found: Features,
    entity: Entity,
    chosen: Sequence[tuple[FeatureView, Feature]],
    key: Any,
) -> None:
    age = int(found.rows.age_ms[found.ids.index(key)])
    name = escape(key if isinstance(key, str) else ", ".join(key))
    head = f"[bold]{entity.name} {name}[/bold]  as of {moment(found.at)}"
    if age < 0:
        console.print(f"{head}\n  unknown: the store has no row for this id; all is missing\n")
        return
    console.print(f"{head}, newest event {duration(age / 1000)} before")
    values = list(found.to_dict(key).values())
    states = list(found.states(key).values())
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("feature", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("state", style="dim")
    for view, feature, own in columns_of(chosen):
        state = ", ".join(sorted(set(states[own])))
        table.add_row(f"{view.name}:{feature.name}", escape(shown(feature, values[own])), state)
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
    console.print()
