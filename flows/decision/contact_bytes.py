"""A customer's contacts as bytes: what was offered when, and what rests until when.

Little-endian 8-byte words, so that a kernel reads them where they lie:

    word 0      FORMAT << 48 | rests << 24 | offers
    word 1      CRC-32 of all other words
    word 2      forgotten: offers up to this time may be missing, being too many; 0: none
    word 3      swept: when offers that were too old to matter were last dropped; 0: never
    offers      time, action, channel; in the order of time
    rests       what, began, until, after, cause; in the order in which they end

Times are integer microseconds. Actions, channels, responses and outcomes are hashes of their names,
so that bytes written under one strategy can be read under another. No bytes: no contacts.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ...features.errors import StateError
from ...features.kernels.hashing import hash_string

FORMAT = 0x4301
"""Format 1 of packed contacts."""
HEAD, OFFER, REST = 4, 3, 5
"""Words of the head, of an offer, and of a rest."""
MAX_OFFERS = 1024
"""As many offers are kept; the oldest go first."""
MAX_RESTS = 256
"""As many rests are kept; all actions rest as long as one that must go."""
MAX_NOTES = 64
"""As many notes of offers that were not delivered are kept; the oldest go first."""
_COUNT = (1 << 24) - 1
_FIRST = struct.Struct("<qq")


class Offered(NamedTuple):
    """One offer: its time, and the hashes of its action and its channel."""

    at: int
    action: int
    channel: int


class Rest(NamedTuple):
    """What rests, since and until when, after which response, and by which outcome's id."""

    what: int
    began: int
    until: int
    after: int
    cause: int


@lru_cache(maxsize=1 << 14)
def hashed(text: str) -> int:
    """Return the hash of a name as a signed word.

    >>> hashed("tea") == hashed("tea"), -(1 << 63) <= hashed("tea") < 1 << 63
    (True, True)
    """
    first = int(hash_string(text)[0])
    return first - (1 << 64) if first >> 63 else first


ALL = hashed("all:")
"""What rests: every action."""


def action_key(name: str) -> int:
    """What rests: one action."""
    return hashed(f"action:{name}")


def tag_key(tag: str, value: str) -> int:
    """What rests: the actions with this value of a tag."""
    return hashed(f"tag:{tag}={value}")


def channel_key(name: str) -> int:
    """What rests: a channel."""
    return hashed(f"channel:{name}")


@dataclass(slots=True)
class Contacts:
    """A customer's contacts, unpacked.

    Examples
    --------
    >>> contacts = Contacts([Offered(7, hashed("tea"), hashed("web"))])
    >>> Contacts.unpack(contacts.pack()) == contacts
    True
    """

    offers: list[Offered] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    forgotten: int = 0
    swept: int = 0

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Read packed contacts.

        Raises
        ------
        StateError
            If they are damaged or of another format.
        """
        if not packed:
            return cls()
        offers, _ = check(packed)
        words = struct.unpack(f"<{len(packed) // 8}q", packed)
        middle = HEAD + OFFER * offers
        some = words[HEAD:middle]
        rest = words[middle:]
        return cls(
            list(map(Offered, some[::3], some[1::3], some[2::3])),
            list(map(Rest, rest[::5], rest[1::5], rest[2::5], rest[3::5], rest[4::5])),
            words[2],
            words[3],
        )

    def pack(self) -> bytes:
        """Return them as bytes; none at all if there is nothing to keep."""
        if not self.offers and not self.rests:
            return b""
        words = [self.forgotten, self.swept]
        for offer in self.offers:
            words += offer
        for rest in self.rests:
            words += rest
        first = FORMAT << 48 | len(self.rests) << 24 | len(self.offers)
        head = struct.pack("<q", first)
        body = struct.pack(f"<{len(words)}q", *words)
        return b"".join((head, struct.pack("<q", _sum(head, body)), body))


def sealed(words: npt.NDArray[np.int64]) -> bytes:
    """Return words (int64) as packed contacts: as long as their first says, with its checksum."""
    first = words.item(0)
    size = HEAD + OFFER * (first & _COUNT) + REST * (first >> 24 & _COUNT)
    raw = words[:size].tobytes()
    return b"".join((raw[:8], struct.pack("<q", _sum(raw[:8], raw[16:])), raw[16:]))


def check(packed: bytes) -> tuple[int, int]:
    """Return how many offers and rests there are, of bytes that are whole.

    Raises
    ------
    StateError
        If they are not.
    """
    size = len(packed)
    if size < 8 * HEAD or size % 8:
        raise StateError(f"packed contacts of {size} bytes: they are cut off")
    first, checksum = _FIRST.unpack_from(packed)
    if first >> 48 != FORMAT:
        raise StateError(f"packed contacts of the unknown format {first >> 48 & 0xFFFF:#06x}")
    offers, rests = first & _COUNT, first >> 24 & _COUNT
    if size != 8 * (HEAD + OFFER * offers + REST * rests):
        raise StateError(
            f"packed contacts of {size} bytes: not what {offers} + {rests} entries need"
        )
    if checksum != _sum(packed[:8], packed[16:]):
        raise StateError("packed contacts are damaged (checksum)")
    return offers, rests


def _sum(head: bytes, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(head))
