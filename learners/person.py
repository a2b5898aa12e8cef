"""A person's own weights as a small block of bytes, which the caller keeps with the person.

The layout is little-endian: `NP`, a uint8 version, a uint8 number n of entries, a CRC-32 of all
but these four bytes of its own, a uint32 number of updates, the information and the precision
of the person's intercept (float32 each), then the room for all entries: uint64 keys of arms,
float32 information, float32 precision. Unused room is zero. Information and precision are what
observations said, without the prior: see `kernels.levels`.
"""

import hashlib
import math
import struct
import zlib
from collections.abc import Container
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import LearnerError

MAGIC = b"NP"
VERSION = 1
MOST_ARMS = 255
"""The most arms that a block has room for: their number is one byte."""
_HEADER = struct.Struct("<2sBBIIff")
HEAD = _HEADER.size
"""Bytes before the keys."""
_ENTRY = 16
_CHECKED = 8
_MOST_UPDATES = 2**32 - 1
_NO_KEYS, _NO_WEIGHTS = np.zeros(0, np.uint64), np.zeros(0, np.float32)
# As what is read from bytes is: to a kernel, one that can be written is of another type.
_NO_KEYS.flags.writeable = _NO_WEIGHTS.flags.writeable = False


class Person(NamedTuple):
    """What was learned of one person.

    Attributes
    ----------
    updates
        Rewards learned.
    information, precision
        Of the person's intercept.
    keys
        The arms with a weight, by `arm_key`.
    arm_information, arm_precision
        Of their weights.
    """

    updates: int
    information: float
    precision: float
    keys: tuple[int, ...]
    arm_information: tuple[float, ...]
    arm_precision: tuple[float, ...]

    def at(self, key: int) -> tuple[float, float]:
        """Return the information and the precision of an arm's weight."""
        if key not in self.keys:
            return 0.0, 0.0
        i = self.keys.index(key)
        return self.arm_information[i], self.arm_precision[i]

    def learned(
        self,
        intercept: tuple[float, float],
        key: int,
        own: tuple[float, float],
        arms: Container[int],
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
            The keys of the arms that there are.
        room
            Most arms to keep. Those that are gone leave first, then those that move their logit
            least (at prior variance 1).
        """
        entries = zip(self.keys, self.arm_information, self.arm_precision, strict=True)
        kept = [entry for entry in entries if entry[0] != key]
        while len(kept) >= room:
            moved = [
                abs(information) / (1.0 + precision) if arm in arms else -1.0
                for arm, information, precision in kept
            ]
            # Of equal ones the latest to have come goes.
            del kept[len(kept) - 1 - moved[::-1].index(min(moved))]
        kept.append((key, *own))
        keys, information, precision = zip(*kept, strict=True)
        return Person(self.updates + 1, *intercept, keys, information, precision)


NEW = Person(0, 0.0, 0.0, (), (), ())
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
    struct.pack_into(f"<{n}Q", body, at, *person.keys)
    struct.pack_into(f"<{n}f", body, at + 8 * arms, *person.arm_information)
    struct.pack_into(f"<{n}f", body, at + 12 * arms, *person.arm_precision)
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
    n, arms, updates, information, precision = _opened(block)
    at = _HEADER.size
    keys = struct.unpack_from(f"<{n}Q", block, at)
    arm_information = struct.unpack_from(f"<{n}f", block, at + 8 * arms)
    arm_precision = struct.unpack_from(f"<{n}f", block, at + 12 * arms)
    precisions = (precision, *arm_precision)
    finite = all(map(math.isfinite, (information, *arm_information, *precisions)))
    if not finite or min(precisions) < 0.0:
        raise LearnerError("a person's block has weights that are not finite, or less than nothing")
    return Person(updates, information, precision, keys, arm_information, arm_precision)


def view_person(
    block: bytes,
) -> tuple[float, float, NDArray[np.uint64], NDArray[np.float32], NDArray[np.float32]]:
    """Return a block's numbers as they lie in it; what they are is not checked.

    Information and precision of the intercept; keys, information and precision of the arms.

    Raises
    ------
    LearnerError
        As `unpack_person`, but for weights that are not finite or less than nothing.
    """
    if not block:
        return 0.0, 0.0, _NO_KEYS, _NO_WEIGHTS, _NO_WEIGHTS
    n, arms, _, information, precision = _opened(block)
    if not n:
        return information, precision, _NO_KEYS, _NO_WEIGHTS, _NO_WEIGHTS
    at = _HEADER.size
    return (
        information,
        precision,
        np.frombuffer(block, "<u8", n, at),
        np.frombuffer(block, "<f4", n, at + 8 * arms),
        np.frombuffer(block, "<f4", n, at + 12 * arms),
    )


def _opened(block: bytes) -> tuple[int, int, int, float, float]:
    """Return entries, room, updates, and information and precision of the intercept."""
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
    return n, arms, updates, information, precision


def _checksum(block: bytes | bytearray) -> int:
    return zlib.crc32(block[_CHECKED:], zlib.crc32(block[:4]))
