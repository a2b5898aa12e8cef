"""What steps of committing ask for, what they write, and what they end with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from ...features.errors import StateError
from ...features.receipts import Receipt
from .contacts import Update
from .record import Record, record_of
from .scripts import Script


class Log(NamedTuple):
    """A log in the store: its stream, and how many partitions and shards it has.

    As `Publisher` takes them; and after how many seconds its workers may trim entries, 0: never.
    """

    stream: str
    partitions: int | None
    shards: int
    retention_seconds: float = 0.0


class Called(NamedTuple):
    """A step: call a script."""

    script: Script
    keys: tuple[str, ...]
    arguments: tuple[bytes | str | int, ...]


class Appended(NamedTuple):
    """A step: append a line to the log that is not in the store; the reply is its receipt."""

    line: bytes
    customer: str


Step = Called | Appended | tuple[Any, ...]
"""The last: a command."""


@dataclass(frozen=True)
class Kept:
    """What is kept of a decision: the line of its event, and its receipt.

    There is no receipt while it is not known whether the line is in a log outside the store.
    """

    event: bytes
    receipt: Receipt | None

    @cached_property
    def record(self) -> Record:
        """The decision.

        Raises
        ------
        StateError
            If the line is none of a decision.
        """
        try:
            return record_of(self.event)
        except msgspec.DecodeError as error:
            raise StateError(f"what is kept is no decision: {error}") from None


class Committed(NamedTuple):
    """A decision that is in the log.

    Attributes
    ----------
    event
        Its line; `record.record_of` reads it.
    receipt
        Its place in the log.
    repeated
        Whether it was there before: then it is what was decided then. So it may be, too, where
        the connection was lost and all was sent again.
    """

    event: bytes
    receipt: Receipt
    repeated: bool


class Conflict(NamedTuple):
    """The contacts that are there in place of those that a decision was made from."""

    contacts: bytes


class Responded(NamedTuple):
    """What became of an outcome.

    Attributes
    ----------
    receipt
        Its place in the log.
    repeated
        Whether one of its id had been taken in before: then it is that one's place.
    same
        Whether that one said the same; so it is if nobody knows any more.
    """

    receipt: Receipt
    repeated: bool
    same: bool


class Line(NamedTuple):
    """A line on its way into the log, and what goes with it.

    Attributes
    ----------
    text, key, customer, channel, hash
        The line, where it is kept, and whose it is.
    before, update
        The contacts as they have to be, and are to be; None: they are not looked at.
    outbound
        What goes out through the channel; None: nothing.
    """

    text: bytes
    key: str
    customer: str
    channel: str
    hash: int
    before: bytes = b""
    update: Update | None = None
    outbound: bytes | None = None
