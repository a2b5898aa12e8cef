"""Training tables: a file of queries becomes the same file with features, however long it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from .archive import Archive
from .archive_times import event_times
from .catalog import Catalog
from .declaration import Entity, Feature, FeatureView
from .durable import named_errors, sync_path
from .entity_keys import key_column
from .errors import SettingsError
from .kernels.read import PRESENT
from .replay import backfill
from .replay_queries import read_queries
from .state import FeatureRows

_STATES = pa.array(["present", "missing", "expired"])
_TYPES: dict[str, Any] = {"int64": pa.int64(), "float64": pa.float64(), "string": pa.string()}
_LEAST_ROWS = 1024
_FURTHEST = 2**62  # microseconds: no time of an event


@dataclass(frozen=True, slots=True)
class Training:
    """What a table of features is made of.

    Attributes
    ----------
    catalog
        The declarations.
    archive
        The directory that holds ``partition=*``.
    features
        ``"view:feature"`` or ``"view"``; None: all of the catalog's, of whichever entity.
    known
        The queries' column of log positions, to read as known; None: as of the time.
    at
        One time for all queries, microseconds; None: that of their column ``event_timestamp``.
    states
        Whether to add a column that says of each feature whether it is present.
    threads, memory_bytes, spill_directory
        See `nextbest.features.replay.backfill`.
    """

    catalog: Catalog
    archive: Path
    features: Sequence[str] | None = None
    known: str | None = None
    at: int | None = None
    states: bool = False
    threads: int | None = None
    memory_bytes: int = 1 << 30
    spill_directory: Path | None = None

    @property
    def chosen(self) -> tuple[tuple[FeatureView, Feature], ...]:
        """The chosen features, in order."""
        refs = self.features or [view.name for view in self.catalog.views]
        return self.catalog.select(refs)

    @property
    def join_keys(self) -> tuple[str, ...]:
        """The columns that queries need to name what is asked about."""
        keys = [key for view, _ in self.chosen for key in view.entity.join_keys]
        return tuple(dict.fromkeys(keys))

    def fields(self) -> list[Any]:
        """Return the Arrow fields that are added to a query, in order.

        Raises
        ------
        SettingsError
            If two features would have one column.
        """
        fields = []
        named: dict[str, str] = {}
        for view, feature in self.chosen:
            ref = f"{view.name}:{feature.name}"
            kinds = [(_name(view, feature), _TYPES[feature.dtype])]
            if self.states:
                kinds.append((f"{_name(view, feature)}__state", pa.string()))
            for name, kind in kinds:
                if name in named:
                    raise SettingsError(
                        f"{named[name]} and {ref} would both have a column {name!r}: choose one"
                    )
                named[name] = ref
                fields.append(pa.field(name, pa.list_(kind) if feature.is_vector else kind))
        return fields

    def answer(
        self, queries: pa.Table, on_progress: Callable[[float], None] | None = None
    ) -> pa.Table:
        """Return the queries with the features' columns behind theirs.

        Raises
        ------
        NextbestError
            As `backfill`, or if a column that is needed is missing or of another type.
        """
        self.check(queries.schema)
        times = self.times(queries)
        known = None if self.known is None else _positions(queries, self.known)
        found: dict[str, Any] = {}
        entities = {view.entity.name: view.entity for view, _ in self.chosen}
        for number, entity in enumerate(entities.values()):

            def tell(done: float, number: int = number) -> None:
                if on_progress is not None:
                    on_progress((number + done) / len(entities))

            own = [(v, f) for v, f in self.chosen if v.entity.name == entity.name]
            rows = backfill(
                self.catalog, self.archive, _keys(queries, entity), times,
                known=known, features=[f"{v.name}:{f.name}" for v, f in own], entity=entity.name,
                threads=self.threads, memory_bytes=self.memory_bytes,
                spill_directory=self.spill_directory, on_progress=tell,
            )  # fmt: skip
            found |= self._columns(own, rows)
        for field in self.fields():
            queries = queries.append_column(field, found[field.name])
        return queries

    def check(self, schema: Any) -> None:
        """Check that queries have what they must, and nothing that the features would hide.

        Raises
        ------
        SettingsError
            Naming the column.
        """
        needed = [*self.join_keys]
        if self.at is None:
            needed.append("event_timestamp")
        if self.known is not None:
            needed.append(self.known)
        for name in needed:
            if name not in schema.names:
                raise SettingsError(f"the queries have no column {name!r}")
        for name in [*schema.names, *(field.name for field in self.fields())]:
            if schema.get_all_field_indices(name) not in ([], [schema.get_field_index(name)]):
                raise SettingsError(f"the queries have the column {name!r} more than once")
        for field in self.fields():
            if field.name in schema.names:
                raise SettingsError(f"the queries have a column {field.name!r} already")

    def times(self, queries: pa.Table) -> npt.NDArray[np.int64]:
        """Return int64[n]: the time of each query, microseconds.

        Raises
        ------
        SettingsError
            If their column is of another type, or has nulls.
        """
        if self.at is not None:
            return np.full(queries.num_rows, self.at, np.int64)
        column = queries.column("event_timestamp")
        if not (pa.types.is_timestamp(column.type) or pa.types.is_integer(column.type)):
            raise SettingsError(
                f"column 'event_timestamp' of the queries is {column.type}, not a timestamp or "
                "integer microseconds"
            )
        if column.null_count:
            raise SettingsError("column 'event_timestamp' of the queries has nulls")
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
        return np.asarray(column.cast(pa.int64()).to_numpy())

    def _columns(
        self, own: Sequence[tuple[FeatureView, Feature]], rows: FeatureRows
    ) -> dict[str, Any]:
        made = {}
        start = 0
        for view, feature in own:
            stop = start + len(feature.columns)
            values, state = rows.values[:, start:stop], rows.state[:, start:stop]
            made[_name(view, feature)] = feature_array(feature, values, state)
            if self.states:
                words = pa.DictionaryArray.from_arrays(state.reshape(-1), _STATES)
                column = _as_lists(feature, words.cast(pa.string()), stop - start)
                made[f"{_name(view, feature)}__state"] = column
            start = stop
        return made


def feature_array(
    feature: Feature, values: npt.NDArray[np.float64], state: npt.NDArray[np.uint8]
) -> Any:
    """Return a feature as Arrow means it: integers, floats or words, lists of them for a vector.

    Parameters
    ----------
    feature
        Which.
    values, state
        float64 and uint8[n, width]: what was read. A value is null unless it is present.

    Examples
    --------
    >>> from nextbest.features import aggregations as agg
    >>> word = agg.last("word", of="category", vocabulary=["tea", "coffee"])
    >>> read = np.array([[1.0], [np.nan]]), np.array([[0], [1]], np.uint8)
    >>> feature_array(word, *read).to_pylist()
    ['coffee', None]
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    absent = np.ascontiguousarray(state).reshape(-1) != PRESENT
    array: Any
    if feature.dtype == "float64":
        array = pa.array(flat, pa.float64(), mask=absent)
    else:
        whole = np.where(absent, 0.0, flat).astype(np.int64)
        array = pa.array(whole, pa.int64(), mask=absent)
    if feature.dtype == "string":
        words = pa.array(feature.vocabulary, pa.string())
        array = pa.DictionaryArray.from_arrays(array, words).cast(pa.string())
    return _as_lists(feature, array, values.shape[1])


