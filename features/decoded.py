"""What a chunk of the log held: its events, and what had to be rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .batch import EventBatch
from .encoder import RecordEncoder, merge
from .scanner import LineScanner, Scanned


class Rejected(NamedTuple):
    """One record that is not an event of the schema."""

    index: int  # type: ignore[assignment]  # tuple.index is not needed
    """The record's ordinal in its chunk: of the lines that are not blank, or of the rows."""
    line: int
    """The line in the chunk, from 0 (Arrow: the row)."""
    reason: str
    path: str | None
    """Where in the event, such as ``$.properties.value``; None: the record as a whole."""
    raw: bytes
    """The line, or the row as the JSON object that it would have been on the wire."""


class ScannedLines(NamedTuple):
    """The regular lines of a chunk, and how to make a table of them."""

    found: Scanned
    scanner: LineScanner


@dataclass(frozen=True)
class Decoded:
    """What a chunk held; its events become a table, or records, when they are asked for.

    Attributes
    ----------
    events
        Events in the canonical form (see `nextbest.features.codec`).
    index
        int64[all events]: each one's ordinal in the chunk.
    rejected
        The bad records, in order.
    records
        How many there were, good or bad.
    lines
        Events that were scanned.
    order
        Where there are both: int64[all events], which of ``lines`` and then ``events`` comes
        first, and so on. None: one of the two is all.
    """

    events: pa.Table
    index: npt.NDArray[np.int64]
    rejected: list[Rejected]
    records: int
    lines: ScannedLines | None = field(default=None, repr=False)
    order: npt.NDArray[np.int64] | None = field(default=None, repr=False)

    @cached_property
    def table(self) -> pa.Table:
        """The good events, in order, in the canonical form."""
        if self.lines is None:
            return self.events
        scanned = self.lines.scanner.table(self.lines.found)
        if self.order is None:
            return scanned
        both = pa.concat_tables([scanned, self.events]).unify_dictionaries()
        return both.combine_chunks().take(self.order)

    @property
    def is_scanned(self) -> bool:
        """Whether all events were scanned and their table has yet to be made."""
        return self.lines is not None and self.order is None and "table" not in self.__dict__

    def encode(self, encoder: RecordEncoder, positions: npt.NDArray[np.int64]) -> EventBatch:
        """Encode the events, as `RecordEncoder.encode` does their table."""
        if self.lines is None:
            return encoder.encode(self.events, positions)
        found = self.lines.found
        if self.order is None:
            return encoder.encode_scanned(found, positions)
        given = np.empty_like(positions)
        given[self.order] = positions
        scanned = encoder.encode_scanned(found, given[: len(found.cells)])
        others = encoder.encode(self.events, given[len(found.cells) :])
        return merge(scanned, others, self.order)


def join_tables(parts: Sequence[Decoded]) -> pa.Table:
    """Make one table of the events of several chunks of one decoder, in order.

    Of many small chunks that were scanned the table is made at once, not one by one.
    """
    tables = []
    for scanned, group in groupby(parts, lambda part: part.is_scanned):
        if scanned:
            lines = [part.lines for part in group if part.lines is not None]
            scanner = lines[0].scanner
            tables.append(scanner.table(scanner.join([each.found for each in lines])))
        else:
            tables += [part.table for part in group]
    if len(tables) == 1:
        return tables[0]
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()
