"""The archive of accepted events, as it lies on disk: ``partition=K/*.parquet``.

Files are immutable and complete; names that begin with a dot or an underscore are not looked at.
A file that was written under an older declaration may lack a property: it is missing from its
events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .batch import KEY_1, EventBatch
from .declaration import Entity
from .encoder import RecordEncoder
from .entity_keys import key_column
from .errors import SourceError
from .kernels.layout import MAX_ID_BYTES
from .plan import Plan

BATCH_ROWS = 1 << 16
"""Events that are read at a time, at most."""

_PARTITION = re.compile(r"partition=(\d+)")
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
_NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_null)


class ArchiveFile(NamedTuple):
    """One file and the partition of the log that its events are of."""

    path: Path
    partition: int


class ArchivedBatch(NamedTuple):
    """Events of one partition in log order; ``late`` is bool[n]: which were late when they came."""

    events: EventBatch
    late: npt.NDArray[np.bool_]


class Archive:
    """An archive, as its files are when it is made: one that appears later is not seen.

    Parameters
    ----------
    directory
        That which holds ``partition=*``.

    Attributes
    ----------
    files
        In the order of partition and log.
    partitions
        The partitions that have files, ascending.

    Raises
    ------
    SourceError
        If there is no such directory, or there are no files in it.

    Examples
    --------
    >>> Archive("/no/such/archive")
    Traceback (most recent call last):
        ...
    nextbest.features.errors.SourceError: /no/such/archive: there is no such directory
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        if not self.directory.is_dir():
            raise SourceError(f"{self.directory}: there is no such directory")
        try:
            self.files = tuple(_files(self.directory))
        except OSError as error:
            raise SourceError(f"{self.directory}: cannot be read: {error.strerror}") from error
        if not self.files:
            raise SourceError(
                f"{self.directory}: no archived events, which lie in partition=K/*.parquet"
            )
        self.partitions = tuple(sorted({file.partition for file in self.files}))

    def of(self, partition: int) -> tuple[ArchiveFile, ...]:
        """Return the files of a partition, in log order."""
        return tuple(file for file in self.files if file.partition == partition)

    def last_position(self, partition: int) -> int:
        """Return the log position of a partition's last event, -1 if it has none.

        Raises
        ------
        SourceError
            If its last file cannot be read.
        """
        for file in reversed(self.of(partition)):
            newest = -1
            for table in read_tables(file, ("position",)):
                if table.num_rows:
                    newest = max(newest, int(int64_of(file, table, "position").max()))
            if newest >= 0:
                return newest
        return -1

    def batches(
        self, plan: Plan, partition: int, *, after: int = -1, shard: int = 0, shards: int = 1
    ) -> Iterator[ArchivedBatch]:
        """Yield a partition's events in log order, encoded for a plan.

        Parameters
        ----------
        plan
            Of any entity: an event without the entity's key is left out.
        partition
            Which.
        after
            Only events behind this log position.
        shard, shards
            Only the events of one shard of so many.

        Raises
        ------
        SourceError
            If a file cannot be read, lacks a column that every event has, has one of another type,
            or is not in log order; the message names it.
        """
        encoder = RecordEncoder(plan.categorical, plan.numeric)
        entity = plan.catalog.entity
        names = ("event_id", *columns_of(plan), *entity.join_keys)
        last = after
        for file in self.of(partition):
            for table in read_tables(file, (*names, "late")):
                positions = int64_of(file, table, "position")
                if len(positions) and after >= 0:
                    table = table.filter(pa.array(positions > after))
                    positions = positions[positions > after]
                if not len(positions):
                    continue
                if positions[0] <= last or (np.diff(positions) <= 0).any():
                    raise SourceError(f"{file.path}: the events are not in log order")
                last = int(positions[-1])
                yield from _encode(file, table, entity, encoder, shard, shards)


