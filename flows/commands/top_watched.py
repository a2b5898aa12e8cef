"""What processes showed at two moments, summed and compared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from .top_reading import Scrape

_INFINITE = math.inf


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How often something was done, and how long it took, seconds; None: it was not done."""

    name: str
    per_second: float
    p50: float | None
    p99: float | None
    failed_per_second: float = 0.0


class Watched:
    """Sums over processes, each compared with how it was before."""

    def __init__(self, before: Sequence[Scrape], now: Sequence[Scrape]) -> None:
        earlier = {each.url: each for each in before if each.away is None}
        self.now = [each for each in now if each.away is None]
        self.pairs = [(earlier.get(each.url), each) for each in self.now]
        spans = [each.at - was.at for was, each in self.pairs if was is not None]
        self.seconds = max(spans, default=0.0)

    def by(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """Sum a name's series by labels."""
        return _summed(
            ((labels_, v) for each in self.now for labels_, v in each.series(name)), labels
        )

    def most(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the greatest value by labels: of what several processes tell alike."""
        found: dict[tuple[str, ...], float] = {}
        for each in self.now:
            for has, value in each.series(name):
                key = tuple(has.get(label, "") for label in labels)
                found[key] = max(value, found.get(key, value))
        return found

    def grown(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """As `by`, how much was added since; a process that began anew has begun at 0."""
        total: Counter[tuple[str, ...]] = Counter()
        for was, each in self.pairs:
            if was is not None:
                old = _summed(was.series(name), labels)
                for key, value in _summed(each.series(name), labels).items():
                    total[key] += value - old[key] if value >= old[key] else value
        return total

    def sum(self, name: str) -> float:
        """Sum all series of a name."""
        return math.fsum(self.by(name).values())

    def rate(self, name: str) -> float:
        """Return how much was added a second, all series of a name."""
        return math.fsum(self.grown(name).values()) / self.seconds if self.seconds else 0.0

    def timing(self, name: str, key: str = "", label: str | None = None) -> Timing:
        """Return how often and how long, of all series or those where a label is `key`."""
        labels = () if label is None else (label,)

        def chosen(found: Mapping[tuple[str, ...], float]) -> dict[float, float]:
            return {
                float(where[0]): value
                for where, value in found.items()
                if label is None or where[1] == key
            }

        grown = chosen(self.grown(f"{name}_bucket", "le", *labels))
        times = grown if grown.get(_INFINITE) else chosen(self.by(f"{name}_bucket", "le", *labels))
        per_second = grown.get(_INFINITE, 0.0) / self.seconds if self.seconds else 0.0
        return Timing(
            name=key, per_second=per_second, p50=quantile(times, 0.5), p99=quantile(times, 0.99)
        )


def quantile(buckets: Mapping[float, float], q: float) -> float | None:
    """Return a quantile of cumulative counts by upper bound; None: there is nothing in them.

    >>> quantile({1.0: 50.0, 2.0: 100.0, float("inf"): 100.0}, 0.75)
    1.5
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    below, floor = 0.0, 0.0
    for bound in bounds:
        count = buckets[bound]
        if count >= q * total:
            if math.isinf(bound):
                return floor
            inside = count - below
            return floor + (bound - floor) * ((q * total - below) / inside if inside else 1.0)
        below, floor = count, bound
    return floor


def _summed(
    series: Iterable[tuple[Mapping[str, str], float]], labels: Sequence[str]
) -> Counter[tuple[str, ...]]:
    total: Counter[tuple[str, ...]] = Counter()
    for found, value in series:
        total[tuple(found.get(label, "") for label in labels)] += value  # type: ignore[assignment]
    return total
