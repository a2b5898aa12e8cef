"""Bytes as they are written in JSON."""

from __future__ import annotations

from itertools import product
from string import ascii_letters, digits

import numpy as np
import numpy.typing as npt

from ...features.kernels._jit import kernel
from ...features.kernels.layout import I64, U8

U16 = npt.NDArray[np.uint16]

_SORTED = ascii_letters[26:] + ascii_letters[:26] + digits + "+/"
_WORDS = [*map("".join, product(_SORTED, repeat=2)), *(letter + "=" for letter in _SORTED), "=="]
PAIRS: U16 = np.frombuffer("".join(_WORDS).encode(), np.uint16).copy()
"""What base64 writes, two letters at a time: of 12 bits, of 6 bits at the end, and after it."""
_LAST, _NONE = 1 << 12, (1 << 12) + (1 << 6)


@kernel
def base64(data: U8, begins: I64, sizes: I64, pairs: U16, out: U16) -> None:
    """Write N parts of some bytes in base64 (RFC 4648, section 4), one after the other.

    Parameters
    ----------
    data
        uint8, of which the parts are.
    begins, sizes
        int64[N], where each is, and how many bytes it has.
    pairs
        `PAIRS`.
    out
        uint16, receives four letters, which are two numbers, for every three bytes of a part or
        what is left of them.
    """
    to = 0
    for i in range(len(begins)):
        place = begins[i]
        for _ in range(sizes[i] // 3):
            bits = (
                (np.uint32(data[place]) << np.uint32(16))
                | (np.uint32(data[place + 1]) << np.uint32(8))
                | np.uint32(data[place + 2])
            )
            out[to] = pairs[bits >> np.uint32(12)]
            out[to + 1] = pairs[bits & np.uint32(4095)]
            to += 2
            place += 3
        left = sizes[i] % 3
        if left > 0:
            last = np.int64(data[place]) << 16
            if left > 1:
                last |= np.int64(data[place + 1]) << 8
            out[to] = pairs[last >> 12]
            out[to + 1] = pairs[_LAST + ((last >> 6) & 63) if left > 1 else _NONE]
            to += 2
