"""The id of a decision, and the uniform numbers that follow from it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from ...features.kernels.hashing import hash_string
from ...learners.kernels import squarecb
from .errors import RequestError
from .keys import decision_id

_FORM = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}-[0-9a-f]{16}", re.ASCII)
_63_BITS = (1 << 63) - 1


class DecisionId(NamedTuple):
    """What an id says: when, whose (`customer_hash`), and a number that no other has."""

    at: int
    customer: int
    token: int


def new_id(at: int, customer: str) -> str:
    """Return the id of a decision that an app asked for at a time, microseconds."""
    return decision_id(at, customer, secrets.randbits(64))


def id_of_cause(at: int, customer: str, cause: str, trigger: str = "") -> str:
    """Return the id of a decision that an event made: the same whenever it is made again.

    Examples
    --------
    >>> id_of_cause(7, "ann", "event-1") == id_of_cause(7, "ann", "event-1")
    True
    """
    digest = blake2b(f"{trigger}\0{cause}".encode(), digest_size=8).digest()
    return decision_id(at, customer, int.from_bytes(digest, "little"))


def parse_id(text: str) -> DecisionId:
    """Return what an id says.

    Raises
    ------
    RequestError
        If it is none.

    Examples
    --------
    >>> parse_id(id_of_cause(7, "ann", "event-1")).at
    7
    """
    if not isinstance(text, str) or not _FORM.fullmatch(text):
        raise RequestError("decision_id", f"is {text!r:.80}, which is no decision's id")
    return DecisionId(*(int(part, 16) for part in text.split("-")))


def is_theirs_before(text: str, customer: str, at: int) -> bool:
    """Return whether a text is the id of a customer's decision from before a time, microseconds.

    Examples
    --------
    >>> identifier = id_of_cause(7, "ann", "event-1")
    >>> is_theirs_before(identifier, "ann", 8), is_theirs_before(identifier, "bob", 8)
    (True, False)
    """
    try:
        said = parse_id(text)
    except RequestError:
        return False
    return said.at < at and said.customer == customer_hash(customer)


def customer_hash(customer: str) -> int:
    """Return the 64 bits by which an id knows a customer."""
    return int(hash_string(customer)[0])


def seed_of(strategy: str) -> int:
    """Return the seed of all draws of a strategy, by its name."""
    return int.from_bytes(blake2b(strategy.encode(), digest_size=8).digest(), "little") & _63_BITS


def draw_of(seed: int, identifier: str, rank: int) -> float:
    """Return the uniform number in [0, 1) that chooses at a rank (from 0) of a decision.

    Examples
    --------
    >>> draw_of(seed_of("spring"), "d-1", 0) == draw_of(seed_of("spring"), "d-1", 0)
    True
    """
    return squarecb.uniform(seed, number_of(identifier, rank))


def number_of(identifier: str, rank: int) -> int:
    """Return the 63 bits by which the draw of a rank is found."""
    digest = blake2b(f"{identifier}/{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") & _63_BITS


def digests_of(identifiers: Sequence[str], ranks: Sequence[int]) -> bytes:
    """Return what `number_of` says of the first ranks of several decisions: 64 bits each.

    Of each, as a little-endian word, the lowest 63 bits are the number.

    Examples
    --------
    >>> digests = digests_of(["d-1", "d-2"], [2, 1])
    >>> numbers = [int.from_bytes(digests[i : i + 8], "little") for i in (0, 8, 16)]
    >>> [number & (1 << 63) - 1 for number in numbers] == [
    ...     number_of("d-1", 0), number_of("d-1", 1), number_of("d-2", 0)
    ... ]
    True
    """
    return b"".join(
        [
            blake2b(f"{identifier}/{rank}".encode(), digest_size=8).digest()
            for identifier, many in zip(identifiers, ranks, strict=True)
            for rank in range(many)
        ]
    )
