"""The skew audit: what was served, against what replay says was to be served.

A sample of lookups is logged with the time that they were as of, and with the log position of the
row that answered. The same features are replayed from the archive as known at that position, and
must be the same bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .catalog import Catalog
from .catalog_codec import meaning_id
from .replay import backfill
from .served_lookups import ServedLookup, read_lookups
from .state import FeatureRows

__all__ = ["Report", "ServedLookup", "Skew", "audit", "read_lookups"]

MOST_SHOWN = 100
_AT_A_TIME = 50_000


class Skew(NamedTuple):
    """One value that was served otherwise than replay says."""

    lookup: ServedLookup
    column: str
    served: float | None
    replayed: float | None


@dataclass
class Report:
    """What an audit found.

    Attributes
    ----------
    lookups, values
        How many were compared.
    differences
        How many values differ: the number that must be 0.
    skews
        The first of them.
    waiting
        Lookups of a place in the log that the archive has not come to, which replay answers
        otherwise: it lacks events yet. What it answers alike is compared: the log may end with
        events that were sent again, and these are archived never.
    others
        Lookups that cannot be compared, by the reason.
    """

    lookups: int = 0
    values: int = 0
    differences: int = 0
    skews: list[Skew] = field(default_factory=list)
    waiting: int = 0
    others: dict[str, int] = field(default_factory=dict)


def audit(
    catalog: Catalog,
    archive: Path,
    lookups: Iterable[ServedLookup],
    *,
    is_archived: Callable[[Sequence[str], Sequence[int]], Sequence[bool]],
    threads: int | None = None,
) -> Report:
    """Replay lookups and compare.

    Parameters
    ----------
    catalog
        The declaration.
    archive
        The directory of the archive's partitions.
    lookups
        What was served.
    is_archived
        Says of customers and positions whether the archive holds that part of the log.
    threads
        See `backfill`.

    Raises
    ------
    SourceError
        If the archive cannot be read.
    """
    report = Report()
    meanings = {e.name: meaning_id(catalog.of(e.name)) for e in catalog.entities}
    groups: dict[tuple[str, ...] | None, list[ServedLookup]] = {}

    def settle(features: tuple[str, ...] | None) -> None:
        _compare(catalog, archive, groups.pop(features), report, is_archived, threads)

    for lookup in lookups:
        reason = _reason(catalog, meanings, lookup)
        if reason is not None:
            report.others[reason] = report.others.get(reason, 0) + 1
            continue
        features = None if lookup.features is None else tuple(lookup.features)
        groups.setdefault(features, []).append(lookup)
        if len(groups[features]) == _AT_A_TIME:
            settle(features)
    for features in list(groups):
        settle(features)
    return report


def _reason(catalog: Catalog, meanings: dict[str, str], lookup: ServedLookup) -> str | None:
    """Say why a lookup cannot be compared."""
    if lookup.catalog != catalog.name:
        return f"of the catalog {lookup.catalog!r}"
    entities = {entity.name: entity for entity in catalog.entities}
    if lookup.entity not in entities:
        return f"of the entity {lookup.entity!r}, which is not declared"
    if not entities[lookup.entity].is_customer:
        return f"of {lookup.entity!r}: only the log of a customer has one order"
    if lookup.declaration != meanings[lookup.entity]:
        return f"of declaration {lookup.declaration}, now {meanings[lookup.entity]}"
    if lookup.older:
        return "of rows that were of an older declaration yet"
    return None


def _compare(
    catalog: Catalog,
    archive: Path,
    lookups: list[ServedLookup],
    report: Report,
    is_archived: Callable[[Sequence[str], Sequence[int]], Sequence[bool]],
    threads: int | None,
) -> None:
    there = is_archived([one.id for one in lookups], [one.position for one in lookups])
    first = lookups[0]
    own = catalog.of(first.entity)
    refs = first.features or [view.name for view in own.views]
    columns = [f"{v.name}:{column}" for v, f in own.select(refs) for column in f.columns]
    replayed = backfill(
        own, archive,
        [one.id for one in lookups],
        np.array([one.at for one in lookups], np.int64),
        known=np.array([one.position for one in lookups], np.int64),
        features=refs, threads=threads,
    )  # fmt: skip
    for lookup, archived, values, states in zip(lookups, there, *_lists(replayed), strict=True):
        same = lookup.values == values and lookup.states == states
        if not same and not archived:
            report.waiting += 1
            continue
        report.lookups += 1
        report.values += len(columns)
        if same:
            continue
        served = [*lookup.values, *[None] * (len(columns) - len(lookup.values))]
        told = [*lookup.states, *[-1] * (len(columns) - len(lookup.states))]
        for column, *pair, was, now in zip(columns, served, values, told, states, strict=False):
            if pair[0] != pair[1] or was != now:
                report.differences += 1
                if len(report.skews) < MOST_SHOWN:
                    report.skews.append(Skew(lookup, column, pair[0], pair[1]))


def _lists(rows: FeatureRows) -> tuple[list[list[float | None]], list[list[int]]]:
    # As JSON has them: what is not finite is null.
    values = [[v if math.isfinite(v) else None for v in row] for row in rows.values.tolist()]
    return values, rows.state.tolist()
