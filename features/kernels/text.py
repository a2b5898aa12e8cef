"""Looking at text eight bytes at a time: a word holds them with the first one lowest."""

from __future__ import annotations

import numpy as np

from ._jit import inline, kernel
from .layout import U8, Int

QUOTE = np.uint64(0x22)
_BYTE = np.uint64(0xFF)
_EIGHT = np.uint64(8)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_EACH = np.uint64(0x0101010101010101)
_HIGH = np.uint64(0x8080808080808080)
_QUOTES = np.uint64(0x2222222222222222)
_BACKSLASHES = np.uint64(0x5C5C5C5C5C5C5C5C)
_SPACES = np.uint64(0x2020202020202020)
_COUNT_SHIFT = np.uint64(56)


@inline
def byte_at(text: U8, at: Int) -> np.uint8:
    """Return the byte at ``at`` >= 0 of ``text`` (uint8[n]); 0 behind the end."""
    return text[np.uint64(at)] if at < len(text) else np.uint8(0)


@kernel
def last_word(text: U8, at: Int) -> np.uint64:
    """As `word_at` where fewer than eight bytes are left."""
    word = _ZERO
    for i in range(at, len(text)):
        word |= np.uint64(text[np.uint64(i)]) << np.uint64(8 * (i - at))
    return word


@inline
def word_at(text: U8, at: Int) -> np.uint64:
    """Return the eight bytes from ``at`` >= 0 of ``text`` (uint8[n]); 0 behind the end."""
    if at + 8 > len(text):
        return last_word(text, at)
    i = np.uint64(at)
    # The compiler makes one load of these.
    return (
        np.uint64(text[i])
        | np.uint64(text[i + np.uint64(1)]) << np.uint64(8)
        | np.uint64(text[i + np.uint64(2)]) << np.uint64(16)
        | np.uint64(text[i + np.uint64(3)]) << np.uint64(24)
        | np.uint64(text[i + np.uint64(4)]) << np.uint64(32)
        | np.uint64(text[i + np.uint64(5)]) << np.uint64(40)
        | np.uint64(text[i + np.uint64(6)]) << np.uint64(48)
        | np.uint64(text[i + np.uint64(7)]) << np.uint64(56)
    )


@inline
def first_bytes(word: np.uint64, count: Int) -> np.uint64:
    """Keep the first ``count`` bytes, 0 to 8, of a word."""
    if count >= 8:
        return word
    return word & ((_ONE << np.uint64(8 * count)) - _ONE)


@inline
def same_bytes(one: U8, at: Int, other: U8, start: Int, length: Int) -> bool:
    """Do ``length`` bytes from ``at`` of one text equal those from ``start`` of the other?"""
    done = 0
    while done + 8 <= length:
        if word_at(one, at + done) != word_at(other, start + done):
            return False
        done += 8
    left = length - done
    return bool(first_bytes(word_at(one, at + done) ^ word_at(other, start + done), left) == _ZERO)


@inline
def plain_end(text: U8, at: Int) -> Int:
    """Return where the quote is that ends the string whose first byte is at ``at``.

    -1 if an escape, a control character, a byte that is not ASCII or the end of the text comes
    first.
    """
    while True:
        word = word_at(text, at)
        quotes = word ^ _QUOTES
        escapes = word ^ _BACKSLASHES
        # The high bit of each byte that is zero, or less than a space; above the first of them
        # there may be false ones, so only the lowest counts.
        found = (quotes - _EACH) & ~quotes
        found |= (escapes - _EACH) & ~escapes
        found |= (word - _SPACES) & ~word
        found = (found | word) & _HIGH
        if found:
            below = ((found & (~found + _ONE)) - _ONE) & _EACH
            index = ((below * _EACH) >> _COUNT_SHIFT) - _ONE
            if (word >> (_EIGHT * index)) & _BYTE != QUOTE:
                return -1
            return at + np.int64(index)
        at += 8
