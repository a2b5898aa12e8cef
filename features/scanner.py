"""From lines of JSON to cells, a row an event, without a Python object for any of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .arrow_columns import MAX_CHARACTERS, MAX_TEXT, TIME_TYPE
from .event_check import BLANK
from .events import EXTRA, RESERVED, EventSchema, PropertyType
from .kernels import scan
from .kernels.layout import MAX_ID_BYTES
from .kernels.scan import C_ORDINAL, C_TIME, FIRST_PROPERTY, Form, Names
from .kernels.text import last_word
from .kernels.words import ABSENT, LENGTH_BITS, copy_texts, encode_words

# Text that JSON quotes as it is.
_AS_IT_IS = re.compile(r'[^\x00-\x1f"\\]+')
_KINDS: dict[PropertyType, int] = {
    "float": scan.FLOAT,
    "int": scan.INT,
    "bool": scan.BOOL,
    "string": scan.TEXT,
}
_RESERVED_KINDS = (scan.ID, scan.TIME, scan.ID, scan.TYPE, scan.TEXT, scan.OBJECT)
_LONGEST = (MAX_ID_BYTES, 0, MAX_ID_BYTES, 0xFFFF, MAX_CHARACTERS["channel"], 0)
_SPACE = np.uint8(ord(" "))
_SHORTEST = len('{"event_id":"1","event_timestamp":1,"customer_id":"1","type":"v"}')
_NEWLINE = np.uint8(ord("\n"))
_NO_NUMBER = np.float64(np.nan).view(np.uint64)
_NO_TEXT = np.int64(ABSENT).view(np.uint64)


class Scanned(NamedTuple):
    """What a scan found in a chunk.

    Attributes
    ----------
    text
        uint8[m]: the chunk.
    cells
        uint64[n, keys]: the regular lines, as `nextbest.features.kernels.scan` has them.
    irregular
        int64[k, 4]: which record and line each of the others is, and where it lies.
    columns
        Which of the cells a column of the canonical table is made of.
    """

    text: npt.NDArray[np.uint8]
    cells: npt.NDArray[np.uint64]
    irregular: npt.NDArray[np.int64]
    columns: Mapping[str, int]

    @property
    def ordinals(self) -> npt.NDArray[np.int64]:
        """int64[n]: which of the chunk's records the regular lines are."""
        return self.cells[:, C_ORDINAL].view(np.int64)


