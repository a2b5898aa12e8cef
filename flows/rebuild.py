"""State made anew from the archive of accepted events, and its rows published.

The archive holds what customers' rows accepted, in log order, once. Applied to empty rows of
whatever declaration it gives the rows that this declaration would have had from the beginning.
The exception: what was not archived (events that were refused, properties that were not declared
when they came) is missing.

Knows no dataflow engine; `nextbest.flows.recovered` has the next run go on from what is made here.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ..features.archive import (
    Archive,
    ArchiveFile,
    check_columns,
    columns_of,
    int64_of,
    late_of,
    read_tables,
)
from ..features.batch import EventBatch
from ..features.durable import named_errors, sync_path
from ..features.encoder import KeyEncoder, RecordEncoder
from ..features.errors import SourceError, StateError
from ..features.plans import Plans
from .assemble import Verdict
from .decode import ShardEvents
from .entities import EntityEvents, EntityLogic
from .featurize import ShardLogic
from .settings import Settings
from .shard import CUSTOMERS, Origin, Shard, Snapshot
from .steps import state_directory

_EVENTS_A_SNAPSHOT = 1 << 22
"""Files that were merged go at a snapshot only."""

_PREFIX = "rebuilt-"
_WHY = (
    "files are missing or are not this data directory's, or the archive was off for a time "
    "(NEXTBEST_ARCHIVE). Restore them, or begin in another data directory"
)
_FILE = re.compile(r"epoch-(\d{8,})\.parquet")


class Shards(NamedTuple):
    """Rebuilt shards, and how many events they are made of.

    ``snapshots`` are by entity (`CUSTOMERS` for customers) and number.
    """

    snapshots: dict[tuple[str, int], Snapshot]
    events: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """Events of one partition: the customers', which were late, and other entities'."""

    partition: int
    batch: EventBatch
    late: npt.NDArray[np.bool_]
    keyed: dict[str, tuple[EventBatch, int]]


def committed_files(
    archive: Archive | None, archived: Mapping[int, int]
) -> tuple[ArchiveFile, ...]:
    """Return the files of an archive that a run would go on behind, in log order.

    Parameters
    ----------
    archive
        None: there is none.
    archived
        By partition, the number of the next file.
    """
    return tuple(
        file
        for file in (() if archive is None else archive.files)
        if (named := _FILE.fullmatch(file.path.name)) is None
        or int(named[1]) < archived.get(file.partition, 0)
    )


def rebuild_shards(
    plans: Plans,
    settings: Settings,
    generation: str,
    files: Sequence[ArchiveFile],
    before: Mapping[tuple[str, int], Snapshot],
    *,
    threads: int | None = None,
    on_file: Callable[[int, int], None] = lambda files, events: None,
) -> Shards:
    """Make the state of all shards from archived events, in a directory of its own.

    Parameters
    ----------
    plans
        The declaration that the state is to be of.
    settings
        The data directory, the number of shards and the memory for rows.
    generation
        Of the new state; see `begin_generation`.
    files
        What `committed_files` returned.
    before
        The shards' last snapshots, by entity and number: the events must be those that they
        counted.
    threads
        How many shards work at once; None: one a processor.
    on_file
        Told how many files and events are done.

    Raises
    ------
    SourceError
        If a file cannot be read or is not an archive's.
    StateError
        If the archive holds other events than the shards have taken in, or what was late in it is
        not late under this declaration or the other way round; if the disk fails.
    """
    try:
        _check_whole(files, before)
        with ThreadPoolExecutor(threads or os.cpu_count() or 1, "rebuild") as pool:
            return _Rebuild(plans, settings, generation, before, pool).run(files, on_file)
    except BaseException:
        shutil.rmtree(settings.state_dir / generation, ignore_errors=True)
        raise


def begin_generation(settings: Settings, live: set[str]) -> str:
    """Make a directory for new state; remove those that a rebuild left without an end.

    Parameters
    ----------
    settings
        Whose.
    live
        The generations that snapshots name.

    Raises
    ------
    StateError
        If the disk is full or fails.
    """
    with named_errors(settings.state_dir):
        settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in settings.state_dir.glob(f"{_PREFIX}*"):
            if path.name not in live:
                shutil.rmtree(path)
        numbers = [int(name.removeprefix(_PREFIX)) for name in live if name.startswith(_PREFIX)]
        generation = f"{_PREFIX}{max(numbers, default=0) + 1}"
        (settings.state_dir / generation).mkdir(mode=0o700)
    return generation


def end_generations(settings: Settings, generation: str) -> None:
    """Remove the state of all shards but that of one generation.

    Raises
    ------
    StateError
        If the system does not remove it.
    """
    with named_errors(settings.state_dir):
        for path in settings.state_dir.iterdir():
            if path.name == generation:
                continue
            if path.is_dir() and path.name.startswith((_PREFIX, "entity-")):
                shutil.rmtree(path)
            elif path.name.startswith("shard-"):
                path.unlink()


def count_events(
    files: Sequence[ArchiveFile], before: Mapping[tuple[str, int], Snapshot]
) -> tuple[int, int]:
    """Return how many events the files hold, and how many the shards have taken in.

    Raises
    ------
    SourceError
        If a file cannot be read.
    """
    held = sum(_rows_of(file) for file in files)
    taken = sum(sum(s["counts"][:2]) for (entity, _), s in before.items() if entity == CUSTOMERS)
    return held, taken


def _check_whole(files: Sequence[ArchiveFile], before: Mapping[tuple[str, int], Snapshot]) -> None:
    """Check how many events there are before anything is made of them."""
    held, taken = count_events(files, before)
    if held != taken:
        raise StateError(f"the archive holds {held:,} of the {taken:,} events taken in: {_WHY}")


def _rows_of(file: ArchiveFile) -> int:
    try:
        return int(pq.read_metadata(file.path).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{file.path}: cannot be read: {error}") from error


class _Rebuild:
    """All shards at once, fed with the archive."""

    def __init__(
        self,
        plans: Plans,
        settings: Settings,
        generation: str,
        before: Mapping[tuple[str, int], Snapshot],
        pool: ThreadPoolExecutor,
    ) -> None:
        self._plans = plans
        self._settings = settings
        self._origin = Origin(generation, plans.schema_id)
        self._before = before
        self._pool = pool
        self._shards = settings.shards
        named = {CUSTOMERS: plans.customer} | {p.catalog.entity.name: p for p in plans.others}
        shared: dict[str, Any] = {
            "memory_bytes": settings.memory_bytes // (self._shards * len(named)),
            "idle_seconds": settings.idle_seconds,
            "publishes": False,  # rows in the middle of their history are not for readers
            "origin": self._origin,
        }
        self._logics: dict[tuple[str, int], Shard] = {}
        for entity, plan in named.items():
            make = EntityLogic if entity else ShardLogic
            directory = state_directory(settings, self._origin, entity)
            for shard in range(self._shards):
                self._logics[entity, shard] = make(plan, shard, directory, **shared)
        self._encoder = RecordEncoder(plans.customer.categorical, plans.customer.numeric)
        self._keyed = {plan.catalog.entity.name: KeyEncoder(plan) for plan in plans.others}
        columns = [("event_id", "customer_id", "late"), columns_of(plans.customer)]
        columns += [(*columns_of(p), *p.catalog.entity.join_keys) for p in plans.others]
        self._columns = tuple(dict.fromkeys(name for several in columns for name in several))

    def run(self, files: Sequence[ArchiveFile], on_file: Callable[[int, int], None]) -> Shards:
        """Apply all files; return what was made."""
        events, since = 0, 0
        working: list[Future[None]] = []
        newest: dict[int, int] = {}
        try:
            for done, file in enumerate(files):
                on_file(done, events)
                for piece in self._read(file, newest):
                    # Read and encoded while the shards apply the one before.
                    _finish(working)
                    if since >= _EVENTS_A_SNAPSHOT:
                        self._snapshots()
                        since = 0
                    working = self._begin(piece)
                    events += len(piece.batch)
                    since += len(piece.batch)
            _finish(working)
            on_file(len(files), events)
            snapshots = self._as_before(self._snapshots())
        finally:
            wait(working)
            for logic in self._logics.values():
                logic.store.close()
        self._sync()
        return Shards(snapshots, events)

    def _read(self, file: ArchiveFile, newest: dict[int, int]) -> Iterator[_Piece]:
        """Yield the events of a file, which must be behind the partition's ``newest``."""
        for table in read_tables(file, self._columns):
            if not table.num_rows:
                continue
            positions = int64_of(file, table, "position")
            after = newest.get(file.partition, -1)
            if positions[0] <= after or (np.diff(positions) <= 0).any():
                raise SourceError(f"{file.path}: the events are not in log order")
            newest[file.partition] = int(positions[-1])
            for plan in (self._plans.customer, *self._plans.others):
                check_columns(file, table, plan)
            everything = np.ones(len(positions), np.bool_)
            try:
                batch = self._encoder.encode(table, positions)
                keyed = {
                    entity: encoder.encode(table, everything)
                    for entity, encoder in self._keyed.items()
                }
            except (pa.ArrowException, SourceError) as error:
                raise SourceError(f"{file.path}: {error}") from error
            yield _Piece(file.partition, batch, late_of(file, table), keyed)

    def _begin(self, piece: _Piece) -> list[Future[None]]:
        """Have the shards apply events, each its own."""
        begin = self._pool.submit
        working = [
            begin(self._apply, shard, part, order, piece)
            for shard, part, order in piece.batch.split(self._shards)
        ]
        for entity, (batch, too_long) in piece.keyed.items():
            parts = {shard: part for shard, part, _ in batch.split(self._shards)}
            if too_long:
                # As in a run, the first shard counts them.
                parts.setdefault(0, EventBatch(batch.records[:0], batch.ids[:0]))
            working += [
                begin(self._apply_keyed, entity, shard, part, 0 if shard else too_long)
                for shard, part in parts.items()
            ]
        return working

    def _apply(
        self, shard: int, batch: EventBatch, order: npt.NDArray[np.int64], piece: _Piece
    ) -> None:
        part = ShardEvents(shard, 0, batch, None, 0.0, piece.partition, order)
        for out in self._logics[CUSTOMERS, shard].on_events(part):
            if isinstance(out, Verdict):
                late = np.zeros(len(piece.batch), np.bool_)
                late[out.late] = True
                wrong = order[late[order] != piece.late[order]]
                at = min([*wrong.tolist(), *out.dropped.tolist()], default=None)
                if at is not None:
                    raise self._unlike(piece, at, dropped=at in out.dropped, late=bool(late[at]))

    def _unlike(self, piece: _Piece, at: int, *, dropped: bool, late: bool) -> StateError:
        position = int(piece.batch.positions[at])
        where = f"partition {piece.partition}, position {position}"
        if dropped:
            return StateError(
                f"{where}: the archive holds an event twice; it is not what a run left behind"
            )
        now, then = ("late", "on time") if late else ("on time", "late")
        return StateError(
            f"{where}: an event that was {then} when it came is {now} under this declaration, and "
            "training replays it as it was: keep the lateness that was declared, or begin in "
            "another data directory"
        )

    def _apply_keyed(self, entity: str, shard: int, batch: EventBatch, too_long: int) -> None:
        part = EntityEvents(entity, shard, batch, 0.0, too_long)
        for _ in self._logics[entity, shard].on_events(part):
            pass  # nobody is to be told

    def _snapshots(self) -> dict[tuple[str, int], Snapshot]:
        for logic in self._logics.values():
            logic.prepare()
        return {which: logic.snapshot() for which, logic in self._logics.items()}

    def _as_before(
        self, snapshots: dict[tuple[str, int], Snapshot]
    ) -> dict[tuple[str, int], Snapshot]:
        """Check that the shards hold what was taken in, and say what no archive knows."""
        for shard in range(self._shards):
            made, last = snapshots[CUSTOMERS, shard], self._before.get((CUSTOMERS, shard))
            accepted, late, duplicates = (0, 0, 0) if last is None else last["counts"]
            held, taken = sum(made["counts"]), accepted + late
            position = -1 if last is None else int(last["position"])
            if held != taken or made["position"] > position:
                raise StateError(
                    f"the archive holds {held:,} of the {taken:,} events that shard {shard} has "
                    f"taken in, up to position {made['position']} of {position}: {_WHY}"
                )
            made["position"] = position  # that of a duplicate, perhaps
            made["counts"][2] = duplicates
        return snapshots

    def _sync(self) -> None:
        """Wait until the names of all directories are on disk; each shard did so for its files."""
        place = self._settings.state_dir
        for directory in (place / self._origin.generation, place, place.parent):
            with named_errors(directory):
                sync_path(directory)


def _finish(working: Sequence[Future[None]]) -> None:
    """Wait for what shards do; raise what the first of them raised."""
    wait(working)
    for each in working:
        each.result()
