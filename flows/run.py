"""Running a dataflow in this process, with recovery, until its source ends or it is stopped.

One recovery store serves a cluster of any size. It has one partition, because it holds little but
pointers: more would mean more files to be synced an epoch, and a number fixed for ever.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main, run_main

from ..features.errors import StateError
from .cluster import ClusterError, Member
from .disk import disk_errors, recovery_errors
from .peers import lock_of, sign, sign_off
from .settings import Settings

FORMAT = 3
"""Of all that a data directory holds. 1 had one log and one recovery key ``"0"``, ... a shard."""


def run_flow(
    flow: Dataflow, settings: Settings, *, recover: bool = True, member: Member | None = None
) -> None:
    """Run a dataflow to its end, resuming from the last snapshot in the data directory.

    Parameters
    ----------
    flow
        What `build_flow` returned.
    settings
        Where recovery is kept, and how often a snapshot is taken.
    recover
        False: begin anew and keep nothing.
    member
        This process's part in a cluster, as `build_flow` was given it; None: it is alone.

    Raises
    ------
    ClusterError
        If another process of the cluster died; all must be started anew.
    StateError
        If another process works in the data directory, if its state is of another number of
        shards or another format, or with ``recover=False`` if there is state in it that a resumed
        run would need.
    NextbestError
        What one of our own steps, sources or sinks raised.
    """
    with working_in(settings.data_dir, member), recovery_errors(settings.recovery_dir):
        if not recover:
            _check_empty(settings)
        recovery = prepare_recovery(settings) if recover else None
        run_engine(flow, settings.epoch_seconds, recovery, member)


def run_engine(
    flow: Dataflow,
    epoch_seconds: float,
    recovery: RecoveryConfig | None,
    member: Member | None = None,
) -> None:
    """Run a dataflow in the engine; raise what its own code raised, as it was raised."""
    failure: BaseException | None = None
    options: dict[str, Any] = {
        "epoch_interval": timedelta(seconds=epoch_seconds), "recovery_config": recovery,
    }  # fmt: skip
    try:
        # The engine is untyped.
        if member is None:
            run_main(flow, **options)  # type: ignore[no-untyped-call]
        else:
            _run_member(flow, member, options)
    except BytewaxRuntimeError as error:
        # The engine wraps an error once for each of its own steps.
        failure = error
        while isinstance(failure, BytewaxRuntimeError) and failure.__cause__ is not None:
            failure = failure.__cause__
    if failure is not None:
        # Not from the engine's error, whose cause it is: a chain must not be a circle.
        raise failure


def _run_member(flow: Dataflow, member: Member, options: dict[str, Any]) -> None:
    """Run one worker of a cluster; the engine tells nothing of what went wrong in it."""
    failed = True
    try:
        cluster_main(flow, list(member.addresses), member.index, **options)  # type: ignore[no-untyped-call]  # as above
        failed = False
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the engine's panics are no Exceptions
        if member.failure is None:
            raise ClusterError(f"another worker of the cluster is gone ({error})") from None
    if failed and member.failure is not None:
        raise member.failure


def _check_empty(settings: Settings) -> None:
    if settings.recovery_dir.exists():
        raise StateError(
            f"{settings.data_dir}: holds the state of an earlier run, which a run without "
            "recovery would overwrite; use another data directory"
        )


def prepare_recovery(settings: Settings) -> RecoveryConfig:
    """Find the recovery store of a data directory, or make it.

    Raises
    ------
    StateError
        If it is gone, or the state is of another number of shards or of another format.
    """
    # The workers of a cluster come here together.
    with _locked(settings.data_dir / "recovery.lock"):
        return _recovery(settings)


def _recovery(settings: Settings) -> RecoveryConfig:
    directory = settings.recovery_dir
    shards, version = settings.data_dir / "shards", settings.data_dir / "format"
    if not directory.exists():
        if settings.state_dir.exists() and any(settings.state_dir.iterdir()):
            raise StateError(
                f"{settings.data_dir}: its recovery store {directory.name!r} is gone, and without "
                "it the state beside it means nothing; restore it, or begin in another data "
                "directory"
            )
        with disk_errors(shards):
            shards.write_text(f"{settings.shards}\n")
            version.write_text(f"{FORMAT}\n")
        # Under another name until it is whole: a crash in between must not leave half of it.
        unfinished = directory.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        init_db_dir(unfinished, 1)  # type: ignore[no-untyped-call]  # the engine is untyped
        unfinished.rename(directory)
    # The engine would begin new keys beside those that it does not find, and tell nobody.
    found = version.read_text().strip() if version.exists() else "1"
    if found != str(FORMAT):
        raise StateError(
            f"{settings.data_dir}: its state is of format {found}, this version of nextbest has "
            f"format {FORMAT}; go on with the version that made it, or begin in another data "
            "directory"
        )
    kept = shards.read_text().strip() if shards.exists() else "an unknown number of"
    if kept != str(settings.shards):
        raise StateError(
            f"{settings.data_dir}: its state is of {kept} shards, not {settings.shards}; "
            f"set NEXTBEST_SHARDS={kept}, or begin in another data directory"
        )
    return RecoveryConfig(directory)  # type: ignore[no-untyped-call]  # as above


@contextlib.contextmanager
def working_in(directory: Path, member: Member | None = None) -> Iterator[None]:
    """Hold the data directory: two workers in it would destroy each other's state.

    The workers of one cluster share it, and each holds its own place in it.

    Raises
    ------
    StateError
        If it is held.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.ExitStack() as held:
        try:
            if member is None:
                held.enter_context(_locked(directory / "worker.lock", fcntl.LOCK_NB))
            else:
                held.enter_context(_locked(directory / "worker.lock", fcntl.LOCK_NB, fcntl.LOCK_SH))
                own = held.enter_context(_locked(lock_of(directory, member.index), fcntl.LOCK_NB))
                sign(own)
        except BlockingIOError:
            raise StateError(f"{directory}: another worker runs in this directory") from None
        yield
        if member is not None:
            sign_off(own)


@contextlib.contextmanager
def _locked(path: Path, flags: int = 0, kind: int = fcntl.LOCK_EX) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind | flags)
        yield descriptor
    finally:
        os.close(descriptor)