class LineScanner:
    """Read the regular lines of one schema's events, and find the others.

    A line is regular if it is what nearly every producer writes: an object of known keys, each
    once, its strings ASCII without escapes, its numbers short and without exponents, and all of
    it valid.

    Parameters
    ----------
    schema
        What an event is.
    max_event_bytes
        The longest line.

    Examples
    --------
    >>> shop = EventSchema("shop", types=("view", "cart"), properties={"value": float})
    >>> scanner = LineScanner(shop, max_event_bytes=1000)
    >>> line = b'{"event_id":"1","event_timestamp":7,"customer_id":"ann","type":"cart"}'
    >>> found = scanner.scan(line + b"\\nnonsense\\n" + line, latest=8)
    >>> found.ordinals.tolist(), found.irregular.tolist()
    ([0, 2], [[1, 1, 71, 79]])
    >>> scanner.table(found)["customer_id"].to_pylist()
    ['ann', 'ann']
    """

    def __init__(self, schema: EventSchema, *, max_event_bytes: int) -> None:
        self.schema = schema
        kinds = [_KINDS[kind] for kind in schema.properties.values()]
        blank = [_NO_TEXT if kind == scan.TEXT else _NO_NUMBER for kind in kinds]
        keys = (*RESERVED, "properties", *schema.properties)
        types = [word for word in schema.types if _AS_IT_IS.fullmatch(word)]
        self._form = Form(
            names=_names([*keys, *types]),
            kinds=np.array([*_RESERVED_KINDS, *kinds], np.int64),
            longest=np.array([*_LONGEST, *(MAX_TEXT for _ in kinds)], np.int64),
            blank=np.array([_NO_TEXT] * FIRST_PROPERTY + blank, np.uint64),
            latest=0,
            most_bytes=max_event_bytes,
        )
        self._keys = len(keys)
        self._columns = {key: cell for cell, key in enumerate(keys) if key != "properties"}

    def scan(self, payload: bytes, *, latest: int) -> Scanned:
        """Read a chunk whose timestamps are at most ``latest``, microseconds."""
        text = np.frombuffer(payload, np.uint8)
        lines = int(np.count_nonzero(text == _NEWLINE)) + 1
        # Of blank lines there may be many more than of regular ones, which need no room.
        cells = np.empty((min(lines, len(text) // _SHORTEST + 1), self._keys), np.uint64)
        irregular = np.empty((lines, 4), np.int64)
        seen = np.full(self._keys, -1, np.int64)
        follow = np.zeros(self._keys + 2, np.int64)
        form = self._form._replace(latest=latest)
        regular, others = scan.scan_lines(text, form, cells, irregular, seen, follow)
        return Scanned(text, cells[:regular], irregular[:others], self._columns)

    def join(self, several: Sequence[Scanned]) -> Scanned:
        """Make one of what several scans found; their irregular lines are left out."""
        if len(several) == 1:
            return several[0]
        cells = np.concatenate([found.cells for found in several])
        sizes = np.array([len(found.text) for found in several])
        starts = np.repeat(np.cumsum(sizes) - sizes, [len(found.cells) for found in several])
        moves = starts.astype(np.uint64) << np.uint64(LENGTH_BITS)
        for cell, kind in enumerate(self._form.kinds):
            if kind in (scan.ID, scan.TYPE, scan.TEXT):
                cells[:, cell] += np.where(cells[:, cell] == _NO_TEXT, np.uint64(0), moves)
        text = np.concatenate([found.text for found in several])
        return Scanned(text, cells, several[0].irregular[:0], self._columns)

    def table(self, found: Scanned) -> pa.Table:
        """Make the canonical table of the regular lines; see `nextbest.features.codec`."""
        columns: dict[str, Any] = {}
        for name, cell in self._columns.items():
            kind = self._form.kinds[cell]
            if kind == scan.ID:
                columns[name] = _texts(found, cell)
            elif kind == scan.TIME:
                columns[name] = pa.array(found.cells[:, C_TIME].view(np.int64)).cast(TIME_TYPE)
            elif kind in (scan.TYPE, scan.TEXT):
                columns[name] = _words(found, cell)
            else:
                values = found.cells[:, cell].view(np.float64)
                columns[name] = pa.array(values, from_pandas=True)  # NaN is null
        columns[EXTRA] = pa.nulls(len(found.cells), pa.string())
        return pa.table(columns)


def count_records(payload: bytes) -> int:
    """Count the lines that are not blank, without making an object of any.

    >>> count_records(b'{"a":1}\\n \\r\\n\\n{"a":2}')
    2
    """
    text = np.frombuffer(payload, np.uint8)
    if not len(text):
        return 0
    ends = text == _NEWLINE
    # A line that begins with a visible byte is not blank: nearly all lines, tested at once.
    if text[0] <= _SPACE or np.count_nonzero(ends[:-1] & (text[1:] <= _SPACE)):
        return sum(1 for line in payload.split(b"\n") if line.strip(BLANK))
    return int(np.count_nonzero(ends)) + int(not ends[-1])


def _names(names: Sequence[str]) -> Names:
    texts = [name.encode() for name in names]
    lengths = np.array([len(text) for text in texts], np.int64)
    text = np.frombuffer(b"".join(texts), np.uint8)
    heads = [last_word(np.frombuffer(word[:8], np.uint8), 0) for word in texts]
    return Names(text, np.cumsum(lengths) - lengths, lengths, np.array(heads, np.uint64))


def _texts(found: Scanned, cell: int) -> Any:
    rows = len(found.cells)
    offsets = np.empty(rows + 1, np.int32)
    lengths = found.cells[:, cell] & np.uint64((1 << LENGTH_BITS) - 1)
    data = np.empty(int(lengths.sum()), np.uint8)
    copy_texts(found.text, found.cells, cell, offsets, data)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets.data), pa.py_buffer(data.data))


def _words(found: Scanned, cell: int) -> Any:
    rows = len(found.cells)
    places = np.empty(rows, np.int64)
    codes = np.empty(rows, np.int32)
    slots = np.zeros(2 << rows.bit_length(), np.int32)
    count = encode_words(found.text, found.cells, cell, places, slots, codes)
    text = found.text.data
    spoken = [
        str(text[place >> LENGTH_BITS :][: place & ((1 << LENGTH_BITS) - 1)], "ascii")
        for place in places[:count].tolist()
    ]
    words = pa.array(spoken, pa.string())
    indices: Any = pa.array(codes, mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, words)
