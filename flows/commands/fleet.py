"""`nextbest fleet`: who decides, who is on trial and how sure it is, and orders to change that."""

from __future__ import annotations

import contextlib
import getpass
import secrets
import time
from typing import Literal

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...features.catalog import Catalog
from ...features.errors import SettingsError, SourceError
from ..connection import ask, store_errors
from ..decision.keys import Keys
from ..decision.record import Order, order_event
from ..decision.roster import Evidence, Noted, Roster, read_roster
from ..embedded import connect
from ..settings import Settings
from ..sources.valkey_stream import publish_events
from . import place
from .lookup import moment

_SAID = {
    "begin": "is the champion",
    "add": "joins",
    "spawn": "begins afresh",
    "promote": "becomes the champion",
    "roll back": "is the champion again",
    "renew": "is tried anew",
    "retire": "leaves",
    "judge": "is compared",
}


def find_fleet(settings: Settings, catalog: Catalog, strategy: str | None) -> tuple[str, Roster]:
    """Return the strategy's name and its fleet, as the store has it.

    Parameters
    ----------
    settings
        Where the store is.
    catalog
        Whose strategies are meant.
    strategy
        The name of the strategy; None: the only one with a fleet.

    Raises
    ------
    SettingsError
        If there is no such strategy, or it has several.
    SourceError
        If no fleet has begun.
    StoreError
        If the store is away.
    """
    with contextlib.closing(connect(settings)) as client, store_errors(str(settings.redis_url)):
        key = Keys(catalog.name, "").all_strategies()
        there = [] if strategy else ask(client, "SMEMBERS", key)
        names = [strategy] if strategy else [name.decode() for name in there]
        last = place.remembered(settings.data_dir)
        if last is not None and last.strategy is not None and not strategy:
            names.append(last.strategy)
        found: dict[str, bytes] = {}
        for name in sorted(set(names)):
            data = ask(client, "GET", Keys(catalog.name, name).fleet())
            if data:
                found[name] = data
    if not found:
        raise SourceError(
            f"no fleet of {strategy or 'any strategy'} in the store: it begins with the first "
            "outcomes that a run with a fleet in its strategy learns"
        )
    if len(found) > 1:
        raise SettingsError(f"several have a fleet, name one with --strategy: {', '.join(found)}")
    name, data = found.popitem()
    return name, read_roster(data)


def give_order(
    settings: Settings,
    strategy: str,
    roster: Roster,
    what: Literal["promote", "retire"],
    member: str,
    *,
    note: str = "",
    by: str | None = None,
    stream: str | None = None,
    partitions: int | None = None,
) -> str:
    """Put an order into the log, where a replay finds it again; return the event's id.

    Parameters
    ----------
    settings
        Where the log is.
    strategy, roster
        As `find_fleet` returned them.
    what, member
        To do what with whom.
    note, by
        Why, and who wants it; None: the user of the system.
    stream, partitions
        The log; None: that of the last run.

    Raises
    ------
    SettingsError
        If there is no such challenger, or nothing can be appended to the log.
    StoreError
        If the log is away.
    """
    shadow = member in {one.name for one in roster.shadows}
    if shadow and what == "promote":
        raise SettingsError(
            f"{strategy}: {member!r} is a shadow: a model of River learns and forecasts, and "
            "cannot decide, as replicas serve the arrays of our own models alone. If it forecasts "
            "better, give `model:` what it makes use of, or declare a challenger with other "
            "`variances` or `forgetting`: that can be promoted"
        )
    if member not in roster.challengers and not shadow:
        there = ", ".join(roster.challengers) or "none"
        raise SettingsError(f"{strategy}: no challenger {member!r}; there are: {there}")
    identifier = f"order-{secrets.token_hex(8)}"
    order = Order(fleet=strategy, what=what, member=member, by=by or getpass.getuser(), note=note)
    line = order_event(identifier, time.time_ns() // 1000, order) + b"\n"
    last = place.remembered(settings.data_dir)
    kind, _, name = (last.source if last is not None else "").partition(" ")
    if stream is None and kind == "topic":
        from ..sources.kafka_publish import publish_kafka

        if settings.kafka_brokers is None:
            raise SettingsError(f"the log is topic {name}: give --kafka")
        publish_kafka(settings.kafka_brokers, name, line, shards=settings.shards)
        return identifier
    if stream is None and kind == "files":
        raise SettingsError(
            "the log is files: an order is an event of the log, which has to be a stream or a topic"
        )
    with contextlib.closing(connect(settings)) as client:
        publish_events(client, stream or name or "events", line, partitions, settings.shards)
    return identifier


def print_fleet(console: Console, strategy: str, roster: Roster, changes: int) -> None:
    """Print who is in a fleet, and what changed last."""
    table = Table(
        "member", "role", "since", "pairs", "differing", "gain", "e-value", "needed",
        title=f"fleet of {escape(strategy)}", title_justify="left",
    )  # fmt: skip
    for one in roster.members:
        role = "fresh challenger" if one.fresh else one.role
        table.add_row(escape(one.name), role, _when(one.since), *_trial(one.evidence))
    console.print(table)
    console.print(
        "gain: outcomes of the challenger less the champion's, in shares of the range, and where "
        "their mean lies at all times; it is promoted when its e-value reaches what is needed",
        style="dim", soft_wrap=True,
    )  # fmt: skip
    if roster.shadows:
        _print_shadows(console, roster)
    if roster.late:
        console.print(f"{roster.late:,} decisions came too late to count")
    shown = roster.changes[-changes:] if changes else []
    if shown:
        console.print("\n[bold]what changed last[/bold]")
    for change in shown:
        console.print(f"  {_change(change)}", soft_wrap=True)


def _print_shadows(console: Console, roster: Roster) -> None:
    table = Table(
        "shadow", "objective", "since", "learned", "pairs", "gain", "verdict",
        title=f"shadows, against {escape(roster.champion)}", title_justify="left",
    )  # fmt: skip
    for one in roster.shadows:
        for objective, each in one.objectives.items():
            table.add_row(
                escape(one.name), escape(objective), _when(one.since), f"{each.learned:,}",
                f"{each.evidence.pairs:,}", _gain(each.evidence), each.verdict,
            )  # fmt: skip
    console.print(table)
    console.print(
        "gain: by how many nats an example's log loss is less than the champion's, of what the "
        "champion decided, and where the mean lies at all times; a shadow never decides",
        style="dim", soft_wrap=True,
    )  # fmt: skip


def _change(change: Noted) -> str:
    why = change.by + (f", {change.note}" if change.note else "")
    text = f"{_when(change.at)}  {change.member} {_SAID.get(change.what, change.what)}: {why}"
    if change.evidence is not None:
        one = change.evidence
        text += (
            f"; against {change.champion}: {one.pairs:,} pairs, {one.differing:,} differ, gain "
            f"{_gain(one)}"
        )
    return escape(text)


def _trial(one: Evidence | None) -> tuple[str, ...]:
    if one is None:
        return ("",) * 5
    e_value = f"{2.718281828459045 ** min(one.log_e, 60.0):,.3g}"
    return f"{one.pairs:,}", f"{one.differing:,}", _gain(one), e_value, f"{1 / one.alpha:,.4g}"


def _gain(one: Evidence) -> str:
    return f"{one.mean:+.4f} ({one.low:+.4f} to {one.high:+.4f})"


def _when(at: int) -> str:
    return moment(at) if at else "the beginning"


def as_json(strategy: str, roster: Roster) -> bytes:
    """Return a fleet as JSON."""
    return msgspec.json.encode({"strategy": strategy, **msgspec.to_builtins(roster)})
