"""Reading lines of JSON that are events of the regular form; the others are only found.

A line is regular if it is an object of known keys, each once, in any order; its strings are ASCII
without an escape, its numbers have few digits and no exponent, and every value is one that the
schema allows. Nothing that a stricter reader would refuse is regular.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._jit import inline, kernel
from .layout import I64, U8, U64, Int
from .numbers import is_exact, read_digits, to_float
from .text import byte_at, first_bytes, plain_end, same_bytes, word_at
from .words import LENGTH_BITS

# What a key's value must be.
ID, TIME, TYPE, TEXT, FLOAT, INT, BOOL, OBJECT = range(8)

# The first cells of an event; those of its properties follow. Cells and keys are in one order.
C_EVENT_ID, C_TIME, C_CUSTOMER_ID, C_TYPE, C_CHANNEL, C_ORDINAL = range(6)
PROPERTIES = C_ORDINAL
"""The key whose value is an object; its cell says which of the chunk's records the event is."""
FIRST_PROPERTY = 6
_REQUIRED = 4
"""The keys before this one must be there."""

_QUOTE, _COLON, _COMMA = np.uint8(ord('"')), np.uint8(ord(":")), np.uint8(ord(","))
_OPEN, _CLOSE = np.uint8(ord("{")), np.uint8(ord("}"))
_SPACE, _TAB, _RETURN, _NEWLINE = np.uint8(32), np.uint8(9), np.uint8(13), np.uint8(10)
_NULL = np.uint64(int.from_bytes(b"null", "little"))
_TRUE = np.uint64(int.from_bytes(b"true", "little"))
_FALSE = np.uint64(int.from_bytes(b"false", "little"))
_ONE = np.float64(1).view(np.uint64)
_ZERO = np.uint64(0)


class Names(NamedTuple):
    """The keys and the event types, to compare text with."""

    text: U8  # their bytes, end to end
    starts: I64  # [names], where each begins
    lengths: I64  # [names]
    heads: U64  # [names], the first eight bytes; those that are missing are 0


class Form(NamedTuple):
    """What lines may look like."""

    names: Names  # the keys in the order of the cells, then the event types
    kinds: I64  # [keys], what its value must be
    longest: I64  # [keys], bytes of a text
    blank: U64  # [keys], the cell of a key that is not there
    latest: int  # the latest timestamp, microseconds
    most_bytes: int  # of a line


@inline
def _is(names: Names, name: Int, text: U8, at: Int) -> bool:
    """Does the quoted string whose first byte is at ``at`` have this name?"""
    length = names.lengths[np.uint64(name)]
    if first_bytes(word_at(text, at), length) != names.heads[np.uint64(name)]:
        return False
    if byte_at(text, at + length) != _QUOTE:
        return False
    if length <= 8:
        return True
    start = names.starts[np.uint64(name)]
    return same_bytes(text, at + 8, names.text, start + 8, length - 8)


@inline
def _find(names: Names, low: Int, high: Int, guess: Int, text: U8, at: Int) -> Int:
    """Return which of the names from ``low`` to ``high`` stands at ``at``, or -1."""
    if low <= guess < high and _is(names, guess, text, at):
        return guess
    for name in range(low, high):
        if _is(names, name, text, at):
            return name
    return -1


@inline
def _skip_blanks(text: U8, at: Int) -> Int:
    byte = byte_at(text, at)
    while byte == _SPACE or byte == _TAB or byte == _RETURN:
        at += 1
        byte = byte_at(text, at)
    return at


@inline
def _read_text(text: U8, at: Int, longest: Int) -> tuple[np.uint64, Int]:
    """Read a string; return its place, and where it ends or -1."""
    if byte_at(text, at) != _QUOTE:
        return _ZERO, -1
    end = plain_end(text, at + 1)
    length = end - at - 1
    if end < 0 or length > longest:
        return _ZERO, -1
    return np.uint64((at + 1) << LENGTH_BITS | length), end + 1


@inline
def _read_value(form: Form, key: Int, text: U8, at: Int) -> tuple[np.uint64, Int]:
    """Read one value; return its cell, and where it ends or -1."""
    kind = form.kinds[np.uint64(key)]
    word = word_at(text, at)
    if first_bytes(word, 4) == _NULL:
        return form.blank[np.uint64(key)], at + 4 if key >= _REQUIRED else -1
    if kind == ID or kind == TEXT:
        place, end = _read_text(text, at, form.longest[np.uint64(key)])
        if end == at + 2:  # an empty string
            if kind == ID:
                return place, -1
            if key == C_CHANNEL:
                return form.blank[np.uint64(key)], end
        return place, end
    if kind == TYPE:
        place, end = _read_text(text, at, form.longest[np.uint64(key)])
        if end >= 0:
            types = len(form.kinds)
            if _find(form.names, types, len(form.names.heads), types, text, at + 1) < 0:
                end = -1
        return place, end
    if kind == BOOL:
        if first_bytes(word, 4) == _TRUE:
            return _ONE, at + 4
        return _ZERO, at + 5 if first_bytes(word, 5) == _FALSE else -1
    negative, digits, places, end = read_digits(text, at)
    if end < 0 or not is_exact(digits):
        return _ZERO, -1
    if kind == TIME:
        late = negative or digits == _ZERO or np.int64(digits) > form.latest
        return digits, -1 if late or places else end
    if kind == INT and places:
        return _ZERO, -1
    return np.float64(to_float(negative, digits, places)).view(np.uint64), end


