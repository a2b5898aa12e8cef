"""Feast's answer, with computed features turned into Python values all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from feast.online_response import TIMESTAMP_POSTFIX, OnlineResponse
from feast.type_map import feast_value_type_to_python_type

Column = tuple[Callable[[], list[list[Any]]], int]
"""What makes the lists of several features, and the ordinal of one of them."""
Columns = Mapping[str, Column]
"""Features by their names in an answer."""


class ComputedResponse(OnlineResponse):
    """An answer like any other; ``to_dict`` (and what is made from it) is faster.

    Parameters
    ----------
    answer
        Feast's own.
    columns
        The computed features of the answer: their values are the same that Feast would convert.
    """

    def __init__(self, answer: OnlineResponse, columns: Columns) -> None:
        # Feast has made the answer ready; making it again would search it again.
        self.__dict__.update(answer.__dict__)
        self._columns = columns

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, Any]:
        """Return the values by feature, and the timestamps (seconds) by ``feature__ts``."""
        found: dict[str, Any] = {}
        made: dict[Callable[[], list[list[Any]]], list[list[Any]]] = {}
        names = self.proto.metadata.feature_names.val
        for name, vector in zip(names, self.proto.results, strict=True):
            column = self._columns.get(name)
            if column is None:
                kind = self._feature_types.get(name)
                found[name] = [feast_value_type_to_python_type(v, kind) for v in vector.values]
            else:
                make, place = column
                if make not in made:
                    made[make] = make()
                found[name] = made[make][place]
            if include_event_timestamps:
                found[name + TIMESTAMP_POSTFIX] = [t.seconds for t in vector.event_timestamps]
        return found
