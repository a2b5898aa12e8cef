"""Which events a strategy may decide at: found where the log is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .decision.triggering import Marked
from .decisions import codes_of


class EventMarker:
    """Finds the events of some types.

    Parameters
    ----------
    types
        The types; an event's kind is its type's place among them.

    Examples
    --------
    >>> table = pa.table({
    ...     "event_id": ["a", "b"], "customer_id": ["ann", "ben"], "type": ["view", "leave"],
    ...     "event_timestamp": [1, 2],
    ... })
    >>> marks = EventMarker(["leave"]).mark(table)
    >>> marks.of(np.array([1])).customers, marks.of(np.array([0])) is None
    (['ben'], True)
    """

    def __init__(self, types: Sequence[str]) -> None:
        self._types = list(types)

    def mark(self, table: pa.Table) -> Marks:
        """Return which events of a chunk are of these types."""
        return Marks(table, codes_of(table["type"], self._types))


class Marks:
    """The marked events of a chunk.

    Parameters
    ----------
    table
        n events.
    kinds
        int32[n], -1: not marked.
    """

    def __init__(self, table: pa.Table, kinds: npt.NDArray[np.int32]) -> None:
        self._kinds = kinds
        rows = np.flatnonzero(kinds >= 0)
        self._place = np.full(len(kinds), -1, np.int64)
        self._place[rows] = np.arange(len(rows))
        chosen: Any = table.select(["event_id", "customer_id", "event_timestamp"]).take(rows)
        self._times = chosen["event_timestamp"].cast(pa.int64()).to_numpy()
        self._ids = chosen["event_id"].to_pylist()
        self._customers = chosen["customer_id"].to_pylist()

    def flags(self, order: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """bool[m]: which of some events (their ordinals) are marked."""
        return self._kinds[order] >= 0

    def of(self, order: npt.NDArray[np.int64]) -> Marked | None:
        """Return the marked ones among some events; None: there are none."""
        places = self._place[order]
        places = places[places >= 0]
        if not len(places):
            return None
        own = places.tolist()
        return Marked(
            self._kinds[order][self.flags(order)].astype(np.int64),
            self._times[places],
            [self._ids[place] for place in own],
            [self._customers[place] for place in own],
        )
