"""Features as the bytes of Feast's answer, for all features and customers in one pass.

Written are ``results`` of ``GetOnlineFeaturesResponse``: one ``FeatureVector`` a feature with a
value, a status and an event timestamp a customer. Building these messages one Python object at a
time takes most of the time of a stock lookup.

A message stands after its length, which is known only at its end; the length is therefore always
written in five bytes, which every reader of the format accepts.
"""
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
# Kernels are typed by the compiler, from the arrays that they are called with.

from __future__ import annotations

import numpy as np

from ..kernels._jit import inline, kernel
from ..kernels.read import EXPIRED, PRESENT

# Kinds of value, and columns of the table of features.
W_INT, W_FLOAT, W_STRING, W_INTS, W_FLOATS, W_STRINGS = range(6)
(
    A_KIND,
    A_START,  # first column
    A_WIDTH,  # columns
    A_WORD,  # ordinal of the first word of its vocabulary
    A_RAGGED,  # 1: ends at the first column that is not present (last_k, top_k)
) = range(5)

# FieldStatus.
S_PRESENT, S_NULL, S_NOT_FOUND, S_OUTSIDE_MAX_AGE = 1, 2, 3, 4

# Field number << 3 | wire type. Of GetOnlineFeaturesResponse, FeatureVector and Timestamp:
_RESULT, _VALUE, _STATUSES, _TIMESTAMP, _SECONDS, _NANOS = 0x12, 0x0A, 0x12, 0x1A, 0x08, 0x10
# of Value, and of the lists (where the only field has number 1).
_STRING, _INT, _FLOAT = 0x12, 0x20, 0x29
_STRINGS, _INTS, _FLOATS, _ITEM = 0x62, 0x72, 0x7A, 0x0A

_LENGTH = 5
_MICRO = 1_000_000
BYTES_PER_CELL = 64
"""More than a value needs beyond its numbers and words: tags, lengths, status, timestamp."""


@inline
def _open(out, at, tag):
    out[at] = tag
    return at + 1 + _LENGTH


@inline
def _close(out, start, end):
    """Write the length of what was written since ``start = _open(...)``."""
    size = end - start
    for k in range(_LENGTH - 1):
        out[start - _LENGTH + k] = ((size >> (7 * k)) & 0x7F) | 0x80
    out[start - 1] = size >> (7 * (_LENGTH - 1))


@inline
def _varint(out, at, number):
    rest = np.uint64(number)
    while rest >= np.uint64(0x80):
        out[at] = np.uint8(rest & np.uint64(0x7F)) | np.uint8(0x80)
        rest >>= np.uint64(7)
        at += 1
    out[at] = np.uint8(rest)
    return at + 1


@inline
def _float(out, at, bits):
    for k in range(8):
        out[at + k] = np.uint8((bits >> np.uint64(8 * k)) & np.uint64(0xFF))
    return at + 8


@inline
def _word(out, at, tag, word, bounds, arena):
    start = _open(out, at, tag)
    length = bounds[word + 1] - bounds[word]
    for j in range(length):
        out[start + j] = arena[bounds[word] + j]
    _close(out, start, start + length)
    return start + length


@inline
def _one(out, at, kind, value, bits, first_word, bounds, arena):
    if kind == W_INT:
        out[at] = _INT
        return _varint(out, at + 1, np.int64(value))
    if kind == W_FLOAT:
        out[at] = _FLOAT
        return _float(out, at + 1, bits)
    return _word(out, at, _STRING, first_word + np.int64(value), bounds, arena)


@inline
def _list(out, at, kind, values, bits, start, width, first_word, bounds, arena):
    body = _open(out, at, _STRINGS if kind == W_STRINGS else _INTS if kind == W_INTS else _FLOATS)
    at = body
    if kind == W_STRINGS:
        for j in range(width):
            if values[start + j] == values[start + j]:
                at = _word(out, at, _ITEM, first_word + np.int64(values[start + j]), bounds, arena)
            else:  # a gap: the empty word
                at = _open(out, at, _ITEM)
                _close(out, at, at)
    else:
        packed = _open(out, at, _ITEM)
        at = packed
        for j in range(width):
            if kind == W_INTS:
                at = _varint(out, at, np.int64(values[start + j]))
            else:
                at = _float(out, at, bits[start + j])
        _close(out, packed, at)
    _close(out, body, at)
    return at


@inline
def _status(state, start, width, known):
    """Say how a feature stands: an array is present if any of its values is."""
    if not known:
        return S_NOT_FOUND
    status = S_NULL
    for j in range(width):
        if state[start + j] == PRESENT:
            return S_PRESENT
        if state[start + j] == EXPIRED:
            status = S_OUTSIDE_MAX_AGE
    return status


@kernel
def encode_features(values, bits, state, newest, features, bounds, arena, out):
    """Encode features of n customers; return the length.

    Parameters
    ----------
    values, bits
        float64[n, columns], and the same memory as uint64.
    state
        uint8[n, columns] of PRESENT, MISSING, EXPIRED.
    newest
        int64[n], time of the newest event in microseconds, 0 for an unknown customer.
    features
        int64[features, 5], see ``A_KIND`` and on.
    bounds, arena
        int64[words + 1] into uint8: the words of all vocabularies end to end.
    out
        uint8, receives the bytes.
    """
    n = len(newest)
    at = 0
    copy_from = copy_to = 0
    for x in range(len(features)):
        kind, first = features[x, A_KIND], features[x, A_START]
        word = features[x, A_WORD]
        vector = _open(out, at, _RESULT)
        at = vector
        for r in range(n):
            width = features[x, A_WIDTH]
            value = _open(out, at, _VALUE)
            at = value
            if _status(state[r], first, width, newest[r] != 0) == S_PRESENT:
                if features[x, A_RAGGED]:
                    width = 0
                    while width < features[x, A_WIDTH] and state[r, first + width] == PRESENT:
                        width += 1
                if kind >= W_INTS:
                    at = _list(out, at, kind, values[r], bits[r], first, width, word, bounds, arena)
                else:
                    at = _one(out, at, kind, values[r, first], bits[r, first], word, bounds, arena)
            _close(out, value, at)
        statuses = _open(out, at, _STATUSES)
        at = statuses
        for r in range(n):
            out[at] = _status(state[r], first, features[x, A_WIDTH], newest[r] != 0)
            at += 1
        _close(out, statuses, at)
        # The timestamps are the same for every feature.
        if x == 0:
            copy_from = at
            for r in range(n):
                time = _open(out, at, _TIMESTAMP)
                at = time
                if newest[r]:
                    out[at] = _SECONDS
                    at = _varint(out, at + 1, newest[r] // _MICRO)
                    out[at] = _NANOS
                    at = _varint(out, at + 1, newest[r] % _MICRO * 1000)
                _close(out, time, at)
            copy_to = at
        else:
            for j in range(copy_to - copy_from):
                out[at + j] = out[copy_from + j]
            at += copy_to - copy_from
        _close(out, vector, at)
    return at