@dataclass(frozen=True, slots=True)
class Written:
    """What `backfill_to` wrote.

    Attributes
    ----------
    rows
        How many.
    before
        How many of them are as of a time before the archive's first event: everything in them is
        missing, whatever happened then.
    after
        How many are read at a time after its last event: what happened between is not in them.
    """

    rows: int
    before: int
    after: int


def backfill_to(
    training: Training,
    queries: str | Path | None,
    out: str | Path,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> Written:
    """Write a Parquet file of queries and their features, in the order of the queries.

    Queries are taken in blocks that fit in memory; the archive is read once for each block.

    Parameters
    ----------
    training
        What to compute.
    queries
        Parquet, or CSV if the name ends in ``.csv``, with the join keys and ``event_timestamp``;
        its other columns are kept. None: everything that had an event up to ``training.at``.
    out
        The file to be written; it appears whole, or not at all.
    on_progress
        Called with 0 to 1 as it goes on.

    Returns
    -------
    Written
        How many rows were written, and how many of them at times that the archive knows nothing of.

    Raises
    ------
    NextbestError
        If anything cannot be read, used or written; the message names it.
    """
    final = Path(out)
    width = sum(len(feature.columns) for _, feature in training.chosen)
    most_rows = max(_LEAST_ROWS, training.memory_bytes // 2 // (32 * width + 256))
    half = replace(
        training,
        memory_bytes=max(1 << 20, training.memory_bytes // 2),
        spill_directory=training.spill_directory or final.absolute().parent,
    )
    rows = before = after = 0
    known_times: tuple[int, int] | None = None
    with _whole_file(final) as write:
        for table, total in read_queries(training, queries, most_rows):
            done = rows

            def tell(
                part: float, done: int = done, n: int = table.num_rows, of: int = total
            ) -> None:
                if on_progress is not None:
                    on_progress(min(1.0, (done + part * n) / max(of, done + n, 1)))

            write(half.answer(table, tell))
            rows += table.num_rows
            if known_times is None:
                known_times = event_times(Archive(training.archive)) or (_FURTHEST, -_FURTHEST)
            times = training.times(table)
            # As known, rows are told by their place in the log and not by a time.
            before += 0 if training.known is not None else int((times < known_times[0]).sum())
            after += int((times > known_times[1]).sum())
    if on_progress is not None:
        on_progress(1.0)
    return Written(rows, before, after)


@contextlib.contextmanager
def _whole_file(final: Path) -> Iterator[Callable[[pa.Table], None]]:
    """Write tables to a file that gets its name at the end, and vanishes if there is an error."""
    unfinished = final.with_name(f".{final.name}.tmp")
    writer: pq.ParquetWriter | None = None

    def write(table: pa.Table) -> None:
        nonlocal writer
        with named_errors(final):
            writer = writer or pq.ParquetWriter(unfinished, table.schema, compression="zstd")
            writer.write_table(table)

    try:
        yield write
        with named_errors(final):
            assert writer is not None  # there is at least one table, if an empty one
            writer.close()
            sync_path(unfinished)
            unfinished.rename(final)
            sync_path(final.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            if writer is not None:
                writer.close()
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def _name(view: FeatureView, feature: Feature) -> str:
    return f"{view.name}__{feature.name}"


def _as_lists(feature: Feature, array: Any, width: int) -> Any:
    if not feature.is_vector:
        return array
    offsets = np.arange(len(array) // width + 1, dtype=np.int32) * np.int32(width)
    return pa.ListArray.from_arrays(pa.array(offsets), array)


def _keys(queries: pa.Table, entity: Entity) -> Any:
    parts = []
    for name in entity.join_keys:
        column = queries.column(name).combine_chunks()
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise SettingsError(f"column {name!r} of the queries is {column.type}, not string")
        if column.null_count:
            raise SettingsError(f"column {name!r} of the queries has nulls")
        parts.append(column)
    return key_column(entity, parts)


def _positions(queries: pa.Table, name: str) -> npt.NDArray[np.int64]:
    column = queries.column(name)
    if not pa.types.is_integer(column.type) or column.null_count:
        raise SettingsError(f"column {name!r} of the queries must be log positions, without nulls")
    return np.asarray(column.cast(pa.int64()).to_numpy())
