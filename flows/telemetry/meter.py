"""Counts, gauges and histograms as plain numbers: cheap to change, read when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .names import BOUNDS, OTHER, Metric

Labels = tuple[str, ...]


class Histogram:
    """How many values were up to each bound, and their sum.

    Examples
    --------
    >>> seconds = Histogram((0.1, 1.0))
    >>> for value in (0.05, 0.5, 0.1, 7.0):
    ...     seconds.add(value)
    >>> seconds.counts, seconds.total
    ([2, 1, 1], 7.65)
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Count a value, so many times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times


class Meter:
    """Values of metrics by their labels.

    One thread changes it, any other may read it. What a label of `BOUNDS` may be is bounded: once
    it has had so many values, others count as ``other``.

    Examples
    --------
    >>> from .names import DEAD_LETTERS
    >>> meter = Meter()
    >>> meter.add(DEAD_LETTERS, 2, "0", "json")
    >>> meter.values(DEAD_LETTERS)
    [(('0', 'json'), 2)]
    """

    def __init__(self) -> None:
        self._values: dict[Metric, dict[Labels, float]] = {}
        self._histograms: dict[Metric, dict[Labels, Histogram]] = {}
        self._seen: dict[str, set[str]] = {name: set() for name in BOUNDS}

    def add(self, metric: Metric, amount: float, *labels: str) -> None:
        """Add to a counter."""
        values = self._of(metric)
        if labels not in values:
            labels = self._bounded(metric, labels)
        values[labels] = values.get(labels, 0) + amount

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Set a gauge."""
        values = self._of(metric)
        if labels not in values:
            labels = self._bounded(metric, labels)
        values[labels] = value

    def set_all(self, metric: Metric, values: Iterable[tuple[Labels, float]]) -> None:
        """Set a metric as a whole; what is beyond a label's bound is summed up."""
        total: dict[Labels, float] = {}
        for labels, value in values:
            kept = self._bounded(metric, labels)
            total[kept] = total.get(kept, 0) + value
        self._of(metric).update(total)

    def show(self, metric: Metric, values: Mapping[Labels, float]) -> None:
        """Show these values of a gauge and no others."""
        self._values[metric] = {self._bounded(metric, k): value for k, value in values.items()}

    def histogram(self, metric: Metric, *labels: str) -> Histogram:
        """Return the histogram of some labels."""
        histograms = self._histograms.setdefault(metric, {})
        found = histograms.get(labels)
        if found is None:
            labels = self._bounded(metric, labels)
            found = histograms.setdefault(labels, Histogram(metric.bounds))
        return found

    def begin(self, metric: Metric, *labels: str) -> None:
        """Show a series from the beginning, at 0, if it is not there yet."""
        if metric.kind == "histogram":
            self.histogram(metric, *labels)
        else:
            self.add(metric, 0, *labels)

    def forget(self, metric: Metric) -> None:
        """Show no values of a gauge until it is set again."""
        self._values.pop(metric, None)

    def values(self, metric: Metric) -> list[tuple[Labels, float]]:
        """Return what a counter or gauge is, by labels."""
        return list(self._values.get(metric, {}).items())

    def histograms(self, metric: Metric) -> list[tuple[Labels, Histogram]]:
        """Return the histograms of a metric, by labels."""
        return list(self._histograms.get(metric, {}).items())

    def metrics(self) -> Iterator[Metric]:
        """All that there is something of."""
        yield from [*self._values, *self._histograms]

    def _of(self, metric: Metric) -> dict[Labels, float]:
        found = self._values.get(metric)
        if found is None:
            found = self._values.setdefault(metric, {})
        return found

    def _bounded(self, metric: Metric, labels: Labels) -> Labels:
        assert len(labels) == len(metric.labels), (metric.name, labels)
        return tuple(map(self._known, metric.labels, labels))

    def _known(self, label: str, value: str) -> str:
        seen = self._seen.get(label)
        if seen is None or value in seen:
            return value
        if len(seen) >= BOUNDS[label]:
            return OTHER
        seen.add(value)
        return value
