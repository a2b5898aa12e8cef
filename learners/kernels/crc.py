"""CRC-32 of 32-bit words, as `zlib.crc32` finds it of their little-endian bytes.

Source: Sarwate (1988), "Computation of cyclic redundancy checks via table look-up"; four tables, so
that a word is taken in at once: Kounavis and Berry (2005), "A systematic approach to building high
performance software-based CRC generators", section 3.
"""

import numpy as np
from numpy.typing import NDArray

from ._jit import inline

_POLYNOMIAL = 0xEDB88320


def _tables() -> NDArray[np.uint64]:
    found = np.zeros((4, 256), np.uint64)
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        found[0, byte] = crc
    for i in range(1, 4):
        before = found[i - 1]
        found[i] = before >> np.uint64(8) ^ found[0, before & np.uint64(255)]
    return found


_T = _tables()
_LOW = np.uint64(0xFF)
_8, _16, _24 = np.uint64(8), np.uint64(16), np.uint64(24)
BEGIN = np.uint64(0xFFFFFFFF)
"""What a sum begins with, and what its bits are turned over with when it ends."""


@inline
def take(crc: np.uint64, word: np.uint64) -> np.uint64:
    """Take one more word, below 2^32, into a sum."""
    c = crc ^ word
    found: np.uint64 = (
        _T[3, c & _LOW] ^ _T[2, (c >> _8) & _LOW] ^ _T[1, (c >> _16) & _LOW] ^ _T[0, c >> _24]
    )
    return found
