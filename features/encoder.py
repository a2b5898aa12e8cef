"""From a table or a scan of events to the records that kernels read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .batch import EVENT_ID, FIXED_WORDS, ID_TEXT, MISSING, UNKNOWN, EventBatch
from .entity_keys import key_column
from .errors import SourceError
from .kernels.encode import (
    put_codes,
    put_identity,
    put_numbers,
    put_scanned_identity,
    put_scanned_words,
)
from .kernels.layout import MAX_ID_BYTES
from .kernels.records import arrange
from .kernels.scan import C_CUSTOMER_ID
from .kernels.words import LENGTH_BITS, put_words
from .plan import Plan
from .scanner import Scanned

_NO_BITMAP = np.empty(0, dtype=np.uint8)
_LENGTH = np.uint64((1 << LENGTH_BITS) - 1)
_MISSING = np.int64(MISSING).view(np.uint64)
_NO_NUMBER = np.float64(np.nan).view(np.uint64)


class _Words:
    """The strings of one column that features mention, as Arrow and as kernels look them up."""

    def __init__(self, words: Sequence[str]) -> None:
        texts = [word.encode() for word in words]
        lengths = np.array([len(text) for text in texts], np.int64)
        self.arrow = pa.array(words, pa.string())
        self.text = np.frombuffer(b"".join(texts), np.uint8)
        self.places = (np.cumsum(lengths) - lengths) << LENGTH_BITS | lengths
        self.slots = np.zeros(2 << len(words).bit_length(), np.int32)
        put_words(self.places, self.text, self.slots)


class RecordEncoder:
    """Encode tables of events for one plan's columns.

    Parameters
    ----------
    categorical
        ``(column, words)`` in the order of the record's words: ``type``, ``channel`` or a string
        property, and the strings that features mention. A string's code is its place in
        ``words``.
    numeric
        The float, int and bool properties that features read, in order.

    Examples
    --------
    >>> table = pa.table(
    ...     {
    ...         "event_id": ["e1", "e2"],
    ...         "event_timestamp": pa.array([10, 20], pa.timestamp("us", "UTC")),
    ...         "customer_id": ["ann", "ben"],
    ...         "type": ["cart", "view"],
    ...         "value": [9.5, None],
    ...     }
    ... )
    >>> encoder = RecordEncoder([("type", ("view", "cart"))], ["value"])
    >>> batch = encoder.encode(table, np.arange(2))
    >>> batch.timestamps.tolist(), batch.records[:, 6].tolist(), bytes(batch.ids)
    ([10, 20], [1, 0], b'annben')
    >>> batch.records[:, 7].view(np.float64).tolist()
    [9.5, nan]
    """

    def __init__(
        self, categorical: Sequence[tuple[str, tuple[str, ...]]], numeric: Sequence[str]
    ) -> None:
        self._categorical = [(name, _Words(words)) for name, words in categorical]
        self._numeric = tuple(numeric)
        self.words = FIXED_WORDS + len(self._categorical) + len(self._numeric)
        """How many 8-byte words a record has."""

    def encode(self, table: pa.Table, positions: npt.NDArray[np.int64]) -> EventBatch:
        """Encode events that an `EventDecoder` has accepted.

        Parameters
        ----------
        table
            n events in log order. A categorical or numeric column that it lacks is missing from
            every event.
        positions
            int64[n]: the events' places in the log.

        Raises
        ------
        SourceError
            If a reserved column is absent, has nulls or another type, or if an id is longer than
            65,535 bytes.
        """
        rows = table.num_rows
        records = np.empty((rows, self.words), dtype=np.uint64)
        event_text, event_offsets = _text(table, "event_id")
        ids, id_offsets = _text(table, "customer_id")
        timestamps = _timestamps(table)
        longest = put_identity(
            timestamps,
            np.ascontiguousarray(positions, dtype=np.int64),
            event_text,
            event_offsets,
            ids,
            id_offsets,
            records,
        )
        if longest >> LENGTH_BITS:
            raise SourceError(f"column 'customer_id' has an id of {longest} bytes")
        self.put_columns(table, records)
        return EventBatch(records, ids)

    def put_columns(self, table: pa.Table, records: npt.NDArray[np.uint64]) -> None:
        """Write the words of the plan's columns only, those behind the first `FIXED_WORDS`.

        Parameters
        ----------
        table
            n events; see `encode`.
        records
            uint64[n, words], C-contiguous.
        """
        word = FIXED_WORDS
        for name, known in self._categorical:
            _put_categorical(table, name, known.arrow, records, word)
            word += 1
        for name in self._numeric:
            _put_numeric(table, name, records, word)
            word += 1

    def encode_keyed(self, table: pa.Table, keys: pa.StringArray) -> EventBatch:
        """Encode events by the keys of another entity than the customer.

        Event ids and positions are left to be numbered: both are 0.

        Parameters
        ----------
        table
            n events in log order, as in `encode`; their ids are not needed.
        keys
            n strings of at most 65,535 bytes, none of them null.
        """
        rows = table.num_rows
        records = np.empty((rows, self.words), dtype=np.uint64)
        text, offsets = _text_of(keys)
        nothing = np.zeros_like(offsets)
        positions = np.zeros(rows, np.int64)
        put_identity(_timestamps(table), positions, text, nothing, text, offsets, records)
        records[:, EVENT_ID] = 0
        self.put_columns(table, records)
        return EventBatch(records, text)

    def encode_scanned(self, found: Scanned, positions: npt.NDArray[np.int64]) -> EventBatch:
        """Encode the regular lines of a scan, as `encode` does their table.

        Parameters
        ----------
        found
            n regular lines.
        positions
            int64[n]: the events' places in the log.
        """
        text, cells = found.text, found.cells
        records = np.empty((len(cells), self.words), dtype=np.uint64)
        ids = np.empty(int((cells[:, C_CUSTOMER_ID] & _LENGTH).sum()), np.uint8)
        put_scanned_identity(text, cells, positions, records, ids)
        word = FIXED_WORDS
        for name, known in self._categorical:
            cell = found.columns.get(name)
            if cell is None:
                records[:, word] = _MISSING
            else:
                put_scanned_words(
                    text, cells, cell, known.text, known.places, known.slots, records, word
                )
            word += 1
        for name in self._numeric:
            cell = found.columns.get(name)
            records[:, word] = _NO_NUMBER if cell is None else cells[:, cell]
            word += 1
        return EventBatch(records, ids)


class KeyEncoder:
    """Encode tables of events for the plan of another entity than the customer.

    Parameters
    ----------
    plan
        Of the entity.

    Examples
    --------
    >>> from nextbest.features import Catalog, Entity, EventSchema, FeatureView
    >>> from nextbest.features import aggregations as agg
    >>> shop = EventSchema("shop", types=("view",), properties={"product": str})
    >>> product = Entity("product", ["product"])
    >>> views = FeatureView(name="v", source=shop, entity=product, features=[agg.count("n")])
    >>> encoder = KeyEncoder(Plan.compile(Catalog(name="demo", views=[views])))
    >>> table = pa.table(
    ...     {"event_timestamp": [10, 20, 30], "product": ["tea", None, 999 * "x"]},
    ... )
    >>> batch, too_long = encoder.encode(table, np.ones(3, np.bool_))
    >>> batch.timestamps.tolist(), bytes(batch.ids), too_long
    ([10], b'tea', 1)
    """

    def __init__(self, plan: Plan) -> None:
        self._entity = plan.catalog.entity
        self._records = RecordEncoder(plan.categorical, plan.numeric)
        read = (name for name, _ in plan.categorical)
        self._columns = tuple(
            dict.fromkeys(("event_timestamp", *self._entity.join_keys, *read, *plan.numeric))
        )

    def encode(self, table: pa.Table, chosen: npt.NDArray[np.bool_]) -> tuple[EventBatch, int]:
        """Encode those of the chosen events that have a key.

        Parameters
        ----------
        table
            n events in log order that an `EventDecoder` has accepted.
        chosen
            bool[n].

        Returns
        -------
        batch, too_long
            The events by their keys, without ids and positions (`RecordEncoder.encode_keyed`);
            how many chosen events have a key of more than `MAX_ID_BYTES`.
        """
        names = [name for name in self._columns if name in table.schema.names]
        if not set(self._entity.join_keys) <= set(names):
            return EventBatch(np.empty((0, self._records.words), np.uint64), _NO_BITMAP), 0
        keys = key_column(self._entity, [_key(table, name) for name in self._entity.join_keys])
        given = chosen & keys.is_valid().to_numpy(zero_copy_only=False)
        sizes = pc.binary_length(keys).fill_null(0).to_numpy()
        fits = given & (sizes <= MAX_ID_BYTES)
        table = table.select(names)
        if not fits.all():
            mask = pa.array(fits)
            table, keys = table.filter(mask), keys.filter(mask)
        return self._records.encode_keyed(table, keys), int(given.sum() - fits.sum())


def merge(one: EventBatch, other: EventBatch, order: npt.NDArray[np.int64]) -> EventBatch:
    """Unite two batches; ``order`` (int64[n]) says which record of both comes first, and so on."""
    records = np.concatenate([one.records, other.records])
    records[len(one) :, ID_TEXT] += np.uint64(len(one.ids) << LENGTH_BITS)
    ids = np.concatenate([one.ids, other.ids])
    out, out_ids = np.empty_like(records), np.empty_like(ids)
    arrange(records, ids, order, out, out_ids)
    return EventBatch(out, out_ids)


def _column(table: pa.Table, name: str) -> Any:
    """Return the column as one array; Arrow unites dictionaries that differ."""
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _required(table: pa.Table, name: str) -> Any:
    if name not in table.schema.names:
        raise SourceError(f"column {name!r} is missing")
    array = _column(table, name)
    if array.null_count:
        raise SourceError(f"column {name!r} has {array.null_count} nulls")
    return array


def _buffer(array: Any, at: int, dtype: Any, count: int) -> npt.NDArray[Any]:
    """View ``count`` values of an array's buffer from the array's own first row on."""
    buffer = array.buffers()[at]
    if buffer is None:
        return np.zeros(count, dtype=dtype)
    return np.frombuffer(buffer, dtype, count, array.offset * np.dtype(dtype).itemsize)


def _bitmap(array: Any) -> npt.NDArray[np.uint8]:
    return np.frombuffer(array.buffers()[0], np.uint8) if array.null_count else _NO_BITMAP


def _text(table: pa.Table, name: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
    """Return the bytes of the column's strings, uncopied, and where in them each begins."""
    array = _required(table, name)
    try:
        return _text_of(array)
    except pa.ArrowException:
        raise SourceError(f"column {name!r} is {array.type}, not string") from None


