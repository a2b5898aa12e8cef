"""Which slots of a table a batch of columns means, remembered from batch to batch."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .columns import Columns
from .errors import LearnerError
from .interning import LONGEST_NAME, Interning, order_in_row
from .kernels import slots as kernels

Indices = NDArray[np.int64]


class Resolved(NamedTuple):
    """The slots of a batch's first rows.

    Attributes
    ----------
    rows
        How many rows are resolved; fewer than the batch has if the next one has more new names
        than the table has room for.
    needed
        How many new names that next row has; 0 if there is none.
    numeric, coded
        int64[d] and int64[n, c], slots; `ABSENT` (only coded) and `UNKNOWN` are no slots.
    """

    rows: int
    needed: int
    numeric: Indices
    coded: Indices


class Binding:
    """The handles of the names and categories of the last batch.

    A dictionary of categories that comes again, the same object or an equal one, costs no
    look-up by name. It holds nothing that could not be looked up again, and is not pickled.

    Examples
    --------
    >>> table = Interning(capacity=10, fresh=(-1.0,))
    >>> batch = Columns.from_dicts([{"visits": 1.0, "channel": "web"}, {"channel": "app"}])
    >>> Binding().resolve(table, batch, grow=True).coded.tolist()
    [[1], [2]]
    >>> Binding().resolve(table, batch[1:], grow=False).coded.tolist()
    [[2]]
    """

    def __init__(self) -> None:
        self._names: tuple[tuple[Hashable, ...], tuple[Hashable, ...]] = ((), ())
        self._categories: tuple[tuple[str, ...], ...] = ()
        self._offsets = np.zeros(1, np.int64)
        self._bound = np.empty(0, np.int64)

    def __reduce__(self) -> tuple[type[Binding], tuple[()]]:
        return Binding, ()

    def resolve(self, table: Interning, batch: Columns, *, grow: bool) -> Resolved:
        """Return the slots of a batch.

        Parameters
        ----------
        table
            The same table at every call.
        batch
            The rows.
        grow
            Whether new names are interned, in order of rows, and in a row as `order_in_row` says;
            else they are unknown.

        Raises
        ------
        LearnerError
            If a name or a category is too long, or the batch was written to.
        """
        self._attach(batch)
        n, c = batch.codes.shape
        d = batch.numeric.shape[1]
        numeric = np.empty(d, np.int64)
        coded = np.empty((n, c), np.int64)
        missed = np.empty((d + n * c, 2), np.int64)
        rows, needed = n, 0
        for attempt in range(2):
            misses = kernels.resolve_numeric(
                batch.numeric, 0, self._bound, table.handles, numeric, missed, d + c
            )
            misses = kernels.resolve_codes(
                batch.codes,
                0,
                self._bound,
                self._offsets,
                table.handles,
                coded,
                missed,
                misses,
            )
            if misses < 0:
                raise LearnerError("a code of the columns is not among the categories")
            if not misses:
                break
            if attempt:
                self._bound[missed[:misses, 1]] = kernels.UNBOUND
            else:
                found = missed[:misses]
                found = found[np.argsort(found[:, 0])]
                rows, needed = self._bind(table, found, d + c, n, grow)
        return Resolved(rows, needed, numeric, coded)

    def _bind(
        self, table: Interning, missed: Indices, width: int, n: int, grow: bool
    ) -> tuple[int, int]:
        """Bind places to slots until a row's new names do not fit; return that row and how many."""
        self._bound[missed[:, 1]] = kernels.UNBOUND
        places, rows = missed[:, 1].tolist(), (missed[:, 0] // width).tolist()
        columns = (missed[:, 0] % width).tolist()
        numeric, coded = self._names
        offsets = self._offsets.tolist()
        bound: list[int] = []
        slots: list[int] = []
        free = table.free
        stop, needed = n, 0
        at = 0
        while at < len(places):
            row = rows[at]
            new = []
            while at < len(places) and rows[at] == row:
                place, j = places[at], columns[at]
                at += 1
                name: Hashable
                category: str | None
                if j < len(numeric):
                    name, category = numeric[j], None
                else:
                    j -= len(numeric)
                    name, category = coded[j], self._categories[j][place - offsets[j]]
                slot = table.find(name, category)
                if slot < 0:
                    new.append((place, name, category))
                else:
                    bound.append(place)
                    slots.append(slot)
            if not grow:
                continue
            if len(new) > free:
                stop, needed = row, len(new)
                break
            free -= len(new)
            for place, name, category in sorted(new, key=lambda each: order_in_row(*each[1:])):
                bound.append(place)
                slots.append(table.add(name, category))
        self._bound[bound] = table.handles[slots]
        return stop, needed

    def _attach(self, batch: Columns) -> None:
        names = batch.numeric_names, batch.categorical_names
        if names != self._names:
            for name in (*names[0], *names[1]):
                _check_length(name, name)
        elif batch.categories == self._categories:
            # Equal but not the same costs a comparison each time: take the new one.
            self._categories = batch.categories
            return
        old = {
            name: (known, self._bound[start:stop])
            for name, known, start, stop in zip(
                self._names[1], self._categories, self._offsets, self._offsets[1:], strict=False
            )
        }
        parts = [np.full(len(names[0]), kernels.UNBOUND, np.int64)]
        for name, known in zip(names[1], batch.categories, strict=True):
            before, bound = old.get(name, ((), None))
            if bound is None or before != known:
                _check_length(name, max(known, key=len, default=""))
                bound = np.full(len(known), kernels.UNBOUND, np.int64)
            parts.append(bound)
        self._names, self._categories = names, batch.categories
        self._offsets = np.cumsum([len(part) for part in parts])
        self._bound = np.concatenate(parts)


def _check_length(name: Hashable, text: Hashable) -> None:
    if isinstance(text, str) and len(text) > LONGEST_NAME:
        raise LearnerError(
            f"feature {str(name)[:40]!r} has a name or category of {len(text)} characters, "
            f"the most are {LONGEST_NAME}"
        )
