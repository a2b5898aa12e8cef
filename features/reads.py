"""The read side of a plan: where each feature lies in a row and how it is finished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .catalog import Catalog
from .declaration import Aggregation, Feature, FeatureView
from .kernels import read as R
from .kernels.layout import I64

if TYPE_CHECKING:
    from .plan import Operation

_KINDS: dict[Aggregation, int] = {
    "count": R.R_COUNT,
    "sum": R.R_SUM,
    "mean": R.R_MEAN,
    "max": R.R_MAX,
    "min": R.R_MIN,
    "first": R.R_FIRST,
    "last": R.R_LAST,
    "last_k": R.R_LAST_K,
    "distinct": R.R_DISTINCT,
    "decayed": R.R_DECAYED,
    "time_since": R.R_SINCE,
    "evidence": R.R_EVIDENCE,
    "ratio": R.R_RATIO,
}


def compile_reads(
    catalog: Catalog,
    planned: Sequence[tuple[FeatureView, Feature, Sequence[Operation]]],
    scopes: I64,
    places: dict[tuple[str, int], int],
    header: int,
) -> R.ReadTables:
    """Compile how every feature is read.

    Parameters
    ----------
    catalog
        Where column names come from.
    planned
        Every feature with its laid-out operations.
    scopes, places
        The scope table, and the ordinal of each scope in it.
    header
        Where the header of a row begins.
    """
    column = {name: i for i, name in enumerate(catalog.columns)}
    rows = []
    out = 0
    for view, feature, operations in planned:
        entry = [0] * 12
        entry[R.F_KIND] = _KINDS[feature.aggregation]
        entry[R.F_OUT] = out
        entry[R.F_TTL] = view.ttl_us
        entry[R.F_CELLS] = len(feature.columns)
        if feature.aggregation == "ratio":
            entry[R.F_NUMERATOR] = column[f"{view.name}:{feature.numerator}"]
            entry[R.F_DENOMINATOR] = column[f"{view.name}:{feature.denominator}"]
        else:
            cell = operations[0]
            entry[R.F_SCOPE] = places[cell.scope.key]
            entry[R.F_OFFSET] = cell.offset
            entry[R.F_COUNT_OFFSET] = operations[-1].offset
            entry[R.F_WIDTH] = feature.window.width
            entry[R.F_HOP] = feature.window.hop or 1
            entry[R.F_LAST_SESSION] = int(feature.window.kind == "last_session")
            if feature.aggregation == "distinct":
                entry[R.F_CELLS] = cell.size
        rows.append(entry)
        out += len(feature.columns)
    return R.ReadTables(np.array(rows, np.int64).reshape(len(rows), 12), scopes, header, out)
