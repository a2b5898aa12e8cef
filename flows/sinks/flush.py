"""What a row sink is given: commands that are encoded already."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..publication import Marks
from ..telemetry.context import Traced


@dataclass(frozen=True, slots=True)
class RowFlush:
    """Rows of one shard, encoded.

    Attributes
    ----------
    payload
        Whole RESP commands, one after the other. Bytes or a contiguous uint8 array if the
        item may travel between processes; a memoryview only within one. It is kept until the
        store has answered, so it must not change.
    replies
        How many commands, and so replies, that is.
    rows
        How many rows they write.
    received
        When the oldest event in them was received, ``time.perf_counter`` seconds, or None.
    marks
        What is to be executed before and after them, if the shard's publication is marked.
    traced
        Events of traces, all whose rows are stored with these.
    """

    payload: bytes | memoryview | NDArray[np.uint8]
    replies: int
    rows: int
    received: float | None = None
    marks: Marks | None = None
    traced: tuple[Traced, ...] = ()