def columns_of(plan: Plan) -> tuple[str, ...]:
    """Return the columns of the archive that a plan's records are made from."""
    return ("event_timestamp", "position", *(name for name, _ in plan.categorical), *plan.numeric)


def read_tables(
    file: ArchiveFile, columns: Sequence[str], limit: tuple[str, int] | None = None
) -> Iterator[pa.Table]:
    """Yield the tables of a file, of at most `BATCH_ROWS` rows.

    Parameters
    ----------
    file
        Which.
    columns
        What to read, as far as the file has it. Text that the file holds as a dictionary is read
        as one.
    limit
        An integer column or time, and its greatest value of interest: parts of the file in which
        all is greater are passed over.

    Raises
    ------
    SourceError
        Naming the file, and what is wrong with it.
    """
    wanted = tuple(dict.fromkeys(columns))
    try:
        with pa.OSFile(str(file.path), "r") as source:
            metadata = pq.read_metadata(source)
            schema = metadata.schema.to_arrow_schema()
            present = [name for name in wanted if name in schema.names]
            words = _dictionaries(metadata, schema, present)
            opened = pq.ParquetFile(
                source, metadata=metadata, read_dictionary=words, page_checksum_verification=True
            )
            for groups in _groups(metadata, schema, limit):
                if sum(metadata.row_group(group).num_rows for group in groups) <= BATCH_ROWS:
                    yield opened.read_row_groups(groups, present, use_threads=False)
                    continue
                for batch in opened.iter_batches(
                    BATCH_ROWS, row_groups=groups, columns=present, use_threads=False
                ):
                    yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{file.path}: cannot be read: {error}") from error


def check_columns(file: ArchiveFile, table: pa.Table, plan: Plan) -> None:
    """Check the types of what a plan reads.

    Raises
    ------
    SourceError
        Naming the file and the column.
    """
    for name, _ in plan.categorical:
        _check(file, table, name, _TEXTS, "string")
    for name in plan.numeric:
        _check(file, table, name, _NUMBERS, "a number")


def keys_of(file: ArchiveFile, table: pa.Table, entity: Entity) -> Any:
    """Return the keys of n events, an Arrow array of text, null where an event has no key.

    A key that is too long for a row is none: online, too, no row was made of it.

    Raises
    ------
    SourceError
        If customers have no name, or a key is not text.
    """
    parts = []
    for name in entity.join_keys:
        if name not in table.column_names:
            if name == "customer_id":
                raise SourceError(f"{file.path}: column 'customer_id' is missing")
            return pa.nulls(table.num_rows, pa.string())
        _check(file, table, name, _TEXTS, "string")
        parts.append(_single(table.column(name)))
    if entity.is_customer:
        if parts[0].null_count:
            raise SourceError(f"{file.path}: column 'customer_id' has nulls")
        return parts[0]
    return _fitting(parts[0] if len(parts) == 1 else key_column(entity, parts))


def _fitting(keys: Any) -> Any:
    different = keys.dictionary if pa.types.is_dictionary(keys.type) else keys
    if (pc.max(pc.binary_length(different)).as_py() or 0) <= MAX_ID_BYTES:
        return keys
    texts = keys.cast(pa.string())
    fits = pc.less_equal(pc.binary_length(texts), pa.scalar(MAX_ID_BYTES, pa.int32()))
    return pc.if_else(fits, texts, pa.scalar(None, pa.string()))


