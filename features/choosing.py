"""Reads of some of a plan's features, also from rows that an older plan laid out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from .declaration import Feature, FeatureView
from .kernels.read import F_DENOMINATOR, F_NUMERATOR, F_OUT, F_TTL, ReadTables
from .plan import Plan

_Place = dict[tuple[str, str], tuple[int, FeatureView, Feature]]


def choose(
    plan: Plan,
    chosen: Sequence[tuple[FeatureView, Feature]],
    *,
    stored: Plan | None = None,
) -> ReadTables:
    """Return how to read these features of a plan, and no others.

    The first columns are the chosen features', in that order; what they are made from follows.

    Parameters
    ----------
    plan
        Whose catalog the features are of.
    chosen
        Views and features, as `Catalog.select` returns them.
    stored
        The plan that laid the rows out; default: ``plan``. What has another meaning there is not
        read.

    Examples
    --------
    >>> from nextbest.features import Catalog, EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> v = FeatureView(name="v", source=shop, features=[agg.count("n"), agg.count("m")])
    >>> catalog = Catalog(name="demo", views=[v])
    >>> choose(Plan.compile(catalog), catalog.select(["v:m"])).columns
    1
    """
    layout = plan if stored is None else stored
    now, then = _places(plan), _places(layout)
    out: dict[tuple[str, str], int] = {}
    columns = 0
    wanted = [(view.name, feature.name) for view, feature in chosen]
    hidden = [(view.name, name) for view, f in chosen for name in (f.numerator, f.denominator)]
    for key in (*wanted, *[(view, name) for view, name in hidden if name is not None]):
        if key not in out:
            out[key] = columns
            columns += len(now[key][2].columns)
    entries = []
    # What a ratio is of was declared, and so is read, before it.
    for key in sorted(out, key=lambda k: now[k][0]):
        _, view, feature = now[key]
        old = then.get(key)
        if old is None or not all(
            _meaning(now, name) == _meaning(then, name) for name in (key, *_parts(key, feature))
        ):
            continue
        entry = layout.reads.features[old[0]].copy()
        entry[F_OUT], entry[F_TTL] = out[key], view.ttl_us
        parts = _parts(key, feature)
        if parts:
            entry[F_NUMERATOR], entry[F_DENOMINATOR] = (out[part] for part in parts)
        entries.append(entry)
    table = np.array(entries, np.int64).reshape(len(entries), layout.reads.features.shape[1])
    return ReadTables(table, layout.reads.scopes, layout.header, columns)


def _places(plan: Plan) -> _Place:
    return {(v.name, f.name): (i, v, f) for i, (v, f) in enumerate(plan.catalog.features())}


def _parts(key: tuple[str, str], feature: Feature) -> list[tuple[str, str]]:
    return [(key[0], name) for name in (feature.numerator, feature.denominator) if name]


def _meaning(places: _Place, key: tuple[str, str]) -> object:
    found = places.get(key)
    if found is None:
        return None
    _, view, feature = found
    return view.gap_us, msgspec.structs.replace(feature, description="", tags={})
