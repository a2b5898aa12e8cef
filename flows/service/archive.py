"""The archive of decisions as the service reads it: beside the event loop, and not without end."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...features.errors import SourceError
from ..decision.record import Record
from ..decision.why import WhatCame
from ..strategy_versions import StrategyVersions
from .problems import ProblemError

if TYPE_CHECKING:
    from ..loop_archive import Archived, LoopArchive

SECONDS = 5.0
"""For how long one search may look for a decision."""
CAME_SECONDS = 2.0
"""For how long it may look for what came of one."""
MOST_WAITING = 16
"""Searches that wait for their turn; beyond, callers are told to come again."""

_SWITCH_SECONDS = 0.0005

T = TypeVar("T")


class ArchiveSearch:
    """Searches an archive in a thread of its own, one request after the other.

    Parameters
    ----------
    directory
        The archive of the data directory; it need not be there.
    seconds, came_seconds
        For how long a search may take, its turn included.
    """

    def __init__(
        self, directory: Path, *, seconds: float = SECONDS, came_seconds: float = CAME_SECONDS
    ) -> None:
        self._directory = directory
        self._seconds, self._came_seconds = seconds, came_seconds
        self._versions = StrategyVersions(directory / "strategies")
        self._thread = ThreadPoolExecutor(1, "archive")
        self._waiting = 0
        self._archive: LoopArchive | None = None

    @property
    def there(self) -> bool:
        """Whether there is an archive on this machine, of this data directory."""
        return (self._directory / "decisions").is_dir()

    def text(self, version: str) -> str | None:
        """Return the text of a version of a strategy; None: it is not kept.

        Raises
        ------
        SettingsError
            If its file cannot be read.
        """
        return self._versions.text(version)

    async def warm(self) -> None:
        """Load what reads the archive, if there is one: nobody is to wait for it."""
        if self.there:
            with contextlib.suppress(ProblemError):
                await self._run(lambda archive: archive.there)

    async def decision(self, identifier: str) -> Archived | None:
        """Return a decision; None: it is not in the archive, or there is none.

        Raises
        ------
        ProblemError
            If the search took too long, too many wait, or a file is damaged.
        """
        if not self.there:
            return None
        until = time.monotonic() + self._seconds
        return await self._run(lambda archive: archive.decision(identifier, seconds=_left(until)))

    async def came(self, record: Record, window_us: int) -> WhatCame | None:
        """Return what came of a decision; None: there is no archive.

        Raises
        ------
        ProblemError
            If too many wait, or a file is damaged.
        """
        if not self.there:
            return None
        until = time.monotonic() + self._came_seconds
        return await self._run(
            lambda archive: archive.came(record, window_us, seconds=_left(until))
        )

    def close(self) -> None:
        """Let nobody wait any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, search: Callable[[LoopArchive], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise ProblemError(
                "archive-busy", f"{MOST_WAITING} searches of the archive wait; try again soon",
                headers=[(b"retry-after", b"1")],
            )  # fmt: skip
        self._waiting += 1
        try:
            run: Any = partial(self._search, search)
            found: T = await asyncio.get_running_loop().run_in_executor(self._thread, run)
            return found
        finally:
            self._waiting -= 1

    def _search(self, search: Callable[[LoopArchive], T]) -> T:
        try:
            from ..loop_archive import LoopArchive
            from ..loop_files import OutOfTimeError
        except ModuleNotFoundError as error:
            raise ProblemError(
                "no-longer-kept",
                f"reading the archive needs {error.name}: pip install 'nextbest[worker]'",
            ) from None
        if self._archive is None:
            self._archive = LoopArchive(self._directory)
        # The event loop asks for the interpreter many times a request: it must not wait for long.
        usual = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        try:
            return search(self._archive)
        except OutOfTimeError as error:
            reason = f"{error} ({self._seconds:g} s); nextbest why has no such limit"
            raise ProblemError("archive-busy", reason) from None
        except SourceError as error:
            raise ProblemError("unreadable-row", str(error)) from None
        finally:
            sys.setswitchinterval(usual)


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())
