"""The blocks of weights in N customers' bytes, found and checked in one call; see `persons`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...features.kernels._jit import inline, kernel_of
from ...features.kernels.layout import I64, U8, Int
from ...learners.kernels import crc, person_blocks
from .persons import MOST_BYTES

U32 = npt.NDArray[np.uint32]

_MAP, _MOST_PAIRS = 0x80, 15
_TEXT, _LONGEST_TEXT, _TEXT_8 = 0xA0, 31, 0xD9
_BYTES_8, _BYTES_16 = 0xC4, 0xC5
_ASCII = 128
_MOST_BYTES = MOST_BYTES
_HEAD, _ENTRY = person_blocks.HEAD, person_blocks.ENTRY
_whole = person_blocks.whole


@inline
def _name(data: U8, at: Int, end: Int) -> tuple[Int, Int]:
    """Return where a text that begins at ``at`` has its characters, and how many; -1: it is odd."""
    if at + 2 > end:
        return at, -1
    kind = np.int64(data[at])
    if _TEXT <= kind <= _TEXT + _LONGEST_TEXT:
        return at + 1, kind - _TEXT
    if kind == _TEXT_8:
        return at + 2, np.int64(data[at + 1])
    return at, -1


@inline
def _block(data: U8, at: Int, end: Int) -> tuple[Int, Int]:
    """Return where bytes that begin at ``at`` are, and how many; -1: they are odd."""
    if at + 2 > end:
        return at, -1
    kind = np.int64(data[at])
    if kind == _BYTES_8:
        return at + 2, np.int64(data[at + 1])
    if kind == _BYTES_16 and at + 3 <= end:
        return at + 3, np.int64(data[at + 1]) << 8 | np.int64(data[at + 2])
    return at, -1


@inline
def _which(data: U8, at: Int, size: Int, names: U8, ends: I64) -> Int:
    """Return which name a text is; as many as there are: none of them; -1: it is not ASCII."""
    for i in range(at, at + size):
        if data[i] >= _ASCII:
            return -1
    start: Int = 0
    for o in range(ends.shape[0]):
        if ends[o] - start == size:
            same = True
            for i in range(size):
                if data[at + i] != names[start + i]:
                    same = False
                    break
            if same:
                return o
        start = ends[o]
    many: Int = ends.shape[0]
    return many


@kernel_of(crc.__file__, person_blocks.__file__)
def unpack(
    data: U8, n: Int, ends: I64, names: U8, name_ends: I64, told: I64, first: Int, words: U32
) -> bool:
    """Copy the blocks of some customers, and say where they are.

    Parameters
    ----------
    data, n, ends
        The customers' bytes end to end, how many customers, and int64[N], where those of each end;
        of one of whom nothing is known there are none.
    names, name_ends
        Of the models, ASCII, end to end.
    told, first
        int64[N, .], receives from place ``first`` on of each model the first word of the block, -1:
        there is none, and for how many arms it has room.
    words
        Receives the blocks; as many words as are in ``data``.

    Returns
    -------
    False if anything is odd: no such bytes as `persons.pack_persons` makes, or a damaged block.
    """
    models = name_ends.shape[0]
    at: Int = 0
    filled: Int = 0
    for i in range(n):
        for o in range(models):
            told[i, first + 2 * o] = -1
            told[i, first + 2 * o + 1] = 0
        end = ends[i]
        if at == end:
            continue
        pairs = np.int64(data[at]) - _MAP
        if not 0 <= pairs <= _MOST_PAIRS or end - at > _MOST_BYTES:
            return False
        at += 1
        for _ in range(pairs):
            at, size = _name(data, at, end)
            if size < 0 or at + size > end:
                return False
            model = _which(data, at, size, names, name_ends)
            if model < 0:
                return False
            at, length = _block(data, at + size, end)
            if length < 0 or at + length > end:
                return False
            if model < models and length > 0:
                room = (length - _HEAD) // _ENTRY
                if length < _HEAD or _HEAD + _ENTRY * room != length:
                    return False
                for j in range(length // 4):
                    b = at + 4 * j
                    words[filled + j] = np.uint32(
                        np.int64(data[b])
                        | np.int64(data[b + 1]) << 8
                        | np.int64(data[b + 2]) << 16
                        | np.int64(data[b + 3]) << 24
                    )
                if told[i, first + 2 * model] >= 0 or not _whole(words, filled, room):
                    return False
                told[i, first + 2 * model] = filled
                told[i, first + 2 * model + 1] = room
                filled += length // 4
            at += length
        if at != end:
            return False
    return True
