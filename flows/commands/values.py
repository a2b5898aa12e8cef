"""One feature's values for a person and for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from ...features.catalog import Catalog
from ...features.declaration import Feature, FeatureView
from ...features.online import Features
from ...features.online.answer import Id

Value = int | float | str | None
NOTHING = "\N{EN DASH}"


def by_column(found: Features, catalog: Catalog, key: Id) -> dict[str, Value]:
    """Return one key's typed values by column, in the order of the catalog."""
    values = found.to_dict(key)
    return {column: values[column] for column in catalog.columns}


def shown(feature: Feature, values: Sequence[Value], keys: int = 3) -> str:
    """Return a feature's values in a few words; of many keys those that matter most.

    >>> from nextbest.features import aggregations as agg
    >>> shown(agg.time_since("since"), [200_000.0])
    '2.3 d'
    """
    if not feature.is_vector:
        return one(feature, values[0])
    if feature.by is None:
        return ", ".join(one(feature, v) for v in values if v is not None) or NOTHING
    pairs = [
        (key, v)
        for key, v in zip(feature.key_words, values, strict=True)
        if v is not None and (v or feature.aggregation == "time_since")
    ]
    if feature.dtype != "string":
        least_first = feature.aggregation == "time_since"
        pairs.sort(key=lambda pair: float(pair[1]) if least_first else -abs(float(pair[1])))
    text = ", ".join(f"{key} {one(feature, v)}" for key, v in pairs[:keys])
    more = len(pairs) - keys
    return (text or NOTHING) + (f" and {more} more" if more > 0 else "")


def one(feature: Feature, value: Value) -> str:
    """Return one value for a person."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    if feature.aggregation == "time_since":
        return duration(float(value))
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """Return seconds in the unit that suits them.

    >>> duration(0.25), duration(90), duration(864_000)
    ('250 ms', '1.5 min', '10.0 d')
    """
    if not math.isfinite(seconds):
        return NOTHING
    if seconds < 1.0:
        return f"{1000 * seconds:.0f} ms"
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 86_400:.1f} d"


def columns_of(
    chosen: Iterable[tuple[FeatureView, Feature]],
) -> Iterator[tuple[FeatureView, Feature, slice]]:
    """Yield every feature with the columns that are its own."""
    start = 0
    for view, feature in chosen:
        yield view, feature, slice(start, start + len(feature.columns))
        start += len(feature.columns)
