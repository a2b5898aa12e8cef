"""Reading queries block by block, from a file or from the archive itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from .archive import Archive, int64_of, keys_of, read_tables
from .arrow_columns import TIME_TYPE
from .declaration import Entity
from .errors import SettingsError, SourceError

if TYPE_CHECKING:
    from .replay_table import Training

_BATCH_ROWS = 1 << 14
_UNITE = 1 << 18  # rows of keys that are held before repetitions are dropped

_MISFIT = re.compile(r"In CSV column #(\d+): .*conversion error")
_WIDER = {
    pa.null(): pa.int64(),
    pa.int64(): pa.float64(),
    pa.date32(): pa.timestamp("s"),
    pa.timestamp("s"): pa.timestamp("ns"),
    pa.timestamp("s", "UTC"): pa.timestamp("ns", "UTC"),
}
"""What a column is taken for where a row does not fit in what it was; else for text."""


def read_queries(
    training: Training, queries: str | Path | None, most_rows: int
) -> Iterator[tuple[pa.Table, int]]:
    """Yield tables of queries and about how many there are in all; at least one, if an empty one.

    Parameters
    ----------
    training
        What is asked.
    queries
        The file; None: all that had an event up to the time.
    most_rows
        Of a table.

    Raises
    ------
    SettingsError
        If columns are missing.
    SourceError
        If the file cannot be read; the message names it.
    """
    if queries is None:
        yield from _everyone(training, most_rows)
        return
    path = Path(queries)
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    try:
        is_csv = path.suffix.lower() == ".csv"
        source, total = _open_csv(path, training) if is_csv else _open_parquet(path)
        training.check(source.schema)
        yield from ((table, total) for table in _blocks(source, most_rows, training.memory_bytes))
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path}: cannot be read: {error}") from error
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


class _Source:
    """Record batches of one schema."""

    def __init__(self, schema: Any, batches: Iterator[Any]) -> None:
        self.schema = schema
        self.batches = batches


def _open_parquet(path: Path) -> tuple[_Source, int]:
    file = pq.ParquetFile(path)
    return _Source(file.schema_arrow, file.iter_batches(_BATCH_ROWS)), file.metadata.num_rows


def _open_csv(path: Path, training: Training) -> tuple[_Source, int]:
    keys: dict[str, Any] = dict.fromkeys(training.join_keys, pa.string())  # also where all digits
    kinds, rows = _csv_kinds(path, keys)
    for name, kind in (("event_timestamp", TIME_TYPE), (training.known, pa.int64())):
        if name in kinds and pa.types.is_null(kinds[name]):
            kinds[name] = kind  # there is no row, or none says it
    reader = _csv_reader(path, kinds)
    return _Source(reader.schema, iter(reader)), rows


def _csv_reader(path: Path, kinds: dict[str, Any]) -> Any:
    return csv.open_csv(path, convert_options=csv.ConvertOptions(column_types=kinds))


def _csv_kinds(path: Path, known: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Return the type of each column that all of its rows fit in, and how many rows there are.

    Arrow takes a column for what its first block looks like.
    """
    kinds = dict(known)
    schema: Any = None
    while True:
        try:
            reader = _csv_reader(path, kinds)
            schema = reader.schema
            rows = sum(batch.num_rows for batch in reader)
        except pa.ArrowInvalid as error:
            column = _MISFIT.search(str(error))
            if schema is None or column is None:
                raise
            field = schema.field(int(column[1]))
            kind = kinds.get(field.name, field.type)
            if pa.types.is_string(kind):
                raise
            kinds[field.name] = _WIDER.get(kind, pa.string())
        else:
            return dict(zip(schema.names, schema.types, strict=True)), rows


def _blocks(source: _Source, most_rows: int, memory_bytes: int) -> Iterator[pa.Table]:
    held: list[Any] = []
    rows = size = 0
    is_first = True
    for batch in source.batches:
        start = 0
        while start < batch.num_rows:
            part = batch.slice(start, most_rows - rows)
            start += part.num_rows
            rows += part.num_rows
            size += part.nbytes
            held.append(part)
            if rows == most_rows or size > memory_bytes // 4:
                yield pa.Table.from_batches(held)
                held, rows, size, is_first = [], 0, 0, False
    if held or is_first:
        yield pa.Table.from_batches(held, source.schema)


def _everyone(training: Training, most_rows: int) -> Iterator[tuple[pa.Table, int]]:
    """Yield all that had an event up to the time, in the order of their keys."""
    entities = {view.entity.name: view.entity for view, _ in training.chosen}
    if training.at is None:
        raise SettingsError("name queries, or a time for everything that had an event before it")
    if training.known is not None:
        raise SettingsError("log positions come from queries: name a file of them")
    if len(entities) > 1:
        raise SettingsError(
            f"the features are of {' and '.join(entities)}: choose those of one entity"
        )
    keys = _known_keys(Archive(training.archive), next(iter(entities.values())), training.at)
    for start in range(0, max(1, keys.num_rows), most_rows):
        part = keys.slice(start, most_rows)
        times = pa.array(np.full(part.num_rows, training.at)).cast(TIME_TYPE)
        yield part.append_column("event_timestamp", times), keys.num_rows


def _known_keys(archive: Archive, entity: Entity, at: int) -> pa.Table:
    names = list(entity.join_keys)
    schema = pa.schema([(name, pa.string()) for name in names])
    known = [schema.empty_table()]
    rows = 0
    for file in archive.files:
        for table in read_tables(file, (*names, "event_timestamp"), ("event_timestamp", at)):
            keys = keys_of(file, table, entity)
            seen = (int64_of(file, table, "event_timestamp") <= at) & keys.is_valid().to_numpy(
                zero_copy_only=False
            )
            if seen.any():
                known.append(table.filter(pa.array(seen)).select(names).cast(schema))
                rows += int(seen.sum())
            if rows > _UNITE:
                known, rows = [_different(known, names)], 0
    return _different(known, names).sort_by([(name, "ascending") for name in names])


def _different(tables: list[pa.Table], names: list[str]) -> pa.Table:
    return pa.concat_tables(tables).group_by(names).aggregate([]).select(names)
