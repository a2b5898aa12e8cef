"""JSON's numbers, where arithmetic in the machine's own types is exact."""

from __future__ import annotations

import numpy as np

from ._jit import inline
from .layout import U8, Int
from .text import byte_at, word_at

MAX_DIGITS = 18
"""More digits than this are not read: a uint64 must hold them."""

_EXACT = np.uint64(1 << 53)
_POWERS = np.array([10.0**n for n in range(MAX_DIGITS + 1)])
_MINUS = np.uint8(ord("-"))
_POINT = np.uint8(ord("."))
_NIL = np.uint8(ord("0"))
_NINE = np.uint8(9)
_TEN = np.uint64(10)
_ZERO = np.uint64(0)
_HIGH_HALVES = np.uint64(0xF0F0F0F0F0F0F0F0)
_SIXES = np.uint64(0x0606060606060606)
_DIGITS = np.uint64(0x3333333333333333)
_VALUES = np.uint64(0x0F0F0F0F0F0F0F0F)
_PAIRS = np.uint64(0x00FF00FF00FF00FF)
_FOURS = np.uint64(0x0000FFFF0000FFFF)
_MILLION_HUNDRED = np.uint64(100_000_000)


@inline
def _are_digits(word: np.uint64) -> bool:
    fours = np.uint64(4)
    return bool((word & _HIGH_HALVES) | (((word + _SIXES) & _HIGH_HALVES) >> fours) == _DIGITS)


@inline
def _eight_digits(word: np.uint64) -> np.uint64:
    word &= _VALUES
    word = (word * np.uint64(10) + (word >> np.uint64(8))) & _PAIRS
    word = (word * np.uint64(100) + (word >> np.uint64(16))) & _FOURS
    return (word * np.uint64(10_000) + (word >> np.uint64(32))) & np.uint64(0xFFFFFFFF)


@inline
def read_digits(text: U8, at: Int) -> tuple[bool, np.uint64, Int, Int]:
    """Read a number without an exponent from ``text`` (uint8[n]).

    Returns
    -------
    negative, digits, places, end
        The number is ``±digits / 10**places``, its text ends before ``end``. Places are 0 if it
        has no point. ``end`` is -1 if no number of at most `MAX_DIGITS` digits begins at ``at``,
        or if it is a negative zero, which only some kinds of number have. What follows it is for
        the caller to look at.
    """
    negative = byte_at(text, at) == _MINUS
    if negative:
        at += 1
    first = at
    digits = _ZERO
    word = word_at(text, at)
    while _are_digits(word) and at - first <= MAX_DIGITS:
        digits = digits * _MILLION_HUNDRED + _eight_digits(word)
        at += 8
        word = word_at(text, at)
    digit = byte_at(text, at) - _NIL
    while np.uint8(digit) <= _NINE and at - first <= MAX_DIGITS:
        digits = digits * _TEN + np.uint64(np.uint8(digit))
        at += 1
        digit = byte_at(text, at) - _NIL
    whole = at - first
    places = 0
    if whole == 0 or (whole > 1 and byte_at(text, first) == _NIL):
        return negative, digits, places, -1
    if byte_at(text, at) == _POINT:
        at += 1
        digit = byte_at(text, at) - _NIL
        while np.uint8(digit) <= _NINE and whole + places <= MAX_DIGITS:
            digits = digits * _TEN + np.uint64(np.uint8(digit))
            places += 1
            at += 1
            digit = byte_at(text, at) - _NIL
        if places == 0:
            return negative, digits, places, -1
    if whole + places > MAX_DIGITS or (negative and digits == _ZERO):
        return negative, digits, places, -1
    return negative, digits, places, at


@inline
def is_exact(digits: np.uint64) -> bool:
    """Does a float64 hold these digits exactly?"""
    return bool(digits <= _EXACT)


@inline
def to_float(negative: bool, digits: np.uint64, places: Int) -> float:
    """Return the float64 nearest to ``±digits / 10**places``, where `is_exact`.

    Both are exact then, as 10**22 still is, so that their quotient is rounded but once.
    """
    value = np.float64(digits) / _POWERS[np.uint64(places)]
    return float(-value if negative else value)
