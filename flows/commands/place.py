"""A data directory: whose it is, and that only one run uses it at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ...features.durable import sync_path
from ...features.errors import SettingsError, StateError
from ...features.store_url import without_password
from ..disk import disk_errors
from ..settings import Settings

FILES = "files"
EMBEDDED = "embedded"


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """What `run.json` keeps of the last run: names and numbers, no code and no password.

    Attributes
    ----------
    catalog, decisions
        References, as `nextbest.flows.commands.references.load` takes them.
    strategy
        The name of the strategy; None: there never was one.
    schema
        What the rows mean: `Plans.schema_id`.
    source
        ``files``, ``stream NAME`` or ``topic NAME``.
    store
        ``embedded``, or the URL of the online store without its password.
    rebuilding
        The schema of a rebuild that was about to replace the state: it may have done so.
    """

    version: int = 1
    catalog: str
    decisions: str | None
    schema: int
    source: str
    store: str
    rebuilding: int | None = None
    strategy: str | None = None


def store_name(settings: Settings) -> str:
    """Return how the settings' online store is remembered."""
    return without_password(settings.redis_url) if settings.redis_url else EMBEDDED


def remembered(data_dir: Path) -> Remembered | None:
    """Return what the last run in a data directory was, None if there was none.

    Raises
    ------
    StateError
        If the record is damaged.
    """
    path = _path(data_dir)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Remembered)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise StateError(f"{path}: cannot be read: {error}") from None


def same_store(settings: Settings, last: Remembered) -> Settings:
    """Return the settings with the store of the last run, unless they name one themselves.

    Raises
    ------
    SettingsError
        If that store's URL had a password: it is not written down.
    """
    if settings.redis_url is not None or last.store == EMBEDDED:
        return settings
    if "***" in last.store:
        raise SettingsError(
            f"the last run in {settings.data_dir} used {last.store}: "
            "give the URL with --redis-url or NEXTBEST_REDIS_URL"
        )
    return msgspec.structs.replace(settings, redis_url=last.store)


@contextlib.contextmanager
def claimed(data_dir: Path, *, shared: bool = False) -> Iterator[None]:
    """Make the data directory if need be, and keep other runs out of it meanwhile.

    Parameters
    ----------
    data_dir
        The directory.
    shared
        With the other processes of one cluster, each of which has a command of its own.

    Raises
    ------
    StateError
        If another run uses it, or it cannot be made.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(data_dir / "run.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(
            f"{data_dir}: cannot be used as data directory: {error.strerror}{_remedy(error)}"
        ) from error
    try:
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(
                f"{data_dir}: another run is using this data directory; "
                "wait for it, or give another --data-dir"
            ) from None
        yield
    finally:
        os.close(fd)


def check(settings: Settings, run: Remembered, *, first: bool = True) -> None:
    """Check that a run goes on with what the data directory holds.

    Parameters
    ----------
    settings
        Where it is.
    run
        What is to run.
    first
        Whether this is the process of its cluster that may tidy up.

    Raises
    ------
    StateError
        If its state is of another declaration, strategy, source or store.
    """
    last = remembered(settings.data_dir)
    if (
        not settings.state_dir.exists()
        and settings.recovery_dir.exists()
        and any((settings.archive_dir / "events").glob("partition=*/*.parquet"))
    ):
        raise StateError(
            f"{settings.data_dir}: its state {settings.state_dir.name!r} is gone; make it anew "
            "from the archive with `nextbest rebuild`"
        )
    if not settings.state_dir.exists() and not settings.dead_letters_dir.exists():
        # Whatever ran here took in nothing: nothing binds this run.
        if first:
            shutil.rmtree(settings.recovery_dir, ignore_errors=True)
    elif last is not None:
        _compare(settings, last, run)


def remember(data_dir: Path, run: Remembered, *, rebuilt: bool = False) -> None:
    """Write down what runs; ``rebuilt``: the state is of its declaration, and of no other."""
    last = None if rebuilt or run.rebuilding is not None else remembered(data_dir)
    if last is not None and last.rebuilding is not None:
        # Until a rebuild has ended, both declarations may be that of the state.
        other = last.schema if run.schema == last.rebuilding else last.rebuilding
        run = msgspec.structs.replace(run, rebuilding=other)
    fresh = _path(data_dir).with_suffix(".tmp")
    with disk_errors(fresh):
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(run)) + b"\n")
        sync_path(fresh)
        fresh.replace(_path(data_dir))
        sync_path(data_dir)


def _compare(settings: Settings, last: Remembered, run: Remembered) -> None:
    data_dir = settings.data_dir
    # Whether an interrupted rebuild replaced the state or not, the state itself tells.
    if run.schema not in (last.schema, last.rebuilding):
        raise StateError(
            f"{data_dir}: its state was made by another declaration ({last.catalog}, schema "
            f"{last.schema:08x}); this one is {run.catalog}, schema {run.schema:08x}. "
            f"Make it anew from the archive with `nextbest rebuild --catalog {run.catalog}`, give "
            "another --data-dir, or remove this one to begin anew"
        )
    if last.strategy not in (None, run.strategy) and _has_decided(settings):
        now = "none" if run.strategy is None else repr(run.strategy)
        raise StateError(
            f"{data_dir}: its state was made with strategy {last.strategy!r}, this run has {now}. "
            "What came of decisions would be lost meanwhile, and be learned as silence: give "
            f"--strategy with a file whose name is {last.strategy!r} (what else is in it may "
            "change), or another --data-dir"
        )
    for what, before, now in (
        ("source", last.source, run.source),
        ("online store", last.store, run.store),
    ):
        if before != now:
            raise StateError(
                f"{data_dir}: its state was made with {what} {before!r}, not {now!r}. "
                "Give another --data-dir, or remove this one to begin anew"
            )


def _has_decided(settings: Settings) -> bool:
    """Whether the log had decisions; if they are not archived, as if."""
    files = (settings.archive_dir / "decisions").glob("partition=*/*.parquet")
    return not settings.archive or any(files)


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return f"; let user {os.getuid()} write there (chown), or give another --data-dir"
    if isinstance(error, NotADirectoryError | FileExistsError):
        return "; it, or what it lies in, is a file: give another --data-dir"
    return ""


def _path(data_dir: Path) -> Path:
    return data_dir / "run.json"
