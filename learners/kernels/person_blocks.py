"""Whether a person's block of weights is whole; see `learners.person` for its layout."""

import numpy as np
from numpy.typing import NDArray

from . import crc
from ._jit import inline

Words = NDArray[np.uint32]

HEAD, ENTRY = 20, 16
"""Bytes before the keys, and of an arm: as of `learners.person`."""
_KNOWN = np.uint64(0x01504E)
"""`NP` and version 1, as the low bytes of the first word."""
_SUM = 1
"""The word of the checksum, which all others are summed to."""
_24 = np.uint64(24)
_LOW = np.uint64(0xFFFFFF)


@inline
def whole(words: Words, start: int | np.int64, room: int | np.int64) -> bool:
    """Return whether a block that is as long as its room, in arms, can be used.

    What the weights are is not looked at.
    """
    first = np.uint64(words[start])
    if first & _LOW != _KNOWN or np.int64(first >> _24) > room:
        return False
    found = crc.take(crc.BEGIN, first)
    for i in range(start + _SUM + 1, start + (HEAD + ENTRY * room) // 4):
        found = crc.take(found, np.uint64(words[i]))
    same: bool = found ^ crc.BEGIN == np.uint64(words[start + _SUM])
    return same