@inline
def _read_event(
    form: Form, text: U8, at: Int, ordinal: Int, cells: U64, row: Int, seen: I64, follow: I64
) -> Int:
    """Read the object that begins at ``at``; return where it ends, or -1.

    ``seen`` (int64[keys]) has the record in which a key was last seen; ``follow``
    (int64[keys + 2]) the key that came after it, to try that one first (the last two: at the
    beginning, and after the properties).
    """
    keys = len(form.kinds)
    for cell in range(keys):
        cells[row, cell] = form.blank[cell]
    if byte_at(text, at) != _OPEN:
        return -1
    at += 1
    last: Int = keys
    required = 0
    inside = False  # of the properties
    empty = True  # nothing yet in the object at hand
    while True:
        at = _skip_blanks(text, at)
        if empty and byte_at(text, at) == _CLOSE:
            if not inside:
                return -1
        else:
            if byte_at(text, at) != _QUOTE:
                return -1
            at += 1
            guess = follow[np.uint64(last)]
            low, high = (FIRST_PROPERTY, keys) if inside else (0, FIRST_PROPERTY)
            key: Int = _find(form.names, low, high, guess, text, at)
            if key < 0 or seen[np.uint64(key)] == ordinal:
                return -1
            seen[np.uint64(key)] = ordinal
            follow[np.uint64(last)] = key
            last = key
            at = _skip_blanks(text, at + form.names.lengths[np.uint64(key)] + 1)
            if byte_at(text, at) != _COLON:
                return -1
            at = _skip_blanks(text, at + 1)
            if key == PROPERTIES:
                if byte_at(text, at) != _OPEN:
                    return -1
                at += 1
                inside = empty = True
                continue
            value, end = _read_value(form, key, text, at)
            if end < 0:
                return -1
            cells[row, key] = value
            if key < _REQUIRED:
                required += 1
            at = _skip_blanks(text, end)
        if inside and byte_at(text, at) == _CLOSE:
            inside = False
            last = keys + 1
            at = _skip_blanks(text, at + 1)
        byte = byte_at(text, at)
        at += 1
        if byte == _COMMA:
            empty = False
        elif byte == _CLOSE and not inside and required == _REQUIRED:
            return at
        else:
            return -1


@kernel
def scan_lines(
    text: U8, form: Form, cells: U64, irregular: I64, seen: I64, follow: I64
) -> tuple[Int, Int]:
    """Read a chunk of lines.

    Parameters
    ----------
    text
        uint8[m], the chunk; a newline ends a line, and blanks around one do not count.
    form
        What regular lines look like.
    cells
        uint64[lines, keys]: receives the regular ones, a row each. A timestamp is an int64, a
        number or truth value the bits of a float64, a text its place.
    irregular
        int64[lines, 4]: receives of the others that are not blank which record and line of the
        chunk it is, and the bytes between which it lies.
    seen, follow
        int64[keys] of -1, int64[keys + 2] of any keys: working memory.

    Returns
    -------
    regular, others
        How many rows of the two were written.
    """
    rows = others = ordinal = 0
    line = 0
    at: Int = 0
    while at < len(text):
        start = _skip_blanks(text, at)
        if start == len(text):
            break
        if text[np.uint64(start)] != _NEWLINE:
            end = _read_event(form, text, start, ordinal, cells, rows, seen, follow)
            after = _skip_blanks(text, end) if end >= 0 else start
            whole = after == len(text) or text[np.uint64(after)] == _NEWLINE
            if end >= 0 and whole and end - start <= form.most_bytes:
                cells[rows, C_ORDINAL] = np.uint64(ordinal)
                rows += 1
            else:
                after = start
                while after < len(text) and text[np.uint64(after)] != _NEWLINE:
                    after += 1
                irregular[others, 0] = ordinal
                irregular[others, 1] = line
                irregular[others, 2] = start
                irregular[others, 3] = after
                others += 1
            start = after
            ordinal += 1
        line += 1
        at = start + 1
    return rows, others