def _key(table: pa.Table, name: str) -> Any:
    """Return a join key of all events; the empty channel is none, as for features."""
    array = _column(table, name).cast(pa.string())
    if name == "channel":
        array = pc.if_else(pc.equal(array, pa.scalar("")), None, array)
    return array


def _text_of(array: Any) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
    """As `_text`, of an array without nulls."""
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        array = array.cast(pa.string())
    width = np.int64 if pa.types.is_large_string(array.type) else np.int32
    offsets = _buffer(array, 1, width, len(array) + 1)
    buffer = array.buffers()[2]
    text = _NO_BITMAP if buffer is None else np.frombuffer(buffer, np.uint8)
    # A slice of a large table must not carry the whole table's text to another process.
    return text[offsets[0] : offsets[-1]], offsets - offsets[0]


def _timestamps(table: pa.Table) -> npt.NDArray[np.int64]:
    array = _required(table, "event_timestamp")
    unit = array.type.unit if pa.types.is_timestamp(array.type) else None
    if unit != "us" and not pa.types.is_int64(array.type):
        raise SourceError(f"column 'event_timestamp' is {array.type}, not timestamp[us]")
    return _buffer(array, 1, np.int64, len(array))


def _put_categorical(
    table: pa.Table, name: str, known: Any, records: npt.NDArray[np.uint64], word: int
) -> None:
    if name not in table.schema.names:
        records[:, word] = _MISSING
        return
    array = _column(table, name)
    if not pa.types.is_dictionary(array.type):
        array = array.cast(pa.string()).dictionary_encode()
    spoken = array.dictionary.cast(pa.string())
    codes = pc.index_in(spoken, value_set=known).fill_null(UNKNOWN).to_numpy().astype(np.int64)
    missing = pc.equal(spoken, pa.scalar("")) if name == "channel" else spoken.is_null()
    codes[missing.fill_null(True).to_numpy(zero_copy_only=False)] = MISSING
    indices = array.indices.cast(pa.int32())
    put_codes(
        _buffer(indices, 1, np.int32, len(indices)),
        codes,
        _bitmap(indices),
        indices.offset,
        records,
        word,
    )


def _put_numeric(table: pa.Table, name: str, records: npt.NDArray[np.uint64], word: int) -> None:
    if name not in table.schema.names:
        records.view(np.float64)[:, word] = np.nan
        return
    array = _column(table, name)
    if not pa.types.is_float64(array.type):
        array = array.cast(pa.float64(), safe=False)
    values = _buffer(array, 1, np.uint64, len(array))
    put_numbers(values, _bitmap(array), array.offset, records, word)
