"""Joining what is counted for operators to what a run reports anyway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..entities import EntityCounted
from ..featurize import Counted
from ..pipeline import Observers
from .running import RunMeter


def metered(observers: Observers, meter: RunMeter | None) -> Observers:
    """Return observers that tell a meter too, if there is one.

    >>> meter = RunMeter()
    >>> metered(Observers(), meter).looped({"too_late": 3})
    >>> [values for metric, values in ((m, meter.values(m)) for m in meter.metrics())
    ...  if metric.name == "nextbest_examples_late_total"]
    [[((), 3)]]
    """
    if meter is None:
        return observers

    def counted(one: Counted) -> None:
        meter.applied(one.partition, one.accepted, one.late, one.duplicate)
        meter.held("", one.shard, one.customers, one.evicted)

    def keyed(one: EntityCounted) -> None:
        meter.held(one.entity, one.shard, one.rows, one.evicted)

    return replace(
        observers,
        counted=_both(observers.counted, counted),
        keyed=_both(observers.keyed, keyed),
        stored=_both(observers.stored, meter.stored),
        outage=_both(observers.outage, meter.outage),
        looped=_both(observers.looped, meter.looped),
        acted=_both(observers.acted, meter.acted),
        meter=meter,
    )


def _both(first: Callable[..., Any], second: Callable[..., Any]) -> Callable[..., None]:
    def told(*what: Any) -> None:
        first(*what)
        second(*what)

    return told
