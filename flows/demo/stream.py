"""The demo's events on disk: Parquet files that only ever become more.

    DATA_DIR/events/baskets-000000-000300.parquet      what `--limit 300` needed
    DATA_DIR/events/baskets-000300-155659.parquet      what a later run added

A limit decides how much of the year is written, nothing else; the flow reads on where it was.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow.parquet as pq

from ...features.errors import StateError
from . import journey

_FILE = re.compile(r"baskets-(\d{6})-(\d{6})\.parquet")
_WEEK_US = 7 * 86_400_000_000
_ROW_GROUP = 65_536


class Written(NamedTuple):
    """The event files as they stand."""

    files: list[Path]
    baskets: int
    events: int
    shift_weeks: int
    is_new: bool


class _Record(msgspec.Struct):
    """What `demo.json` keeps: it also says that the directory is the demo's."""

    version: int
    shift_weeks: int


def record_path(data_dir: Path) -> Path:
    """Return the file that marks a data directory as the demo's."""
    return data_dir / "demo.json"


def shift_weeks(last_us: int, now_us: int) -> int:
    """Return by how many whole weeks times move so that the last lies within 7 days of now.

    >>> shift_weeks(0, 15 * 86_400_000_000)
    2
    """
    return (now_us - last_us) // _WEEK_US


def write_events(data_dir: Path, limit: int | None) -> Written:
    """Write what is missing of the first ``limit`` baskets (None: all), in log order.

    Raises
    ------
    StateError
        If the files and the demo's record do not fit together.
    """
    directory = data_dir / "events"
    directory.mkdir(parents=True, exist_ok=True)
    extent = journey.extent()
    record = _load(data_dir)
    if record is None:
        weeks = shift_weeks(extent.last_us, time.time_ns() // 1000)
        record = _Record(version=1, shift_weeks=weeks)
        record_path(data_dir).write_bytes(msgspec.json.encode(record))
    baskets, files = _find(directory)
    wanted = extent.baskets if limit is None else min(limit, extent.baskets)
    events = sum(pq.read_metadata(file).num_rows for file in files)
    is_new = wanted > baskets
    if is_new:
        table = journey.build_events(wanted, record.shift_weeks).slice(events)
        file = directory / f"baskets-{baskets:06d}-{wanted:06d}.parquet"
        unfinished = directory / f"_{file.name}"
        pq.write_table(table, unfinished, row_group_size=_ROW_GROUP)
        unfinished.replace(file)
        files.append(file)
        baskets, events = wanted, events + table.num_rows
    return Written(files, baskets, events, record.shift_weeks, is_new)


def _load(data_dir: Path) -> _Record | None:
    path = record_path(data_dir)
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Record)
    except msgspec.DecodeError as error:
        raise StateError(f"{path}: damaged: {error}; begin anew with --fresh") from None


def _find(directory: Path) -> tuple[int, list[Path]]:
    """How many baskets there are, and in which files."""
    end, files = 0, []
    for file in sorted(directory.iterdir()):
        match = _FILE.fullmatch(file.name)
        if match is None:
            continue
        if int(match[1]) != end:
            raise StateError(
                f"{directory}: the baskets from {end:,} to {int(match[1]):,} are gone; "
                "begin anew with --fresh"
            )
        end = int(match[2])
        files.append(file)
    return end, files
