"""MurmurHash3 x64 128 with Python's integers, from the published algorithm (seed 0)."""

from __future__ import annotations

MASK = 2**64 - 1
C1 = 0x87C37B91114253D5
C2 = 0x4CF5AD432745937F


def rotate_left(x: int, bits: int) -> int:
    return (x << bits | x >> (64 - bits)) & MASK


def mix_1(word: int) -> int:
    return rotate_left(word * C1 & MASK, 31) * C2 & MASK


def mix_2(word: int) -> int:
    return rotate_left(word * C2 & MASK, 33) * C1 & MASK


def finish(x: int) -> int:
    x = (x ^ x >> 33) * 0xFF51AFD7ED558CCD & MASK
    x = (x ^ x >> 33) * 0xC4CEB9FE1A85EC53 & MASK
    return x ^ x >> 33


def murmur3(data: bytes) -> tuple[int, int]:
    """Return both halves of the 128 bits."""
    h1 = h2 = 0
    whole = len(data) // 16 * 16
    for at in range(0, whole, 16):
        h1 ^= mix_1(int.from_bytes(data[at : at + 8], "little"))
        h1 = ((rotate_left(h1, 27) + h2) * 5 + 0x52DCE729) & MASK
        h2 ^= mix_2(int.from_bytes(data[at + 8 : at + 16], "little"))
        h2 = ((rotate_left(h2, 31) + h1) * 5 + 0x38495AB5) & MASK
    h1 ^= mix_1(int.from_bytes(data[whole : whole + 8], "little"))
    h2 ^= mix_2(int.from_bytes(data[whole + 8 :], "little"))
    h1 ^= len(data)
    h2 ^= len(data)
    h1 = (h1 + h2) & MASK
    h2 = (h2 + h1) & MASK
    h1, h2 = finish(h1), finish(h2)
    h1 = (h1 + h2) & MASK
    return h1, (h2 + h1) & MASK


def hash_string(text: str) -> tuple[int, int]:
    """As the package hashes: a first half of 0 becomes 1."""
    first, second = murmur3(text.encode())
    return first or 1, second
