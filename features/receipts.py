"""Receipts: what publishing an event returns, and a lookup takes to see that very event.

A receipt names a place in the log and the customer whose event stands there. A row has seen the
event as soon as its own log position has reached the receipt's: all events of a customer are in
one partition, and are applied in its order.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from .errors import EventError
from .kernels.hashing import hash_string

_TEXT = re.compile(r"(\d{1,5})-([0-9a-f]{1,16})-([0-9a-f]{16})", re.ASCII)


class Receipt(NamedTuple):
    """Where in the log an event is, and whose it is.

    Attributes
    ----------
    partition
        Of the log.
    position
        Its place there.
    customer
        The first 64 bits of the hash of the customer id.

    Examples
    --------
    >>> receipt = Receipt.of(3, 1 << 20, "ann")
    >>> str(receipt)
    '3-100000-154df3a36cff89ac'
    >>> Receipt.parse(str(receipt)) == receipt, receipt.is_of("ann"), receipt.is_of("ben")
    (True, True, False)
    """

    partition: int
    position: int
    customer: int

    @classmethod
    def of(cls, partition: int, position: int, customer_id: str) -> Self:
        """Make the receipt of a customer's event."""
        return cls(partition, position, int(hash_string(customer_id)[0]))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a receipt as an app sends it back.

        Raises
        ------
        EventError
            If it is none.
        """
        match = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if match is None or int(match[2], 16) >= 1 << 63:
            raise EventError(f"{text!r:.80} is not a receipt")
        return cls(int(match[1]), int(match[2], 16), int(match[3], 16))

    def is_of(self, customer_id: str) -> bool:
        """Is it of that customer's event?"""
        return self.customer == hash_string(customer_id)[0]

    def __str__(self) -> str:
        return f"{self.partition}-{self.position:x}-{self.customer:016x}"
