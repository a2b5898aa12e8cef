"""The entity frame of a historical request: keys and times, in an order that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df

from ..declaration import Entity
from ..entity_keys import key_column
from .errors import ComputedViewError, EntityFrameError

ROW = "__nextbest_row"
"""A hidden column: the number of a row, since DuckDB forgets the order."""
_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class EntityFrame:
    """Keys and times that features are wanted for.

    Attributes
    ----------
    frame
        The pandas frame with its times in UTC.
    table
        The same as Arrow, its times in microseconds.
    timestamp
        The name of the column of times.
    """

    frame: pd.DataFrame
    table: pa.Table
    timestamp: str

    @classmethod
    def of(cls, given: Any) -> EntityFrame:
        """Take a pandas frame; it is not changed.

        Raises
        ------
        EntityFrameError
            If it is no frame, a column stands twice or cannot be read, or times are none.
        """
        if not isinstance(given, pd.DataFrame):
            raise EntityFrameError(f"an entity frame is a pandas frame, not {type(given).__name__}")
        names = [str(name) for name in given.columns]
        for name in names:
            if names.count(name) > 1:
                raise EntityFrameError(f"column {name!r} stands twice in the entity frame")
        if ROW in names:
            raise EntityFrameError(f"column {ROW!r}: this name is reserved")
        schema = dict(zip(given.columns, given.dtypes, strict=True))
        timestamp: str = infer_event_timestamp_from_entity_df(schema)
        frame = given.reset_index(drop=True)
        frame[timestamp] = _utc(timestamp, frame[timestamp])
        try:
            table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
        except (pa.ArrowException, UnicodeEncodeError) as error:
            raise EntityFrameError(f"the entity frame cannot be read: {error}") from error
        place = table.column_names.index(timestamp)
        times = table[timestamp].cast(_TIME, safe=False)
        return cls(frame, table.set_column(place, timestamp, times), timestamp)

    @property
    def at(self) -> pa.Array[Any]:
        """The times, microseconds; null where a row has none."""
        return self.table[self.timestamp].combine_chunks().cast(pa.int64())

    @property
    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last time."""
        found: Any = pc.min_max(self.at).as_py()
        first, last = (
            None if us is None else pd.Timestamp(us, unit="us", tz="UTC").to_pydatetime()
            for us in (found["min"], found["max"])
        )
        return first, last

    def texts(self, view: str, entity: Entity, columns: Sequence[str]) -> pa.Array[Any]:
        """Return the key texts of the rows, null where a part is missing.

        Parameters
        ----------
        view
            For whom; named in errors.
        entity
            What the rows describe.
        columns
            The columns that hold its join keys, in declared order.

        Raises
        ------
        EntityFrameError
            If a column is missing.
        ComputedViewError
            If it holds no strings.
        """
        parts = []
        for name in columns:
            if name not in self.table.column_names:
                raise EntityFrameError(
                    f"{view} needs the column {name!r}, and the entity frame has "
                    f"{self.table.column_names}"
                )
            part = self.table[name].combine_chunks()
            kind = part.type.value_type if pa.types.is_dictionary(part.type) else part.type
            words = pa.types.is_string(kind) or pa.types.is_large_string(kind)
            if not words and not pa.types.is_string_view(kind) and part.null_count < len(part):
                raise ComputedViewError(f"{view} is keyed by strings; {name!r} holds {kind}")
            parts.append(part.cast(kind).cast(pa.string()))
        texts: pa.Array[Any] = key_column(entity, parts)
        return texts

    def numbered(self, columns: Sequence[str]) -> pd.DataFrame:
        """Return a frame of the times, these columns and the number of each row."""
        wanted = [name for name in columns if name in self.frame and name != self.timestamp]
        found = self.frame[[self.timestamp, *wanted]].copy()
        found[ROW] = np.arange(len(found))
        return found


def run_sql(query: str) -> pd.DataFrame:
    """Run an SQL query in DuckDB for an entity frame.

    Raises
    ------
    EntityFrameError
        If DuckDB refuses it.

    Examples
    --------
    >>> run_sql("SELECT 'ann' AS customer_id, 1 AS n").to_dict("list")
    {'customer_id': ['ann'], 'n': [1]}
    """
    import duckdb

    try:
        with duckdb.connect() as connection:
            return connection.execute(query).df()
    except duckdb.Error as error:
        raise EntityFrameError(f"the entity frame's query failed: {error}") from error


def positions_of(valid: pa.Array[Any]) -> npt.NDArray[np.int64]:
    """Return int64[m], the places of the true values."""
    return np.flatnonzero(valid.to_numpy(zero_copy_only=False)).astype(np.int64)


def _utc(name: str, times: Any) -> Any:
    """Make a column one of times in UTC, as Feast's DuckDB store does."""
    times = _of_pandas(times).infer_objects()
    kinds = pd.api.types
    if kinds.is_string_dtype(times) or kinds.is_object_dtype(times):
        try:
            times = pd.to_datetime(times, utc=True)
        except (ValueError, TypeError) as error:
            raise EntityFrameError(f"column {name!r} of the entity frame: {error}") from error
    if not kinds.is_datetime64_any_dtype(times):
        raise EntityFrameError(f"column {name!r} of the entity frame holds {times.dtype}, no times")
    if isinstance(times.dtype, pd.DatetimeTZDtype):
        return times.dt.tz_convert("UTC")
    return times.dt.tz_localize("UTC")


def _of_pandas(times: Any) -> Any:
    """Make a column of Arrow's times or dates, which pandas takes for no times, one of pandas'."""
    if not isinstance(times.dtype, pd.ArrowDtype):
        return times
    kind = times.dtype.pyarrow_dtype
    if pa.types.is_timestamp(kind):
        return pa.array(times).to_pandas()
    return pa.array(times).cast(pa.timestamp("s")).to_pandas() if pa.types.is_date(kind) else times
