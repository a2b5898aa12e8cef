"""What a source says of a record that it made no event of."""

from __future__ import annotations

from typing import NamedTuple

NO_EVENT = b"0"
"""The line that stands for a record with a fault: JSON, and never an event."""


class Fault(NamedTuple):
    """Why a source made no event of one record: the reason, where in it, and its bytes.

    `size` is how many there are, where `raw` is only the beginning.
    """

    reason: str
    path: str | None
    raw: bytes
    size: int = 0
