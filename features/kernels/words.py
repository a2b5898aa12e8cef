"""Words that become codes: a hash table over text that lies elsewhere."""

from __future__ import annotations

import numpy as np

from ._jit import inline, kernel
from .hashing import murmur3
from .layout import I32, I64, U8, U64, Int
from .text import first_bytes, same_bytes, word_at

LENGTH_BITS = 16
"""A text's place is ``start << LENGTH_BITS | length``."""
ABSENT = -1
"""The place of a text that is not there, and its code."""

_LENGTH = np.int64((1 << LENGTH_BITS) - 1)
_MIX = np.uint64(0x9FB21C651E98DF25)
_HALF = np.uint64(32)


@inline
def start_of(place: Int) -> Int:
    """Where the text begins."""
    return place >> LENGTH_BITS


@inline
def length_of(place: Int) -> Int:
    """How many bytes it has."""
    return place & _LENGTH


@inline
def _hash(text: U8, start: Int, length: Int) -> np.uint64:
    if length > 16:
        return murmur3(text, start, length)[0]
    word = first_bytes(word_at(text, start), length) ^ np.uint64(length)
    if length > 8:
        word = word * _MIX ^ word_at(text, start + length - 8)
    word *= _MIX
    return (word ^ (word >> _HALF)) * _MIX >> _HALF


@inline
def find_word(text: U8, place: Int, known: U8, places: I64, slots: I32) -> np.uint64:
    """Return the slot that holds a word's code + 1, or the empty one where it belongs.

    The word is that at ``place`` of ``text``; those in the table are at ``places`` (int64[codes])
    of ``known``. ``slots`` (int32[power of two]) has an empty one.
    """
    start, length = start_of(place), length_of(place)
    mask = np.uint64(len(slots) - 1)
    at = _hash(text, start, length) & mask
    while slots[at]:
        other = places[np.uint64(slots[at] - 1)]
        if length_of(other) == length and same_bytes(text, start, known, start_of(other), length):
            break
        at = (at + np.uint64(1)) & mask
    return at


@kernel
def encode_words(text: U8, cells: U64, column: Int, places: I64, slots: I32, codes: I32) -> Int:
    """Give each word of a column a code, in the order in which they first appear.

    Parameters
    ----------
    text
        uint8[m], where the words lie.
    cells, column
        uint64[n, columns], and the one that has a place, or `ABSENT`, a row.
    places
        int64[n]: receives the place of each code's word.
    slots
        int32[a power of two > n], zero.
    codes
        int32[n]: receives the codes, or `ABSENT`.

    Returns
    -------
    int
        How many words there are.
    """
    words = 0
    for i in range(len(codes)):
        place = np.int64(cells[i, column])
        if place == ABSENT:
            codes[i] = ABSENT
            continue
        slot = find_word(text, place, text, places, slots)
        if slots[slot] == 0:
            places[words] = place
            words += 1
            slots[slot] = words
        codes[i] = slots[slot] - 1
    return words


@kernel
def put_words(places: I64, text: U8, slots: I32) -> None:
    """Put words (int64[n] ``places`` of ``text``) into an empty table."""
    for code in range(len(places)):
        slot = find_word(text, places[code], text, places, slots)
        if slots[slot] == 0:  # else it stands there twice
            slots[slot] = code + 1


@kernel
def copy_texts(text: U8, cells: U64, column: Int, offsets: I32, out: U8) -> None:
    """Lay the texts of a column end to end.

    Parameters
    ----------
    text, cells, column
        As in `encode_words`; no text is absent.
    offsets
        int32[n + 1]: receives where each begins.
    out
        uint8[bytes of them all]: receives them.
    """
    end: Int = 0
    for i in range(len(cells)):
        place = np.int64(cells[i, column])
        start, length = start_of(place), length_of(place)
        offsets[i] = end
        for j in range(length):
            out[np.uint64(end + j)] = text[np.uint64(start + j)]
        end += length
    offsets[len(cells)] = end
