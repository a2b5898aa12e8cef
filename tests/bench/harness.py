"""What every scenario shares: the result's form, and medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True)
class Result:
    """One scenario's permanent figures, and what helps to read them."""

    scenario: str
    figures: dict[str, float]
    detail: dict[str, Any] = field(default_factory=dict)


def median_rate(step: Callable[[_T], object], parts: Sequence[_T], runs: int) -> float:
    """Give ``parts`` to ``step`` in ``runs`` equal stretches; return the median items a second."""
    stretch = len(parts) // runs
    rates = []
    for run in range(runs):
        chosen = parts[run * stretch : (run + 1) * stretch]
        items = sum(len(part) for part in chosen)  # type: ignore[arg-type]  # parts have lengths
        began = time.perf_counter()
        for part in chosen:
            step(part)
        rates.append(items / (time.perf_counter() - began))
    return statistics.median(rates)


def median_events(once: Callable[[int], Any], events: int, runs: int) -> float:
    """Return the median events a second of runs of ``events`` events each."""
    rates = []
    for i in range(runs):
        began = time.perf_counter()
        once(i)
        rates.append(events / (time.perf_counter() - began))
    return statistics.median(rates)
