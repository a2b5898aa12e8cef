"""What the processes of a cluster tell their supervisor, one JSON line each, and their sum."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec

from ...features.errors import SettingsError
from ...learners import LogLoss, MeanReward, RecentReward
from ..learn import Progress
from ..settings import Settings
from .inputs import Job
from .measures import Freshness, Measures

_REASONS = 20
_T = TypeVar("_T", bound=msgspec.Struct)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker process is to do: the first line of its standard input.

    Not arguments, which every user of the machine can read: a URL may hold a password.
    """

    job: Job
    settings: Settings
    url: str
    index: int = 0
    addresses: tuple[str, ...] = ()


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Everything is loaded and checked; the engine can be started."""


class Serving(msgspec.Struct, frozen=True, tag=True):
    """A service listens; which catalog it has."""

    catalog: str


class Stopping(msgspec.Struct, frozen=True, tag=True):
    """Somebody asked this process to stop: then all should."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """What ended a process: the kind of the error, its text, and if starting again is no use."""

    kind: str
    text: str
    lasts: bool = False


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The input ended, or was stopped, with a last snapshot."""


class Report(msgspec.Struct, frozen=True, tag=True):
    """What a process has done since it began; see `Measures`."""

    accepted: int = 0
    late: int = 0
    duplicates: int = 0
    dead: int = 0
    rows: int = 0
    fresh: dict[int, int] = {}
    reasons: dict[str, int] = {}
    too_long: dict[str, int] = {}
    loop: dict[str, int] = {}
    acted: dict[str, int] = {}
    progress: dict[str, Any] | None = None
    away: str | None = None
    away_seconds: float = 0.0
    compiling: str | None = None
    compiled_seconds: float = 0.0


Message: TypeAlias = Ready | Serving | Stopping | Failed | Ended | Report


def encode(thing: msgspec.Struct) -> bytes:
    """Write one line.

    Raises
    ------
    SettingsError
        If an order has a path that is not UTF-8.
    """
    if isinstance(thing, Failed):  # it may name any file
        thing = msgspec.structs.replace(thing, text=_written(thing.text))
    try:
        # Only paths are not known to it.
        return msgspec.json.encode(thing, enc_hook=str) + b"\n"
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"{_written(error.object)}: is not UTF-8, and other processes cannot be told of it; "
            "rename it, or name the directory that it is in"
        ) from None


def _written(text: str) -> str:
    """Return a text that has the bytes of a path in it as one that can be written."""
    return text.encode("utf-8", "backslashreplace").decode()


def decode_order(line: bytes, kind: type[_T]) -> _T:
    """Read an order of some kind."""
    return msgspec.json.decode(line, type=kind, dec_hook=lambda _, text: Path(text))


def decode_message(line: bytes) -> Message:
    """Read a message."""
    message: Message = msgspec.json.decode(line, type=Message)
    return message


def report_of(measures: Measures) -> Report:
    """Take down what a process has measured."""
    return Report(
        accepted=measures.accepted,
        late=measures.late,
        duplicates=measures.duplicates,
        dead=measures.dead,
        rows=measures.rows,
        fresh=measures.fresh.buckets(),
        reasons=dict(measures.reasons.most_common(_REASONS)),
        too_long=dict(measures.too_long),
        loop=dict(measures.loop),
        acted=dict(measures.acted),
        progress=None if measures.progress is None else asdict(measures.progress),
        away=measures.away,
        away_seconds=measures.away_seconds,
        compiling=measures.compiling,
        compiled_seconds=measures.compiled_seconds,
    )


class Tally:
    """The sum of all processes, and of those that died.

    Events that were taken in again after a restart count again: what a process had done since the
    last snapshot when it died is not known.
    """

    def __init__(self) -> None:
        self.measures = Measures()
        self._reports: dict[tuple[int, int], Report] = {}
        self._life = 0

    def take(self, index: int, report: Report) -> None:
        """Take the newest report of a process."""
        self._reports[self._life, index] = report
        self._add_up()

    def restart(self) -> None:
        """Begin with new processes; what the old ones reported stays."""
        self._life += 1

    def _add_up(self) -> None:
        reports = list(self._reports.values())
        total = self.measures
        for name in ("accepted", "late", "duplicates", "dead", "rows"):
            setattr(total, name, sum(getattr(report, name) for report in reports))
        fresh, reasons, too_long = Freshness(), Counter[str](), Counter[str]()
        loop, acted = Counter[str](), Counter[str]()
        for report in reports:
            fresh.add_buckets(report.fresh)
            reasons.update(report.reasons)
            too_long.update(report.too_long)
            loop.update(report.loop)
            acted.update(report.acted)
        total.fresh, total.reasons, total.too_long, total.loop = fresh, reasons, too_long, loop
        total.acted = acted
        total.compiling = next((r.compiling for r in reports if r.compiling), None)
        total.away = next((r.away for r in reports if r.away), None)
        # They wait, and compile, side by side.
        total.away_seconds = max(report.away_seconds for report in reports)
        total.compiled_seconds = max(report.compiled_seconds for report in reports)
        learned = [report.progress for report in reports if report.progress is not None]
        if learned:
            total.progress = _progress(learned[-1])


def _progress(saved: dict[str, Any]) -> Progress:
    parts = {
        "reward": MeanReward(**saved["reward"]),
        "recent": RecentReward(**saved["recent"]),
        "logloss": LogLoss(**saved["logloss"]),
    }
    return Progress(**(saved | parts))
