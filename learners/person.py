"""A person's own weights as a small block of bytes, which the caller keeps with the person.

The layout is little-endian: `NP`, a uint8 version, a uint8 number n of entries, a CRC-32 of all
but these four bytes of its own, a uint32 number of updates, the information and the precision
of the person's intercept (float32 each), then the room for all entries: uint64 keys of arms,
float32 information, float32 precision. Unused room is zero. Information and precision are what
observations said, without the prior: see `kernels.levels`.
"""

import hashlib
import struct
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import LearnerError

Floats = NDArray[np.float64]
Keys = NDArray[np.uint64]

MAGIC = b"NP"
VERSION = 1
MOST_ARMS = 255
"""The most arms that a block has room for: their number is one byte."""
_HEADER = struct.Struct("<2sBBIIff")
_ENTRY = 16
_CHECKED = 8
_MOST_UPDATES = 2**32 - 1


class Person(NamedTuple):
    """What was learned of one person.

    Attributes
    ----------
    updates
        Rewards learned.
    information, precision
        Of the person's intercept.
    keys
        uint64[n], the arms with a weight, by `arm_key`.
    arm_information, arm_precision
        float64[n], of their weights.
    """

    updates: int
    information: float
    precision: float
    keys: Keys
    arm_information: Floats
    arm_precision: Floats

    def at(self, key: int) -> tuple[float, float]:
        """Return the information and the precision of an arm's weight."""
        found = np.flatnonzero(self.keys == np.uint64(key))
        if not len(found):
            return 0.0, 0.0
        return float(self.arm_information[found[0]]), float(self.arm_precision[found[0]])

    def learned(
        self,
        intercept: tuple[float, float],
        key: int,
        own: tuple[float, float],
        arms: Keys,
        room: int,
    ) -> "Person":
        """Return the person after one more reward.

        Parameters
        ----------
        intercept
            The new information and precision of the person's intercept.
        key, own
            The arm that was learned, and its new ones.
        arms
            uint64[K], the arms that there are.
        room
            Most arms to keep. Those that are gone leave first, then those that move their logit
            least (at prior variance 1).
        """
        others = self.keys != np.uint64(key)
        keys = self.keys[others]
        information, precision = self.arm_information[others], self.arm_precision[others]
        if len(keys) >= room:
            moved = np.abs(information) / (1.0 + precision)
            moved[~np.isin(keys, arms)] = -1.0
            kept = np.sort(np.argsort(-moved, kind="stable")[: room - 1])
            keys, information, precision = keys[kept], information[kept], precision[kept]
        return Person(
            self.updates + 1,
            *intercept,
            np.append(keys, np.uint64(key)),
            np.append(information, own[0]),
            np.append(precision, own[1]),
        )


NEW = Person(0, 0.0, 0.0, np.zeros(0, np.uint64), np.zeros(0), np.zeros(0))
"""A person of whom nothing is known yet."""


def arm_key(name: str) -> int:
    """Return the number by which a block knows an arm: a hash of its name, never 0.

    A place may be given to another arm, and arms may be declared in another order; a name stays.
    """
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def block_bytes(arms: int) -> int:
    """Return the size in bytes of a block with room for so many arms.

    Examples
    --------
    >>> block_bytes(16)
    276
    """
    return _HEADER.size + _ENTRY * arms


def pack_person(person: Person, arms: int) -> bytes:
    """Return a block with room for `arms` arms, at least as many as the person has."""
    n = len(person.keys)
    body = bytearray(block_bytes(arms))
    _HEADER.pack_into(
        body,
        0,
        MAGIC,
        VERSION,
        n,
        0,
        min(person.updates, _MOST_UPDATES),
        person.information,
        person.precision,
    )
    at = _HEADER.size
    for array, code, width in (
        (person.keys, "<u8", 8),
        (person.arm_information, "<f4", 4),
        (person.arm_precision, "<f4", 4),
    ):
        body[at : at + width * n] = array.astype(code).tobytes()
        at += width * arms
    struct.pack_into("<I", body, 4, _checksum(body))
    return bytes(body)


def unpack_person(block: bytes) -> Person:
    """Return what a block holds; an empty one is a new person.

    Raises
    ------
    LearnerError
        If the bytes are not a block, were damaged, or are of another version.
    """
    if not block:
        return NEW
    arms, rest = divmod(len(block) - _HEADER.size, _ENTRY)
    if len(block) < _HEADER.size or rest or bytes(block[:2]) != MAGIC:
        raise LearnerError(f"not a person's block: {len(block)} bytes, starting {block[:4]!r}")
    _, version, n, checksum, updates, information, precision = _HEADER.unpack_from(block)
    if version != VERSION:
        raise LearnerError(f"a person's block of version {version}; this code reads {VERSION}")
    if checksum != _checksum(block):
        raise LearnerError(f"a person's block of {len(block)} bytes is damaged: wrong checksum")
    if n > arms:
        raise LearnerError(f"a person's block has {n} arms and room for {arms}")
    at = _HEADER.size
    keys = np.frombuffer(block, "<u8", n, at).astype(np.uint64)
    at += 8 * arms
    arm_information = np.frombuffer(block, "<f4", n, at).astype(np.float64)
    at += 4 * arms
    arm_precision = np.frombuffer(block, "<f4", n, at).astype(np.float64)
    numbers = np.concatenate(([information, precision], arm_information, arm_precision))
    if not np.isfinite(numbers).all() or precision < 0.0 or (arm_precision < 0.0).any():
        raise LearnerError("a person's block has weights that are not finite, or less than nothing")
    return Person(updates, information, precision, keys, arm_information, arm_precision)


def _checksum(block: bytes | bytearray) -> int:
    return zlib.crc32(block[_CHECKED:], zlib.crc32(block[:4]))
