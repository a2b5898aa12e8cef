"""The files of one shard: a log that grows, sealed logs, runs, and what becomes of them.

A log-structured merge: rows are appended to the log; a log that has grown is sealed and merged
into a run; runs are merged into larger ones. Only the open log's end ever changes, so that a
manifest which names the files and that end is a snapshot of all of them.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from . import background
from .manifest import FORMAT, Manifest, Retirement, check_manifest, remove_others
from .merging import Merge, due_runs, read_sources, write_run
from .row_log import RowLog
from .runs import Run
from .state import ShardState

_MOST_RUNS = 24
_MOST_LOGS = 4


class ShardFiles:
    """What one shard keeps in a directory.

    Parameters
    ----------
    directory, shard
        Whose and where.
    schema_id
        Of the declaration.
    manifest
        The files that were committed; all others of the shard are removed. None: a new shard.

    Attributes
    ----------
    runs
        Newest first.

    Raises
    ------
    StateError
        If a file is missing, damaged or of another declaration.
    """

    def __init__(
        self, directory: Path, shard: int, schema_id: int, manifest: Manifest | None
    ) -> None:
        self._directory, self._shard, self._schema_id = directory, shard, schema_id
        self._incarnation = secrets.token_hex(4)  # no two ever write to a file of one name
        self._retirement = Retirement()
        self._merge: Merge | None = None
        self._syncing: tuple[Future[None], int] | None = None
        self._runs_before = 0
        self.runs: list[Run] = []
        self._sealed: list[RowLog] = []
        if manifest is None:
            self._begun = 0
            self._log = self._new_log()
        else:
            check_manifest(manifest, shard, schema_id)
            self._begun = int(manifest["files"])
            self.runs = [Run(directory / name, schema_id) for name in manifest["runs"]]
            *self._sealed, self._log = [RowLog(directory / n, end) for n, end in manifest["logs"]]
        named = {run.path.name for run in self.runs}
        named |= {log.path.name for log in (*self._sealed, self._log)}
        remove_others(directory, f"shard-{shard:04d}-*", named)

    @property
    def oldest_unmerged(self) -> int | None:
        """The oldest version of which a log holds rows; None if the runs hold all."""
        versions = [log.first_version for log in (*self._sealed, self._log)]
        return min((v for v in versions if v is not None), default=None)

    @property
    def newest_version(self) -> int:
        """The newest version of which a file holds rows, committed or not."""
        logged = [log.last_version for log in (*self._sealed, self._log)]
        return max([*logged, *(run.version for run in self.runs)], default=0)

    @property
    def logged_rows(self) -> int:
        """How many rows the logs hold, every version of them counted."""
        return sum(log.rows for log in (*self._sealed, self._log))

    @property
    def log_bytes(self) -> int:
        """How long the open log is, in bytes."""
        return self._log.pointer

    def load(self, state: ShardState) -> None:
        """Put the rows of all logs back.

        Raises
        ------
        StateError
            Naming file and offset of what is damaged.
        """
        for log in (*self._sealed, self._log):
            log.load(state)

    def append(self, state: ShardState, version: int) -> None:
        """Write the rows that changed to the open log, without waiting for the disk.

        Raises
        ------
        StateError
            If the disk is full or fails.
        """
        self._log.append(state, version)

    def begin_sync(self) -> None:
        """Begin what `sync` will wait for, beside what other shards begin."""
        if self._syncing is None:
            self._syncing = background.beside(self._log.sync), self._log.pointer

    def sync(self) -> None:
        """Wait until the open log is on disk.

        Raises
        ------
        StateError
            If the disk fails.
        """
        begun, self._syncing = self._syncing, None
        if begun is not None:
            begun[0].result()
        if begun is None or begun[1] != self._log.pointer:
            self._log.sync()

    def seal(self) -> None:
        """Begin another log, if the open one has rows.

        Raises
        ------
        StateError
            If the disk is full or fails.
        """
        if len(self._log):
            self.sync()
            self._sealed.append(self._log)
            self._log = self._new_log()

    def merge_logs(self) -> None:
        """Merge the sealed logs into a run at once, but those that are being merged already.

        Raises
        ------
        StateError
            If a log is damaged, or the disk is full or fails.
        """
        if self._merge is not None and self._merge.cancel():
            self._merge = None
        merging = self._merge.logs if self._merge is not None else ()
        logs = [log for log in self._sealed if log not in merging]
        if logs:
            path = self._next("run")
            rows = sum(log.rows for log in logs)
            sources = read_sources(logs, ())
            write_run(path, self._schema_id, rows, sources, threading.Event())
            self._replace(logs, (), path, 0)
        while len(self.runs) > _MOST_RUNS:
            self.advance()
            self.wait()

    def wait(self) -> None:
        """Wait for the merge in the background, and take its run over.

        Raises
        ------
        StateError
            As `merge_logs`.
        """
        if self._merge is not None:
            merge, self._merge = self._merge, None
            merge.result()
            place = len(self.runs) - self._runs_before
            self._replace(merge.logs, merge.runs, merge.path, place)

    def advance(self) -> None:
        """Take over a finished merge; begin the next one that is due.

        Raises
        ------
        StateError
            As `merge_logs`.
        """
        if self._merge is not None and (self._merge.done or len(self._sealed) > _MOST_LOGS):
            self.wait()
        if self._merge is None:
            logs = self._sealed
            runs = () if logs else self.runs[: due_runs(self.runs)]
            if logs or runs:
                self._runs_before = len(self.runs)
                self._merge = Merge(self._next("run"), self._schema_id, logs, runs)

    def snapshot(self, version: int, timeline: str) -> Manifest:
        """Count a snapshot and name what it consists of; obsolete files may go."""
        self._retirement.snapshot()
        logs = (*self._sealed, self._log)
        return {
            "format": FORMAT,
            "shard": self._shard,
            "schema": self._schema_id,
            "version": version,
            "timeline": timeline,
            "runs": [run.path.name for run in self.runs],
            "logs": [[log.path.name, log.pointer] for log in logs],
            "files": self._begun,
        }

    def close(self) -> None:
        """Give up a merge in the background and close the files."""
        if self._merge is not None:
            self._merge.stop()
            self._merge = None
        if self._syncing is not None:
            self._syncing[0].exception()
        for log in (*self._sealed, self._log):
            log.close()
        self.runs = []

    def _replace(self, logs: Sequence[RowLog], runs: Sequence[Run], path: Path, place: int) -> None:
        """Put a new run in place of what it was merged from."""
        self.runs.insert(place, Run(path, self._schema_id))
        self.runs = [run for run in self.runs if run not in runs]
        self._sealed = [log for log in self._sealed if log not in logs]
        for log in logs:
            log.close()
        for path in (*(log.path for log in logs), *(run.path for run in runs)):
            self._retirement.add(path)

    def _new_log(self) -> RowLog:
        return RowLog(self._next("log"), None)

    def _next(self, kind: str) -> Path:
        self._begun += 1
        name = f"shard-{self._shard:04d}-{self._begun:08d}-{self._incarnation}.{kind}"
        return self._directory / name
