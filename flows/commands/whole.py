"""Whether an archive holds all events that its data directory has taken in."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ...features.archive import Archive
from ...features.errors import StateError
from ..rebuild import committed_files, count_events
from ..recovered import read_recovered
from ..run import FORMAT
from ..settings import Settings
from .quiet import without_native_reports


def check_whole(settings: Settings) -> None:
    """Check that history can be made of the archive; a run may be under way.

    An archive without the rest of a data directory is taken as it is: nothing tells what it lacks.
    So is one without files: where it is read, that is said better.

    Parameters
    ----------
    settings
        The data directory.

    Raises
    ------
    StateError
        If it holds other events than were taken in, or what was taken in cannot be read.
    SourceError
        If a file of the archive cannot be read.
    """
    stores = sorted(settings.recovery_dir.glob("*.sqlite3"))
    shards = _shards(settings)
    directory = settings.archive_dir / "events"
    if shards is None or not stores or not any(directory.glob("partition=*/*.parquet")):
        return
    with tempfile.TemporaryDirectory() as name:
        copy = msgspec.structs.replace(settings, data_dir=Path(name), shards=shards)
        _copy(settings, stores, copy)
        partitions = {int(path.name.partition("=")[2]) for path in directory.glob("partition=*")}
        try:
            with without_native_reports():
                found = read_recovered(copy, partitions, 0)
        except StateError as error:
            raise StateError(str(error).replace(name, str(settings.data_dir))) from None
    files = committed_files(Archive(directory), found.archived)
    held, taken = count_events(files, found.shards)
    if held != taken:
        raise StateError(
            f"the archive holds {held:,} of the {taken:,} events taken in: files are missing or "
            "are not this data directory's, or it was off for a time (NEXTBEST_ARCHIVE)"
        )


def _shards(settings: Settings) -> int | None:
    """The number that the state is of; None if there is none that this release can read."""
    try:
        if (settings.data_dir / "format").read_text().strip() != str(FORMAT):
            return None
        return int((settings.data_dir / "shards").read_text())
    except (OSError, ValueError):
        return None


def _copy(settings: Settings, stores: Sequence[Path], copy: Settings) -> None:
    """Copy what tells of the last snapshot: the engine writes to what it reads."""
    for name in ("format", "shards"):
        shutil.copy(settings.data_dir / name, copy.data_dir / name)
    copy.recovery_dir.mkdir()
    for path in stores:
        # Who writes has a log beside it; without one, nothing needs to be made there to read.
        how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
        address = f"{path.absolute().as_uri()}?{how}"
        try:
            with (
                contextlib.closing(sqlite3.connect(address, uri=True)) as theirs,
                contextlib.closing(sqlite3.connect(copy.recovery_dir / path.name)) as ours,
            ):
                theirs.backup(ours)
        except sqlite3.Error as error:
            raise StateError(f"{path}: cannot be read: {error}") from None
