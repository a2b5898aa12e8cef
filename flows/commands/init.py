"""`nextbest init`: from a user's file to a first declaration that runs."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...features.catalog import Catalog
from ...features.columns import Columns
from ...features.errors import SettingsError
from ...features.plans import Plans
from ..sources.row_events import RowEvents
from . import screen
from .drafting import draft
from .references import load
from .roles import Property, Roles, find_roles, identifier
from .sampling import Sample, read_sample
from .values import NOTHING

_SHOWN = 3


def init(
    path: Path,
    out: Path,
    console: Console,
    *,
    customer: str | None = None,
    time: str | None = None,
    kind: str | None = None,
) -> None:
    """Look at a file, write a declaration for it, and say what to do next.

    Parameters
    ----------
    path
        CSV or NDJSON.
    out
        The Python module to write; it must not be there yet.
    console
        Where to print.
    customer, time, kind
        The columns of the customer, the time and the type, if they are known.

    Raises
    ------
    NextbestError
        If the file cannot be understood, or `out` cannot be written.
    """
    if out.suffix != ".py" or not out.stem.isidentifier():
        raise SettingsError(f"{out}: expected the name of a Python module, such as shop.py")
    if out.exists():
        raise SettingsError(f"{out}: is there already; remove it, or give another --out")
    sample = read_sample(path)
    stem = re.sub(r"(\.gz)?$|\.(csv|ndjson|jsonl)(\.gz)?$", "", path.name)
    roles = find_roles(sample, stem, customer, time, kind)
    ours = not sample.text and roles.columns == Columns() and _is_ours(sample)
    name = identifier(out.stem)
    name = f"{name}_events" if name in ("customers", "catalog", "columns", "event", "agg") else name
    _show(console, path, sample, roles)
    text = draft(roles, name, path.name, out.name, ours=ours)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SettingsError(f"{out}: cannot be written: {error.strerror}") from error
    try:
        catalog = load(f"{out}:catalog", Catalog)
        Plans.compile(catalog)
        if not ours:
            RowEvents(catalog.source, load(f"{out}:columns", Columns))
    except BaseException:
        out.unlink()
        raise
    numbers = len(catalog.columns)
    wrote = f"{out}: {numbers} numbers of {len(catalog.entities)} entities"
    screen.entry(console, "wrote", escape(wrote))
    reference = f" --columns {shlex.quote(f'{out}:columns')}"
    _next(console, path, out, "" if ours else reference, roles)


def _is_ours(sample: Sample) -> bool:
    """Whether times are integers of microseconds, as an event has them."""
    return all(
        isinstance(at := row.get("event_timestamp"), int) and at > 10**15 for row in sample.rows
    ) and all("event_id" in row for row in sample.rows)


def _show(console: Console, path: Path, sample: Sample, roles: Roles) -> None:
    columns = roles.columns
    rows = f"{len(sample.rows):,} rows" if sample.whole else f"the first {len(sample.rows):,} rows"
    bad = f", {sample.bad:,} that cannot be read" if sample.bad else ""
    console.print(f"[bold]nextbest init[/bold]  {escape(str(path))}: {rows}{bad}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("  column", "becomes", "because"):
        table.add_column(heading, overflow="fold")

    def add(column: str, becomes: str, why: str) -> None:
        table.add_row(f"  {escape(column)}", becomes, escape(why))

    add(columns.customer_id, "customer_id", f"{roles.customers:,} different ones")
    how = "ISO 8601 or a number" if columns.time_format == "auto" else columns.time_format
    span = " to ".join(
        datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d")
        for us in (roles.first, roles.last)
    )
    unread = f"; {roles.unread:,} cannot be read" if roles.unread else ""
    add(columns.event_timestamp, "event_timestamp", f"{how}, {span}{unread}")
    words = ", ".join(f"{word} {times:,}" for word, times in roles.types[:_SHOWN])
    more = len(roles.types) - _SHOWN
    words += f" and {more} more" if more > 0 else ""
    if columns.every_row_is is None:
        add(columns.type, "type", words)
    else:
        add(NOTHING, "type", f"no column says; every row is {columns.every_row_is!r}")
    if columns.event_id is not None or "event_id" in sample.columns:
        add(columns.event_id or "event_id", "event_id", "different on every row")
    else:
        add(NOTHING, "event_id", "made from the row: equal rows are one event")
    for each in roles.properties:
        add(each.column, f"{each.name}: {each.kind}", _why(each))
    for column, why in roles.left_out:
        add(column, NOTHING, f"{why}; kept in the archive")
    console.print(table)
    if columns.encoding != "utf-8":
        screen.entry(console, "note", "the file is not UTF-8; it is read as Windows-1252")
    if roles.ambiguous:
        screen.entry(console, "note", "day and month could be the other way round")


def _why(each: Property) -> str:
    if each.kind != "str":
        return f"{each.present:,} values"
    words = ", ".join(str(word)[:24] for word, _ in each.words[:_SHOWN])
    return words if each.distinct <= _SHOWN else f"{words}, … ({each.distinct:,} words)"


def _next(console: Console, path: Path, out: Path, columns: str, roles: Roles) -> None:
    at = datetime.fromtimestamp(roles.last / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    catalog = shlex.quote(f"{out}:catalog")
    for name, command in (
        ("look", f"nextbest features validate {catalog}"),
        ("run", f"nextbest run {shlex.quote(str(path))} --catalog {catalog}{columns}"),
        ("ask", f"nextbest features get {shlex.quote(roles.example)} --at {at}"),
        ("serve", f"nextbest serve   # curl localhost:8080/v1/features/{roles.example}"),
    ):
        console.print(f"  [bold]{name:10}[/bold] {escape(command)}", soft_wrap=True)
