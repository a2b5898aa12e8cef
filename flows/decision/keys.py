"""The store's keys of one strategy, and which of them are a customer's."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import msgspec

from ...features.kernels.hashing import hash_string

_SCANNED = 1000


class Keys(msgspec.Struct, frozen=True):
    """The names of a strategy's keys.

    In a cluster all keys of one command must be in one slot: catalog and log stream then need the
    same hash tag in their names.

    Examples
    --------
    >>> keys = Keys("shop", "tea")
    >>> keys.contacts("ann"), keys.outbound("email")
    ('nextbest:shop:tea:contacts:ann', 'nextbest:shop:tea:outbound:email')
    >>> keys.decision(decision_id(7, "ann", 11))
    'nextbest:shop:tea:decision:0000000000000007-154df3a36cff89ac-000000000000000b'
    """

    catalog: str
    strategy: str

    @property
    def prefix(self) -> str:
        """What every key begins with."""
        return f"nextbest:{self.catalog}:{self.strategy}:"

    def contacts(self, customer: str) -> str:
        """Of a customer's packed contacts."""
        return f"{self.prefix}contacts:{customer}"

    def person(self, customer: str) -> str:
        """Of a customer's own weights."""
        return f"{self.prefix}person:{customer}"

    def recent(self, customer: str) -> str:
        """Of a customer's newest decisions and what came of them."""
        return f"{self.prefix}recent:{customer}"

    def decision(self, identifier: str) -> str:
        """Of a decision's record."""
        return f"{self.prefix}decision:{identifier}"

    def failed(self, identifier: str) -> str:
        """Of what told first that a decision was not delivered: a time and an outcome's id."""
        return f"{self.decision(identifier)}:failed"

    def outcome(self, customer: str, identifier: str) -> str:
        """Of an outcome that was taken in."""
        return f"{self.prefix}outcome:{_hex(customer)}:{identifier}"

    def model(self, objective: str) -> str:
        """Of an objective's published model; of a fleet's member it is ``objective:member``."""
        return f"{self.prefix}model:{objective}"

    def fleet(self) -> str:
        """Of who decides, and who is on trial."""
        return f"{self.prefix}fleet"

    def published(self) -> str:
        """Of the mark that tells how much of what was learned is in the store."""
        return f"{self.prefix}published"

    def current(self) -> str:
        """Of the strategy's text as it is now."""
        return f"{self.prefix}strategy"

    def version(self, version: str) -> str:
        """Of the strategy's text as it was."""
        return f"{self.prefix}strategy:{version}"

    def all_strategies(self) -> str:
        """Of the set of the names of all strategies of the catalog."""
        return f"nextbest:{self.catalog}/strategies"

    def outbound(self, channel: str) -> str:
        """Of the stream of what is to be delivered through a channel."""
        return f"{self.prefix}outbound:{channel}"

    def of_customer(self, customer: str) -> Generator[tuple[Any, ...], Any, list[bytes]]:
        """Find the keys that belong to a customer: yields commands, takes replies.

        Records and outcomes are found by walking through all keys of the store.
        """
        names = [self.contacts(customer), self.person(customer)]
        there = yield ("MGET", *names)
        found = [name.encode() for name, value in zip(names, there, strict=True) if value]
        if (yield ("EXISTS", self.recent(customer))):
            found.append(self.recent(customer).encode())
        prefix = _escaped(self.prefix)
        for pattern in (f"decision:*-{_hex(customer)}-*", f"outcome:{_hex(customer)}:*"):
            cursor: Any = 0
            some: set[bytes] = set()
            while True:
                cursor, names_there = yield (
                    "SCAN", cursor, "MATCH", prefix + pattern, "COUNT", _SCANNED,
                )  # fmt: skip
                some.update(names_there)
                if not int(cursor):
                    break
            found += sorted(some)
        return found


def decision_id(at_us: int, customer: str, number: int) -> str:
    """Return a decision's id, from which its time and customer can be read.

    Parameters
    ----------
    at_us
        The decision's time, microseconds.
    customer
        Whose it is.
    number
        64 bits: random, or the hash of what made us decide.
    """
    return f"{at_us:016x}-{_hex(customer)}-{number & (1 << 64) - 1:016x}"


def _hex(customer: str) -> str:
    return f"{int(hash_string(customer)[0]):016x}"


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "*?[]\\^" else c for c in text)
