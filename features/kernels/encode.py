"""Writing the words of event records: from Arrow's buffers, or from the cells of a scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ._jit import kernel
from .hashing import murmur3
from .layout import (
    EVENT_ID,
    I32,
    I64,
    ID_TEXT,
    KEY_1,
    KEY_2,
    MISSING,
    POSITION,
    TIMESTAMP,
    U8,
    U64,
    UNKNOWN,
    Int,
)
from .scan import C_CUSTOMER_ID, C_EVENT_ID, C_TIME
from .words import ABSENT, LENGTH_BITS, find_word, length_of, start_of

_MISSING = np.int64(MISSING).view(np.uint64)
_UNKNOWN = np.int64(UNKNOWN).view(np.uint64)
_NAN = np.uint64(0x7FF8000000000000)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)


@kernel
def put_identity(
    timestamps: npt.NDArray[np.int64],
    positions: npt.NDArray[np.int64],
    event_text: npt.NDArray[np.uint8],
    event_offsets: npt.NDArray[Any],
    customer_text: npt.NDArray[np.uint8],
    customer_offsets: npt.NDArray[Any],
    records: npt.NDArray[np.uint64],
) -> int:
    """Write the six words that every record has.

    Parameters
    ----------
    timestamps, positions
        int64[n]: microseconds; places in the log.
    event_text, customer_text
        uint8: the UTF-8 bytes of the ids, end to end.
    event_offsets, customer_offsets
        int32 or int64[n + 1]: where each id begins in its text.
    records
        uint64[n, words], C-contiguous.

    Returns
    -------
    int
        The longest customer id in bytes: if it needs more than `LENGTH_BITS`, the words that say
        where the ids lie are wrong.
    """
    longest = 0
    for i in range(len(timestamps)):
        event, _ = murmur3(event_text, event_offsets[i], event_offsets[i + 1] - event_offsets[i])
        start = customer_offsets[i]
        length = customer_offsets[i + 1] - start
        first, second = murmur3(customer_text, start, length)
        records[i, TIMESTAMP] = np.uint64(timestamps[i])
        # 0 marks an empty place in tables of hashes.
        records[i, EVENT_ID] = event if event != _ZERO else _ONE
        records[i, KEY_1] = first if first != _ZERO else _ONE
        records[i, KEY_2] = second
        records[i, POSITION] = np.uint64(positions[i])
        records[i, ID_TEXT] = np.uint64(start) << np.uint64(LENGTH_BITS) | np.uint64(length)
        longest = max(longest, length)
    return longest


@kernel
def put_codes(
    indices: npt.NDArray[np.int32],
    codes: npt.NDArray[np.int64],
    valid: npt.NDArray[np.uint8],
    bit: int,
    records: npt.NDArray[np.uint64],
    word: int,
) -> None:
    """Write one categorical column.

    Parameters
    ----------
    indices
        int32[n] into ``codes``; not read where the value is null.
    codes
        int64[dictionary]: the code of each word of the column's dictionary.
    valid, bit
        uint8: Arrow's validity bitmap, empty if nothing is null; the first row's bit in it.
    records, word
        uint64[n, words], and which of its words to write.
    """
    if len(valid) == 0:
        for i in range(len(indices)):
            records[i, word] = np.uint64(codes[indices[i]])
        return
    for i in range(len(indices)):
        at = bit + i
        if valid[at >> 3] >> (at & 7) & 1:
            records[i, word] = np.uint64(codes[indices[i]])
        else:
            records[i, word] = _MISSING


@kernel
def put_numbers(
    values: npt.NDArray[np.uint64],
    valid: npt.NDArray[np.uint8],
    bit: int,
    records: npt.NDArray[np.uint64],
    word: int,
) -> None:
    """Write one numeric column; null becomes NaN.

    Parameters
    ----------
    values
        uint64[n]: the bits of float64 values.
    valid, bit, records, word
        As in `put_codes`.
    """
    if len(valid) == 0:
        for i in range(len(values)):
            records[i, word] = values[i]
        return
    for i in range(len(values)):
        at = bit + i
        records[i, word] = values[i] if valid[at >> 3] >> (at & 7) & 1 else _NAN


@kernel
def put_scanned_identity(text: U8, cells: U64, positions: I64, records: U64, ids: U8) -> None:
    """Write the six words that every record has, as `put_identity` does.

    Parameters
    ----------
    text, cells
        What a scan found; see `nextbest.features.kernels.scan`.
    positions
        int64[n], places in the log.
    records
        uint64[n, words], C-contiguous.
    ids
        uint8[bytes of all customer ids]: receives them, end to end.
    """
    end: Int = 0
    for i in range(len(cells)):
        place = np.int64(cells[i, C_EVENT_ID])
        event, _ = murmur3(text, start_of(place), length_of(place))
        place = np.int64(cells[i, C_CUSTOMER_ID])
        start, length = start_of(place), length_of(place)
        first, second = murmur3(text, start, length)
        records[i, TIMESTAMP] = cells[i, C_TIME]
        records[i, EVENT_ID] = event if event != _ZERO else _ONE
        records[i, KEY_1] = first if first != _ZERO else _ONE
        records[i, KEY_2] = second
        records[i, POSITION] = np.uint64(positions[i])
        records[i, ID_TEXT] = np.uint64(end << LENGTH_BITS | length)
        for j in range(length):
            ids[np.uint64(end + j)] = text[np.uint64(start + j)]
        end += length


@kernel
def put_scanned_words(
    text: U8, cells: U64, column: Int, known: U8, places: I64, slots: I32, records: U64, word: Int
) -> None:
    """Write one categorical column of a scan.

    Parameters
    ----------
    text, cells, column
        What a scan found, and which column of the cells to read.
    known, places, slots
        The words that have a code; see `nextbest.features.kernels.words`.
    records, word
        uint64[n, words], and which of its words to write.
    """
    for i in range(len(cells)):
        place = np.int64(cells[i, column])
        if place == ABSENT:
            records[i, word] = _MISSING
            continue
        code = slots[find_word(text, place, known, places, slots)]
        records[i, word] = np.uint64(code - 1) if code else _UNKNOWN
