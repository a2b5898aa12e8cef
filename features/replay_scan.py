"""From the archive's files to the records that queries ask for, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .archive import (
    ArchiveFile,
    check_columns,
    columns_of,
    int64_of,
    keys_of,
    late_of,
    read_tables,
)
from .encoder import RecordEncoder
from .errors import SettingsError, SourceError
from .kernels.hashing import hash_strings
from .kernels.keys import find_slots
from .kernels.layout import FIXED_WORDS, I64, POSITION, TIMESTAMP, U64
from .kernels.replay import SLOT, SOURCE, put_keys
from .plan import Plan

_NEVER = np.iinfo(np.int64).min
_MOSTLY = 0.7


class Queries:
    """Who is asked about, up to when.

    Parameters
    ----------
    ids
        n key texts: strings, or an Arrow array of them.
    until
        int64[n]: the greatest event time, or log position, that each may see.

    Attributes
    ----------
    slots
        int64[n]: which thing each query is about, from 1 on.
    things
        How many different ones there are.
    last
        int64[things + 1]: the greatest limit of each; of slot 0, which is nobody's, the least.

    Raises
    ------
    SettingsError
        If the ids are not strings.
    """

    def __init__(self, ids: Sequence[str] | pa.Array[Any], until: I64) -> None:
        texts = _as_texts(ids)
        if len(texts) != len(until):
            raise SettingsError(f"{len(texts)} ids and {len(until)} times: one of each a query")
        encoded = texts.dictionary_encode()
        keys = hash_texts(encoded.dictionary)
        self._table: U64 = np.zeros((1 << (4 * len(keys) + 4).bit_length(), 4), np.uint64)
        given = np.empty(len(keys), np.int64)
        self.things = int(put_keys(keys, self._table, given))
        self.slots: I64 = given[encoded.indices.to_numpy()] if len(keys) else given
        self.last: I64 = np.full(self.things + 1, _NEVER, np.int64)
        np.maximum.at(self.last, self.slots, until)

    def find(self, keys: Any) -> I64:
        """Return the slots (0: nobody asks) of an Arrow array of texts or a dictionary of them."""
        if pa.types.is_dictionary(keys.type):
            slots = np.zeros(len(keys.dictionary) + 1, np.int64)  # the last one is for nulls
            slots[:-1] = self._find(keys.dictionary)
            indices = (
                keys.indices.fill_null(len(keys.dictionary)) if keys.null_count else keys.indices
            )
            found: I64 = slots[indices.to_numpy()]
            return found
        return self._find(keys)

    def _find(self, texts: Any) -> I64:
        slots = np.empty(len(texts), np.int64)
        if texts.null_count:
            find_slots(self._table, hash_texts(texts.fill_null("")), slots)
            slots[texts.is_null().to_numpy(zero_copy_only=False)] = 0
        else:
            find_slots(self._table, hash_texts(texts), slots)
        return slots


def hash_texts(texts: Any) -> U64:
    """Return the keys (uint64[n, 2]) of an Arrow array of strings without nulls."""
    array = texts.cast(pa.large_string())
    keys = np.empty((len(array), 2), np.uint64)
    if len(array):
        _, offsets, data = array.buffers()
        starts = np.frombuffer(offsets, np.int64, len(array) + 1, 8 * array.offset)
        text = np.frombuffer(b"" if data is None else data, np.uint8)
        hash_strings(text, starts, keys[:, 0], keys[:, 1])
    return keys


@dataclass(frozen=True, slots=True)
class Scan:
    """Reads files for queries; any number of threads may do so at a time.

    Attributes
    ----------
    plan
        What records carry.
    queries
        Which of them are wanted.
    as_known
        Whether the queries' limits are log positions, and not times.
    """

    plan: Plan
    queries: Queries
    as_known: bool

    @property
    def words(self) -> int:
        """How many 8-byte words a record has."""
        return FIXED_WORDS + len(self.plan.categorical) + len(self.plan.numeric)

    def records(self, file: ArchiveFile) -> Iterator[U64]:
        """Yield the records (uint64[n, words]) of a file that queries ask for.

        Raises
        ------
        SourceError
            If the file cannot be read, or has columns of a wrong type; the message names it.
        """
        entity = self.plan.catalog.entity
        limit = ("position" if self.as_known else "event_timestamp", int(self.queries.last.max()))
        columns = (*entity.join_keys, *columns_of(self.plan))
        if not self.as_known:
            columns = (*columns, "late")
        encoder = RecordEncoder(self.plan.categorical, self.plan.numeric)
        for table in read_tables(file, columns, limit):
            times = int64_of(file, table, "event_timestamp")
            positions = int64_of(file, table, "position")
            check_columns(file, table, self.plan)
            slots = self.queries.find(keys_of(file, table, entity))
            mark = positions if self.as_known else times
            kept = np.flatnonzero(mark <= self.queries.last[slots])
            source = np.full(len(times), file.partition << 1, np.int64)
            if not self.as_known:
                source |= late_of(file, table)
            if not len(kept):
                continue
            few = len(kept) < _MOSTLY * len(times)
            if few:
                table = table.take(kept)
            records = np.empty((table.num_rows, self.words), np.uint64)
            try:
                encoder.put_columns(table, records)
            except pa.ArrowException as error:
                raise SourceError(f"{file.path}: {error}") from error
            if not few and len(kept) < len(records):
                records = records[kept]
            _put(records, TIMESTAMP, times[kept])
            _put(records, POSITION, positions[kept])
            _put(records, SLOT, slots[kept])
            _put(records, SOURCE, source[kept])
            yield records


def _put(records: U64, word: int, values: npt.NDArray[np.int64]) -> None:
    records[:, word] = values.view(np.uint64)


def _as_texts(ids: Sequence[str] | pa.Array[Any]) -> Any:
    if isinstance(ids, str):
        raise SettingsError(f"ids are one text {ids!r:.80}: give a list of them")
    try:
        texts = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.string())
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        kind = texts.type.value_type if pa.types.is_dictionary(texts.type) else texts.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or not len(texts)):
            raise SettingsError(f"ids are {texts.type}, not strings")
        if texts.null_count:
            raise SettingsError(f"{texts.null_count} ids are null")
        return texts.cast(pa.string())
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise SettingsError(f"ids must be strings: {error}") from error
