"""MurmurHash3 x64 128 over Arrow string buffers: customer ids and event ids become numbers.

The hash is part of the wire format: shards, slots and duplicate checks depend on it, so it is the
same on every machine and in every release. Source: Austin Appleby, MurmurHash3.cpp (public
domain), ``MurmurHash3_x64_128``, seed 0.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ._jit import inline, kernel
from .layout import U8, Int
from .text import first_bytes, word_at

_C1 = np.uint64(0x87C37B91114253D5)
_C2 = np.uint64(0x4CF5AD432745937F)
_M1 = np.uint64(0xFF51AFD7ED558CCD)
_M2 = np.uint64(0xC4CEB9FE1A85EC53)
_FIVE = np.uint64(5)
_A1 = np.uint64(0x52DCE729)
_A2 = np.uint64(0x38495AB5)
_S33 = np.uint64(33)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_KNOWN = 4096
"""Strings of which `hash_string` remembers the hash."""


@inline
def _rotl(x: np.uint64, r: Int) -> np.uint64:
    return (x << np.uint64(r)) | (x >> np.uint64(64 - r))


@inline
def _finish(k: np.uint64) -> np.uint64:
    k ^= k >> _S33
    k *= _M1
    k ^= k >> _S33
    k *= _M2
    return k ^ (k >> _S33)


@inline
def murmur3(data: U8, start: Int, length: Int) -> tuple[np.uint64, np.uint64]:
    """Return the two 64-bit halves of the hash of ``data[start : start + length]`` (uint8)."""
    h1 = _ZERO
    h2 = _ZERO
    full = length // 16
    for block in range(full):
        at = start + 16 * block
        h1 ^= _rotl(word_at(data, at) * _C1, 31) * _C2
        h1 = (_rotl(h1, 27) + h2) * _FIVE + _A1
        h2 ^= _rotl(word_at(data, at + 8) * _C2, 33) * _C1
        h2 = (_rotl(h2, 31) + h1) * _FIVE + _A2
    tail = length - 16 * full
    at = start + 16 * full
    if tail > 8:
        h2 ^= _rotl(first_bytes(word_at(data, at + 8), tail - 8) * _C2, 33) * _C1
    if tail > 0:
        h1 ^= _rotl(first_bytes(word_at(data, at), tail) * _C1, 31) * _C2
    h1 ^= np.uint64(length)
    h2 ^= np.uint64(length)
    h1 += h2
    h2 += h1
    h1 = _finish(h1)
    h2 = _finish(h2)
    h1 += h2
    h2 += h1
    return h1, h2


@inline
def hash_key(data: U8, start: Int, length: Int) -> tuple[np.uint64, np.uint64]:
    """As `murmur3`; a first half of 0 becomes 1, as 0 marks an empty place in tables of hashes."""
    h1, h2 = murmur3(data, start, length)
    return (h1 if h1 != _ZERO else _ONE), h2


@kernel
def hash_strings(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    first: npt.NDArray[np.uint64],
    second: npt.NDArray[np.uint64],
) -> None:
    """Hash ``n`` strings that lie end to end.

    Parameters
    ----------
    data
        uint8[m], the strings' UTF-8 bytes.
    offsets
        int64[n + 1], where each begins.
    first, second
        uint64[n] each, any stride: receive the two halves. A first half of 0 becomes 1, as 0
        marks an empty place in tables of hashes.
    """
    for i in range(len(offsets) - 1):
        first[i], second[i] = hash_key(data, offsets[i], offsets[i + 1] - offsets[i])


@lru_cache(maxsize=_KNOWN)
def hash_string(text: str) -> tuple[Int, Int]:
    """Hash one string; those of late are known.

    >>> hash_string("household-1") == hash_string("household-2")
    False
    """
    raw = np.frombuffer(text.encode(), dtype=np.uint8)
    out = np.empty((2, 1), dtype=np.uint64)
    hash_strings(raw, np.array([0, len(raw)], dtype=np.int64), out[0], out[1])
    return int(out[0, 0]), int(out[1, 0])
