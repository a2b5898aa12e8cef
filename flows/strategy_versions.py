"""The archive of strategies: the text of every version that decided, in a file of its own.

A worker keeps the version that it runs with, and of any other that a decision's record names it
takes the text from the store. What the store does not have yet is asked for again; a mark on disk
says so over a restart.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..features.catalog import Catalog
from ..features.durable import sync_path
from ..features.errors import SettingsError
from .connection import ask, pool
from .decision.documents import MAX_BYTES
from .decision.keys import Keys
from .decision.loading import Loaded, load
from .decision.stored import Stored
from .disk import disk_errors

AGAIN_SECONDS = 1.0
"""Between two questions for a version that the store did not have."""
MOST_WANTED = 1000
"""Versions that are asked for at a time: a record may name any."""
_TIMEOUT_SECONDS = 0.5
_VERSION = re.compile(r"[0-9a-f]{16}", re.ASCII)


class StrategyVersions:
    """The texts of strategies by their versions, `DIRECTORY/{name}/{version}.yaml`.

    Parameters
    ----------
    directory
        Made when the first is kept.

    Examples
    --------
    >>> import tempfile
    >>> kept = StrategyVersions(Path(tempfile.mkdtemp()) / "strategies")
    >>> kept.keep("tea", "5e" * 8, "name: tea")
    True
    >>> kept.keep("tea", "5e" * 8, "name: tea"), kept.text("5e" * 8), kept.text("00" * 8)
    (False, 'name: tea', None)
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, name: str, version: str, text: str) -> bool:
        """Keep a version; return whether it was not there yet.

        The file appears whole, and is on disk when this returns.

        Raises
        ------
        StateError
            If the disk is full or fails.
        """
        path = self._path(name, version)
        new = not path.exists()
        if new:
            unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            with disk_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                unfinished.write_text(text, encoding="utf-8")
                sync_path(unfinished)
                unfinished.rename(path)
                sync_path(path.parent)
        with disk_errors(path):
            self._mark(name, version).unlink(missing_ok=True)
        return new

    def text(self, version: str) -> str | None:
        """Return the text of a version, of whatever strategy; None: it is not kept.

        Raises
        ------
        SettingsError
            If its file cannot be read.
        """
        if not _VERSION.fullmatch(version):
            return None
        path = next(self._directory.glob(f"*/{version}.yaml"), None)
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                return file.read(4 * MAX_BYTES).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: cannot be read: {error}") from None

    def loaded(self, version: str, catalog: Catalog | None) -> Loaded | None:
        """Return a version, checked; None: it is not kept.

        Raises
        ------
        SettingsError
            If it does not fit the catalog any more, or its file is damaged.
        """
        text = self.text(version)
        if text is None:
            return None
        return load_version(text, version, catalog)

    def names(self) -> list[str]:
        """Return the names of the strategies of which versions are kept, in order."""
        return sorted({path.parent.name for path in self._directory.glob("*/*.yaml")})

    def want(self, name: str, version: str) -> None:
        """Note on disk that a version decided whose text is not known yet."""
        mark = self._mark(name, version)
        with disk_errors(mark):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

    def wanted(self, name: str) -> set[str]:
        """Return the versions whose text is not known yet."""
        return {path.stem for path in (self._directory / name).glob("*.wanted")}

    def has(self, name: str, version: str) -> bool:
        """Return whether a version is kept."""
        return self._path(name, version).exists()

    def _path(self, name: str, version: str) -> Path:
        return self._directory / name / f"{version}.yaml"

    def _mark(self, name: str, version: str) -> Path:
        return self._directory / name / f"{version}.wanted"


def load_version(text: str, version: str, catalog: Catalog | None) -> Loaded:
    """Return the strategy of a text that is to be of a version.

    Raises
    ------
    SettingsError
        If it has faults, does not fit the catalog, or is of another version.
    """
    found = load(text, catalog, look_up=False)
    if found.version != version:
        raise SettingsError(
            f"the text that is kept of version {version} is of version {found.version}"
        )
    return found


class VersionKeeper:
    """Keeps the versions of one strategy that decisions name.

    Parameters
    ----------
    versions
        The archive.
    keys
        Of the strategy.
    fetch
        Returns what the store has under a key; None: nothing, or the store is away.
    clock
        Seconds.
    """

    def __init__(
        self,
        versions: StrategyVersions,
        keys: Keys,
        fetch: Callable[[str], bytes | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._versions, self._keys, self._fetch, self._clock = versions, keys, fetch, clock
        self._known: set[str] = set()
        self._wanted = versions.wanted(keys.strategy)
        self._next = float("-inf")

    def see(self, versions: Iterable[str]) -> None:
        """Take note of the versions of some decisions; keep what is new.

        Raises
        ------
        StateError
            If the disk is full or fails.
        """
        name = self._keys.strategy
        for version in set(versions) - self._known - self._wanted:
            if self._versions.has(name, version):
                self._known.add(version)
            elif _VERSION.fullmatch(version) and len(self._wanted) < MOST_WANTED:
                self._versions.want(name, version)
                self._wanted.add(version)
                self._next = float("-inf")
        if self._wanted and self._clock() >= self._next:
            self._ask()

    def _ask(self) -> None:
        for version in sorted(self._wanted):
            text = self._text(version)
            if text is not None:
                self._versions.keep(self._keys.strategy, version, text)
                self._wanted.discard(version)
                self._known.add(version)
        self._next = self._clock() + AGAIN_SECONDS

    def _text(self, version: str) -> str | None:
        data = self._fetch(self._keys.version(version))
        if not data:
            return None
        try:
            stored = msgspec.json.decode(data, type=Stored)
        except msgspec.DecodeError:
            return None
        return stored.text if stored.version == version else None


def fetching(url: str) -> Callable[[str], bytes | None]:
    """Return what asks a store for the values of keys, and does not wait for one that is away."""
    client = redis.Redis(connection_pool=pool(url, seconds=_TIMEOUT_SECONDS))
    client.set_retry(Retry(NoBackoff(), 0))

    def fetch(key: str) -> bytes | None:
        found: bytes | None = None
        with contextlib.suppress(redis.RedisError):
            found = ask(client, "GET", key)
        return found

    return fetch


def versions_in(records: Iterable[object]) -> Iterator[str]:
    """Yield the versions that decisions name, of the loop's own events."""
    for own in records:
        version = getattr(own, "strategy", None)
        if version is not None:
            yield version