def int64_of(file: ArchiveFile, table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    """Return a column of times or integers as int64[n].

    Raises
    ------
    SourceError
        If it is missing, of another type, or has nulls.
    """
    kind = "timestamp[us, tz=UTC]" if name == "event_timestamp" else "int64"
    array = _required(file, table, name)
    if str(array.type) != kind:
        raise SourceError(f"{file.path}: column {name!r} is {array.type}, not {kind}")
    return array.cast(pa.int64()).to_numpy()  # type: ignore[no-any-return]


def late_of(file: ArchiveFile, table: pa.Table) -> npt.NDArray[np.bool_]:
    """Return bool[n], which events were late when they came.

    Raises
    ------
    SourceError
        If the column is missing, of another type, or has nulls.
    """
    array = _required(file, table, "late")
    if not pa.types.is_boolean(array.type):
        raise SourceError(f"{file.path}: column 'late' is {array.type}, not bool")
    return array.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _files(directory: Path) -> Iterator[ArchiveFile]:
    partitions = [
        (int(match[1]), child)
        for child in directory.iterdir()
        if (match := _PARTITION.fullmatch(child.name))
    ]
    for partition, child in sorted(partitions):
        paths = [path for path in child.glob("*.parquet") if path.name[0] not in "._"]
        # Numbers have leading zeros, until there are more digits.
        for path in sorted(paths, key=lambda path: (len(path.name), path.name)):
            yield ArchiveFile(path, partition)


def _dictionaries(metadata: Any, schema: Any, names: Sequence[str]) -> list[str]:
    """Find the text that was written as dictionaries: others would have to be made first."""
    if not metadata.num_row_groups:
        return []
    first = metadata.row_group(0)
    return [
        name
        for name in names
        if any(check(schema.field(name).type) for check in _TEXTS[:2])
        and first.column(schema.names.index(name)).has_dictionary_page
    ]


def _groups(metadata: Any, schema: Any, limit: tuple[str, int] | None) -> list[list[int]]:
    """Return the row groups that may matter, those together that fit in a table."""
    place = None if limit is None else schema.get_field_index(limit[0])

    def may_matter(group: int) -> bool:
        if limit is None or place is None or place < 0:
            return True
        statistics = metadata.row_group(group).column(place).statistics
        if statistics is None or not statistics.has_min_max:
            return True
        least = statistics.min_raw
        return not isinstance(least, int) or least <= limit[1]

    together: list[list[int]] = []
    rows = 0
    for group in range(metadata.num_row_groups):
        if not may_matter(group):
            continue
        own = metadata.row_group(group).num_rows
        if not together or rows + own > BATCH_ROWS:
            together.append([])
            rows = 0
        together[-1].append(group)
        rows += own
    return together


def _encode(
    file: ArchiveFile,
    table: pa.Table,
    entity: Entity,
    encoder: RecordEncoder,
    shard: int,
    shards: int,
) -> Iterator[ArchivedBatch]:
    keys = keys_of(file, table, entity)
    if keys.null_count:
        known = keys.is_valid()
        table, keys = table.filter(known), keys.filter(known)
    if "customer_id" in table.column_names:
        table = table.drop_columns("customer_id")
    table = table.append_column("customer_id", keys.cast(pa.string()))
    try:
        batch = encoder.encode(table, int64_of(file, table, "position"))
    except (pa.ArrowException, SourceError) as error:
        raise SourceError(f"{file.path}: {error}") from error
    late = late_of(file, table)
    if shards > 1:
        own = batch.records[:, KEY_1] % np.uint64(shards) == shard
        batch, late = EventBatch(batch.records[own], batch.ids), late[own]
    if len(batch):
        yield ArchivedBatch(batch, late)


def _required(file: ArchiveFile, table: pa.Table, name: str) -> Any:
    if name not in table.column_names:
        raise SourceError(f"{file.path}: column {name!r} is missing")
    array = _single(table.column(name))
    if array.null_count:
        raise SourceError(f"{file.path}: column {name!r} has nulls")
    return array


def _check(file: ArchiveFile, table: pa.Table, name: str, kinds: Sequence[Any], meant: str) -> None:
    if name not in table.column_names:
        return
    given = table.schema.field(name).type
    kind = given.value_type if pa.types.is_dictionary(given) else given
    if not any(check(kind) for check in kinds):
        raise SourceError(f"{file.path}: column {name!r} is {given}, not {meant}")


def _single(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
