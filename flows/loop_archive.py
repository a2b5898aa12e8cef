"""Finding a decision, and what came of it, in the archive of decisions and credits.

A decision's id says its time, and so where to look; see `loop_files`. Only if it is not there, or
nearby, all other files are asked, as long as there is time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ..features.errors import SourceError
from .decision.ids import parse_id
from .decision.record import DECISION, OUTCOME, Record, Response
from .decision.why import CreditTold, OutcomeSeen, WhatCame
from .loop_files import NEAR_US, Files, OutOfTimeError, Searching, deadline, in_time

_ROWS = 4096

_RECORD = msgspec.json.Decoder(Record)
_RESPONSE = msgspec.json.Decoder(Response)
_CREDITS = ("event_timestamp", "objective", "example", "revision", "action", "reward",
            "silence", "withdrawn")  # fmt: skip


class Archived(NamedTuple):
    """A decision of the archive: its record, its place in the log, and which part of the log."""

    record: Record
    position: int
    partition: str


class LoopArchive:
    """Reads an archive that a run with a strategy wrote, or is writing.

    It may be used by several threads; one after the other is served.

    Parameters
    ----------
    directory
        The archive: what is looked for is in ``decisions`` and ``credits`` below it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._partitions: dict[Path, Files] = {}
        self._lock = threading.Lock()

    @property
    def there(self) -> bool:
        """Whether any decision was archived."""
        return next((self._directory / "decisions").glob("partition=*/epoch-*"), None) is not None

    def decision(self, identifier: str, *, seconds: float | None = None) -> Archived | None:
        """Return a decision; None: the archive has it not.

        Parameters
        ----------
        identifier
            Its id.
        seconds
            For how long to look, at most; None: to the end.

        Raises
        ------
        RequestError
            If it is no decision's id.
        OutOfTimeError
            If not all files could be asked, and the others have it not.
        SourceError
            If the record is damaged; or nothing was found, and some files are damaged.
        """
        at = parse_id(identifier).at
        until = deadline(seconds)
        with self._searching():
            # What is near in any partition comes before what is far in one.
            later = []
            for files in self._of("decisions"):
                searching = Searching(files, at, at)
                found = self._first(files, searching.near(), at, identifier, until)
                if found is not None:
                    return found
                later.append((files, searching))
            for files, searching in later:
                found = self._first(files, searching.far(), at, identifier, until)
                if found is not None:
                    return found
            for files, _ in later:
                for fault in files.faults:
                    raise SourceError(f"it may be in {fault}")
        return None

    def came(self, record: Record, window_us: int, *, seconds: float | None = None) -> WhatCame:
        """Return what came of a decision.

        Parameters
        ----------
        record
            The decision.
        window_us
            For how long after it something may have come, microseconds.
        seconds
            For how long to look, at most; what was found by then is returned.
        """
        until = deadline(seconds)
        begin, end = record.at, record.at + window_us + NEAR_US
        outcomes: dict[str, OutcomeSeen] = {}
        told: dict[tuple[str, str], tuple[int, CreditTold]] = {}
        with self._searching():
            try:
                told_in, made_in = self._of("credits"), self._of("decisions")
                for files in told_in:
                    for i in Searching(files, begin, end).all(until):
                        files.read(i, lambda file: _credits(file, record.id, told))
                for files in made_in:
                    for i in Searching(files, begin, end).all(until):
                        files.read(i, lambda file: _outcomes(file, record, outcomes))
                complete = not any(files.faults for files in (*told_in, *made_in))
            except OutOfTimeError:
                complete = False
        return WhatCame(
            outcomes=sorted(outcomes.values(), key=lambda one: one.at),
            credits=sorted((one for _, one in told.values()), key=lambda c: (c.rank, c.at)),
            complete=complete,
        )

    def _first(
        self, files: Files, order: Iterator[int], at: int, identifier: str, until: float
    ) -> Archived | None:
        for i in in_time(order, until):
            if files.holds(i, at, at):
                found = files.read(i, lambda file: _decision(file, at, identifier))
                if found is not None:
                    position, text = found
                    try:
                        record = _RECORD.decode(text)
                    except msgspec.DecodeError as error:
                        raise SourceError(
                            f"{files.path(i)}: the record of {identifier} is damaged: {error}"
                        ) from None
                    return Archived(record, position, files.directory.name)
        return None

    @contextlib.contextmanager
    def _searching(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            finally:
                for files in self._partitions.values():
                    files.close()

    def _of(self, what: str) -> list[Files]:
        """Return the partitions, with the files that there are now."""
        found = []
        for path in sorted((self._directory / what).glob("partition=*")):
            files = self._partitions.get(path)
            if files is None:
                files = self._partitions[path] = Files(path)
            files.look()
            found.append(files)
        return found


def _groups(file: Any, name: str, low: Any, high: Any, *, raw: bool = False) -> list[int]:
    """Return the row groups in which a column may have a value from ``low`` to ``high``."""
    column = file.schema_arrow.get_field_index(name)
    metadata, found = file.metadata, []
    for group in range(metadata.num_row_groups):
        known = metadata.row_group(group).column(column).statistics
        if known is None or not known.has_min_max:
            found.append(group)
            continue
        least, most = (known.min_raw, known.max_raw) if raw else (known.min, known.max)
        if least <= high and most >= low:
            found.append(group)
    return found


def _rows(file: Any, groups: list[int], columns: list[str]) -> Iterator[Any]:
    if groups:
        yield from file.iter_batches(_ROWS, row_groups=groups, columns=columns)


def _like(column: Any, text: str) -> Any:
    """Return where a text is, or holds this one: a comparison would bring pandas."""
    return pc.match_substring(column, pattern=text)


def _decision(file: Any, at: int, identifier: str) -> tuple[int, str] | None:
    groups = _groups(file, "event_timestamp", at, at, raw=True)
    groups = [group for group in groups if _has(file, group, identifier)]
    for part in _rows(file, groups, ["position", "event_id", "type", "record"]):
        chosen = part.filter(_like(part["event_id"], identifier))
        columns = [chosen[name].to_pylist() for name in ("position", "event_id", "type", "record")]
        for position, name, kind, text in zip(*columns, strict=True):
            if name == identifier and kind == DECISION:
                return position, text
    return None


def _has(file: Any, group: int, identifier: str) -> bool:
    """Records are large: the ids are looked through first."""
    ids: Any = file.read_row_group(group, columns=["event_id"])["event_id"]
    return bool(pc.any(_like(ids, identifier)).as_py())


def _credits(
    file: Any, identifier: str, told: dict[tuple[str, str], tuple[int, CreditTold]]
) -> None:
    groups = _groups(file, "example", f"{identifier}/", f"{identifier}0")
    for part in _rows(file, groups, list(_CREDITS)):
        chosen = part.filter(pc.starts_with(part["example"], f"{identifier}/"))
        if not chosen.num_rows:
            continue
        columns = [chosen[name].to_pylist() for name in _CREDITS[1:]]
        times = chosen["event_timestamp"].cast(pa.int64()).to_pylist()
        for at, objective, example, revision, action, reward, silence, withdrawn in zip(
            times, *columns, strict=True
        ):
            before = told.get((objective, example))
            if before is not None and before[0] >= revision:
                continue
            with contextlib.suppress(ValueError):
                told[objective, example] = revision, CreditTold(
                    rank=int(example.rpartition("/")[2]), action=action, objective=objective,
                    reward=None if withdrawn else reward, silence=silence, at=at,
                )  # fmt: skip


def _outcomes(file: Any, record: Record, found: dict[str, OutcomeSeen]) -> None:
    groups = _groups(file, "customer_id", record.customer, record.customer)
    if not _groups(file, "type", OUTCOME, OUTCOME):
        return
    for part in _rows(file, groups, ["event_id", "event_timestamp", "customer_id", "type",
                                     "record"]):  # fmt: skip
        chosen = part.filter(_like(part["customer_id"], record.customer))
        columns = [
            chosen[name].to_pylist() for name in ("event_id", "customer_id", "type", "record")
        ]
        times = chosen["event_timestamp"].cast(pa.int64()).to_pylist()
        for at, name, customer, kind, text in zip(times, *columns, strict=True):
            if customer != record.customer or kind != OUTCOME:
                continue
            with contextlib.suppress(msgspec.DecodeError):
                own = _RESPONSE.decode(text)
                if own.decision_id == record.id:
                    found[name] = OutcomeSeen(
                        outcome_id=name, at=at, response=own.response, action=own.action,
                        value=own.value, corrects=own.corrects,
                    )  # fmt: skip
