"""`nextbest features list`, `describe`, `diff` and `validate`: what is declared."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...features.catalog import Catalog
from ...features.declared import read_catalog
from ...features.describing import Difference, differences, facts
from ...features.errors import DeclarationError
from ...features.plan import Plan
from ...features.plans import Plans
from ..embedded import connect
from ..settings import Settings
from . import place, screen
from .references import load

LIVE = "live"
"""Instead of a reference: the declaration that the workers published in the store."""

_MARKS = {"added": "+", "removed": "-", "changed": "~", "reworded": "\N{MIDDLE DOT}"}
_REBUILT = (
    "history of what was added or changed comes with: nextbest rebuild; until then such features "
    "read as missing, all others as before"
)


def list_features(catalog: Catalog, console: Console, service: str | None = None) -> None:
    """Print what a catalog declares, or what one of its services chooses.

    Raises
    ------
    DeclarationError
        If there is no such service.
    """
    table = _table("feature", "type", "window", "description")
    chosen = None if service is None else catalog.select(catalog.service(service).features)
    for view, feature in chosen or catalog.features():
        kind = facts(view, feature)["type"]
        name = f"{view.name}:[bold]{feature.name}[/bold]"
        table.add_row(name, kind, str(feature.window), escape(feature.description))
    console.print(table)
    if service is None and catalog.services:
        names = ", ".join(s.name for s in catalog.services)
        console.print(f"services: {names}", style="dim", soft_wrap=True)


def describe(catalog: Catalog, ref: str, console: Console) -> None:
    """Print all that is declared of a feature, a view or a service.

    Raises
    ------
    DeclarationError
        If nothing has that name.
    """
    for service in catalog.services:
        if service.name == ref:
            console.print(f"[bold]service {ref}[/bold]  {escape(service.description)}")
            _facts(console, {"owner": service.owner, "tags": _pairs(service.tags)})
            list_features(catalog, console, ref)
            return
    for view, feature in catalog.select([ref]):
        console.print(
            f"[bold]{view.name}:{feature.name}[/bold]  {escape(feature.description)}",
            soft_wrap=True,
        )
        found = facts(view, feature)
        found.pop("description", None)
        _facts(console, found)


def validate(catalog: Catalog, console: Console) -> None:
    """Compile a catalog, and print what its rows would be.

    Raises
    ------
    DeclarationError
        If it cannot be compiled.
    """
    table = _table("entity", "found by", "features", "numbers", "bytes a row at most", "schema")
    for entity in catalog.entities:
        own = catalog.of(entity.name)
        plan = Plan.compile(own)
        features = sum(len(view.features) for view in own.views)
        table.add_row(
            entity.name, ", ".join(entity.join_keys), f"{features:,}", f"{len(own.columns):,}",
            f"{8 * plan.served_words:,}", f"{plan.schema_id:08x}",
        )  # fmt: skip
    console.print(f"[bold]{catalog.name}[/bold] can be run: {len(catalog.views)} views, "
                  f"{len(catalog.services)} services, events of {catalog.source.name}")  # fmt: skip
    console.print(table)


def diff(settings: Settings, old: str, new: str, console: Console) -> bool:
    """Print what changed between two declarations; return whether anything did.

    What a run would refuse to go on with is a change, whatever its features say.

    Parameters
    ----------
    settings
        Where the store is, for `LIVE`.
    old, new
        References, or `LIVE`.

    Raises
    ------
    NextbestError
        If one of them cannot be read.
    """
    after = load(new, Catalog)
    before = live_catalog(settings, after.name) if old == LIVE else load(old, Catalog)
    found = differences(before, after)
    for difference in found:
        console.print("\n".join(_lines(difference)), soft_wrap=True)
    if not found:
        console.print("no feature differs")
    for entity in after.entities:
        with contextlib.suppress(DeclarationError):
            was = Plan.compile(before.of(entity.name)).schema_id
            now = Plan.compile(after.of(entity.name)).schema_id
            if was != now:
                screen.entry(console, entity.name, f"schema {was:08x} → {now:08x}; {_REBUILT}")
    return bool(found) or Plans.compile(before).schema_id != Plans.compile(after).schema_id


def live_catalog(settings: Settings, name: str) -> Catalog:
    """Return the declaration that the workers published in the store.

    Raises
    ------
    NextbestError
        If there is none, or the store is away.
    """
    last = place.remembered(settings.data_dir)
    if last is not None:
        settings = place.same_store(settings, last)
    with contextlib.closing(connect(settings)) as client:
        return read_catalog(client, name)


def _lines(difference: Difference) -> Iterator[str]:
    yield f"{_MARKS[difference.change]} {difference.change:8}  [bold]{difference.feature}[/bold]"
    for detail in difference.details:
        yield f"             {escape(detail)}"


def _facts(console: Console, found: dict[str, str]) -> None:
    table = Table.grid(padding=(0, 2))
    for name, text in found.items():
        if text:
            table.add_row(f"  [dim]{name.replace('_', ' ')}[/dim]", escape(text))
    console.print(table)


def _pairs(tags: dict[str, str]) -> str:
    return msgspec.json.encode(tags).decode() if tags else ""


def _table(*columns: Sequence[str] | str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(str(name), overflow="fold")
    return table
