"""From when to when an archive has events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .archive import Archive, ArchiveFile, int64_of, read_tables
from .errors import SourceError


def event_times(archive: Archive) -> tuple[int, int] | None:
    """Return the times of the oldest and the newest event, microseconds; None: there are none.

    Raises
    ------
    SourceError
        If a file cannot be read.
    """
    found = [span for file in archive.files for span in _times(file)]
    if not found:
        return None
    return min(first for first, _ in found), max(last for _, last in found)


def _times(file: ArchiveFile) -> Iterator[tuple[int, int]]:
    """Yield the oldest and the newest time of parts of a file: what its statistics say."""
    try:
        metadata = pq.read_metadata(file.path)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{file.path}: cannot be read: {error}") from error
    place = metadata.schema.to_arrow_schema().get_field_index("event_timestamp")
    told: list[Any] = [
        None if place < 0 else metadata.row_group(group).column(place).statistics
        for group in range(metadata.num_row_groups)
        if metadata.row_group(group).num_rows
    ]
    if all(one is not None and one.has_min_max for one in told):
        yield from ((one.min_raw, one.max_raw) for one in told)
        return
    for table in read_tables(file, ("event_timestamp",)):
        times = int64_of(file, table, "event_timestamp")
        if len(times):
            yield int(times.min()), int(times.max())
