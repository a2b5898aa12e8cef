"""`nextbest audit`: what was served, against what replaying the archive says."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.markup import escape

from ...features.archive import Archive
from ...features.audit import Report, ServedLookup, audit, read_lookups
from ...features.catalog import Catalog
from ...features.errors import SourceError, StateError
from ..partitions import partitions_of
from ..settings import Settings
from ..telemetry.logs import say
from ..telemetry.process import remember_audit
from . import place, screen
from .lookup import moment
from .whole import check_whole

_SHOWN = 10
_PARTITIONS = re.compile(r" of (\d+)$")


def run_audit(
    settings: Settings,
    catalog: Catalog,
    *,
    sample: int | None,
    since: int | None,
    threads: int | None,
    console: Console,
) -> bool:
    """Replay logged lookups and compare; print what differs and return whether nothing does.

    Parameters
    ----------
    settings
        Where lookups and archive are.
    catalog
        The declaration that the lookups were served by.
    sample
        How many lookups to compare, drawn evenly; None: all.
    since
        Only lookups as of this time or later, microseconds.
    threads
        How many to use.
    console
        Where it is said.

    Raises
    ------
    NextbestError
        If there are no lookups, or a file cannot be read.
    """
    logged = read_lookups(settings.lookups_dir)
    first = next(logged, None)
    if first is None:
        raise SourceError(
            f"{settings.lookups_dir}: no lookups have been logged; services log a share of them: "
            "NEXTBEST_LOOKUP_LOG_SHARE=0.01"
        )
    chosen: Iterable[ServedLookup] = itertools.chain([first], logged)
    if since is not None:
        chosen = (lookup for lookup in chosen if lookup.at >= since)
    if sample is not None:
        chosen = _drawn(chosen, sample)
    directory = settings.archive_dir / "events"
    archived = archived_so_far(settings, Archive(directory))
    try:
        check_whole(settings)
    except StateError as error:
        say(f"{error}. Values may differ for that alone", "warning")
    report = audit(catalog, directory, chosen, is_archived=archived, threads=threads)
    remember_audit(settings, report.values, report.differences)
    _print(console, report)
    return report.differences == 0


def _drawn(lookups: Iterable[ServedLookup], size: int) -> list[ServedLookup]:
    """Draw so many evenly, in one pass (Vitter 1985, "Random Sampling with a Reservoir", R)."""
    kept: list[ServedLookup] = []
    draw = random.Random(0)  # noqa: S311  # a sample guards nothing, and is to be repeatable
    for number, lookup in enumerate(lookups):
        if number < size:
            kept.append(lookup)
        elif (place_ := draw.randrange(number + 1)) < size:
            kept[place_] = lookup
    return kept


def archived_so_far(
    settings: Settings, archive: Archive
) -> Callable[[Sequence[str], Sequence[int]], Sequence[bool]]:
    """Return what says of customers and positions whether the archive has come that far."""
    last = place.remembered(settings.data_dir)
    found = None if last is None else _PARTITIONS.search(last.source)
    partitions = max(archive.partitions) + 1 if found is None else int(found[1])
    ends = [archive.last_position(partition) for partition in range(partitions)]

    def is_archived(customers: Sequence[str], positions: Sequence[int]) -> list[bool]:
        homes = partitions_of(customers, partitions, settings.shards).tolist()
        return [at <= ends[home] for home, at in zip(homes, positions, strict=True)]

    return is_archived


def _print(console: Console, report: Report) -> None:
    put: Callable[[str, str], None] = lambda name, text: screen.entry(console, name, text)  # noqa: E731
    put("compared", f"{report.lookups:,} lookups, {report.values:,} values")
    if report.waiting:
        put("waiting", f"{report.waiting:,} of events that are not in the archive yet")
    for reason, lookups in report.others.items():
        put("left out", f"{lookups:,} {escape(reason)}")
    put("differ", f"{report.differences:,} values")
    for skew in report.skews[:_SHOWN]:
        console.print(
            f"  {escape(skew.lookup.id)}  {escape(skew.column)}  as of {moment(skew.lookup.at)}, "
            f"position {skew.lookup.position}: served {skew.served}, replayed {skew.replayed}",
            soft_wrap=True,
        )
    more = report.differences - _SHOWN
    if more > 0:
        console.print(f"  and {more:,} more")
