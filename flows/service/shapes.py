"""From numbers to JSON: what a choice of features looks like, worked out once.

Numbers become Python objects a column at a time, in numpy; the keys of the JSON objects are laid
down in the types that are encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ...features.catalog import Catalog
from ...features.kernels.layout import F64, I64, U8
from ...features.kernels.read import EXPIRED, MISSING

_WHY = {int(MISSING): "missing", int(EXPIRED): "expired"}
_Make = Callable[..., Any]


class _Row(msgspec.Struct, frozen=True, gc=False):
    id: Any
    known: bool
    age_ms: int | None
    values: Any
    states: dict[str, str]


class Shape:
    """How the values of some columns are written.

    Parameters
    ----------
    columns
        ``view:feature`` or ``view:feature[key]``; those of a feature follow each other.
    catalog
        Which declares them.

    Examples
    --------
    >>> from nextbest.features import EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",), properties={"c": str})
    >>> features = [agg.count("n"), agg.count("by", by="c", vocabulary=["a", "b"])]
    >>> view = FeatureView(name="v", source=shop, features=features)
    >>> catalog = Catalog(name="demo", views=[view])
    >>> shape = Shape(catalog.columns, catalog)
    >>> values, state = np.array([[3.0, 1.0, np.nan]]), np.array([[0, 0, 1]], np.uint8)
    >>> shape.encode(["ann"], values, state, np.array([5])).decode()
    '{"id":"ann","known":true,"age_ms":5,"values":{"v:n":3,"v:by":{"a":1,"b":null}},\
"states":{"v:by":"missing"}}'
    """

    def __init__(self, columns: Sequence[str], catalog: Catalog) -> None:
        owners = {
            f"{view.name}:{column}": (f"{view.name}:{feature.name}", feature)
            for view, feature in catalog.features()
            for column in feature.columns
        }
        self._names: list[str] = []
        self._starts: list[int] = []
        self._vectors: list[tuple[int, slice, _Make | None]] = []
        self._words: list[tuple[slice, npt.NDArray[np.object_]]] = []
        integers: list[int] = []
        start = 0
        for (name, feature), own in groupby(columns, key=owners.__getitem__):
            width = len(list(own))
            place = slice(start, start + width)
            if feature.is_vector:
                make = _keyed(feature.key_words) if feature.by is not None else None
                self._vectors.append((len(self._names), place, make))
            if feature.dtype == "int64":
                integers += range(start, start + width)
            elif feature.dtype == "string":
                words = np.array([*feature.vocabulary, None], object)
                self._words.append((place, words))
            self._names.append(name)
            self._starts.append(start)
            start += width
        self._integers: npt.NDArray[np.intp] = np.array(integers, np.intp)
        self._make = _keyed(self._names)
        self._all_missing = dict.fromkeys(self._names, "missing")

    def encode(self, ids: Sequence[Any], values: F64, state: U8, age_ms: I64) -> bytes:
        """Return n rows as JSON objects, a comma between two.

        Parameters
        ----------
        ids
            What each is called in the answer.
        values, state, age_ms
            float64[n, columns], uint8[n, columns], int64[n], as `FeatureRows`.
        """
        cells = self._cells(values)
        # A feature's values are all expired or none is, so the worst of its states says all.
        worst = np.maximum.reduceat(state, self._starts, axis=1)
        ages = age_ms.tolist()
        rows = [
            _Row(
                ids[i],
                ages[i] >= 0,
                ages[i] if ages[i] >= 0 else None,
                self._values(cells[i]),
                self._states(worst[i]) if ages[i] >= 0 else self._all_missing,
            )
            for i in range(len(ids))
        ]
        return msgspec.json.encode(rows)[1:-1]

    def _cells(self, values: F64) -> list[list[Any]]:
        """Integers as such, words for positions; NaN stays, and is encoded as null."""
        cells = values.astype(object)
        if len(self._integers):
            part = values[:, self._integers]
            absent = np.isnan(part)
            whole = np.where(absent, 0.0, part).astype(np.int64).astype(object)
            whole[absent] = None
            cells[:, self._integers] = whole
        for place, words in self._words:
            part = values[:, place]
            cells[:, place] = words[np.where(np.isnan(part), -1.0, part).astype(np.intp)]
        found: list[list[Any]] = cells.tolist()
        return found

    def _values(self, row: list[Any]) -> Any:
        if not self._vectors:
            return self._make(*row)
        out = [row[start] for start in self._starts]
        for at, place, make in self._vectors:
            out[at] = row[place] if make is None else make(*row[place])
        return self._make(*out)

    def _states(self, worst: U8) -> dict[str, str]:
        found = np.flatnonzero(worst).tolist()
        return {self._names[i]: _WHY[int(worst[i])] for i in found}


def _keyed(keys: Sequence[str]) -> _Make:
    """Return what makes an object of values in the order of its keys.

    A struct is encoded without a look-up per value, but its names are written as they are.
    """
    if any(not key.isprintable() or set(key) & {'"', "\\"} for key in keys):
        return lambda *values: dict(zip(keys, values, strict=True))
    names = [f"f{i}" for i in range(len(keys))]
    return msgspec.defstruct(
        "Keyed", names, rename=dict(zip(names, keys, strict=True)), frozen=True, gc=False
    )
