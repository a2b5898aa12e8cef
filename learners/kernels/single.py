"""The exponential function in single precision, so that a loop of it runs several at once.

The C library's is called once for each number. This is its algorithm: with N = 32,
``exp(x) = 2**(k / N) * 2**(r / N)`` for the integer k nearest to ``N x / log 2``; the first factor
is found in a table, the second by a polynomial, both in double precision, and the product is
rounded once.

Source: Arm Optimized Routines, ``expf`` (the C library's since glibc 2.27); table and polynomial as
there.
"""

import math

import numpy as np

from ._jit import inline

_N = 32
_TABLE = np.array([2.0 ** (i / _N) for i in range(_N)]).view(np.int64) - (
    np.arange(_N, dtype=np.int64) << 47
)
"""Bits of each factor, less what the exponent's bits of its number add."""
_SCALE = _N / math.log(2.0)
_SHIFT = 6755399441055744.0
"""1.5 * 2**52: what is added to a number to round it, which is then the lowest bits."""
_C0 = float.fromhex("0x1.c6af84b912394p-5") / _N**3
_C1 = float.fromhex("0x1.ebfce50fac4f3p-3") / _N**2
_C2 = float.fromhex("0x1.62e42ff0c52d6p-1") / _N
_LEAST, _MOST = -104.0, 89.0
"""Beyond these the result is 0, or infinity."""


@inline
def exp(x: np.float32) -> np.float32:
    """Return e to the power of a number, NaN of NaN."""
    wide = np.float64(x)
    z = _SCALE * min(max(wide, _LEAST), _MOST)
    shifted = z + _SHIFT
    bits = np.float64(shifted).view(np.int64)
    r = z - (shifted - _SHIFT)
    factor = np.int64(_TABLE[bits & (_N - 1)] + (bits << 47)).view(np.float64)
    y = (_C0 * r + _C1) * (r * r) + (_C2 * r + 1.0)
    return np.float32(y * factor)
