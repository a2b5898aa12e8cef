"""The catalog told to the online store at the start of a run, before any event has come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from ...features.catalog import Catalog
from ...features.declared import declare_commands
from ...features.row_commands import RowCommands
from ..resp import encode_command
from ..sinks.flush import RowFlush


def declaration_of(catalog: Catalog) -> RowCommands:
    """Encode what the store is told of a catalog.

    >>> from nextbest.features import EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> views = FeatureView(name="v", source=shop, features=[agg.count("n")])
    >>> declaration_of(Catalog(name="demo", views=[views])).replies
    2
    """
    commands = [encode_command(*command) for command in declare_commands(catalog)]
    return RowCommands(np.frombuffer(b"".join(commands), np.uint8), len(commands), 0)


class Announcement(FixedPartitionedSource[RowFlush, int]):
    """Emits the declaration once, at each start.

    What the store loses later, the shards send again, with their rows.

    Parameters
    ----------
    declaration
        What `declaration_of` returned.
    here
        Whether this worker is the one that tells.
    """

    def __init__(self, declaration: RowCommands, *, here: bool = True) -> None:
        self._flush = RowFlush(declaration.payload, declaration.replies, 0)
        self._here = here

    def list_parts(self) -> list[str]:
        """One, or none."""
        return ["0"] if self._here else []

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Once:
        """Begin; there is nothing to go on from."""
        return _Once(self._flush)


class _Once(StatefulSourcePartition[RowFlush, int]):
    def __init__(self, flush: RowFlush) -> None:
        self._left = [flush]

    def next_batch(self) -> Sequence[RowFlush]:
        if not self._left:
            raise StopIteration
        return [self._left.pop()]

    def snapshot(self) -> int:
        return 0
