"""Running a dataflow in this process, with recovery, until its source ends or it is stopped."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import run_main

from ..features.errors import StateError
from .disk import disk_errors, recovery_errors
from .settings import Settings


def run_flow(flow: Dataflow, settings: Settings, *, recover: bool = True) -> None:
    """Run a dataflow to its end, resuming from the last snapshot in the data directory.

    Parameters
    ----------
    flow
        What `build_flow` returned.
    settings
        Where recovery is kept, and how often a snapshot is taken.
    recover
        False: begin anew and keep nothing.

    Raises
    ------
    StateError
        If another process works in the data directory, if its state is of another number of
        shards, or with ``recover=False`` if there is state in it that a resumed run would need.
    NextbestError
        What one of our own steps, sources or sinks raised.
    """
    with _alone_in(settings.data_dir), recovery_errors(settings.recovery_dir):
        run_engine(flow, settings.epoch_seconds, _recovery(settings, recover=recover))


def run_engine(flow: Dataflow, epoch_seconds: float, recovery: RecoveryConfig | None) -> None:
    """Run a dataflow in the engine; raise what its own code raised, as it was raised."""
    failure: BaseException | None = None
    try:
        run_main(  # type: ignore[no-untyped-call]  # the engine is untyped
            flow, epoch_interval=timedelta(seconds=epoch_seconds), recovery_config=recovery
        )
    except BytewaxRuntimeError as error:
        # The engine wraps an error once for each of its own steps.
        failure = error
        while isinstance(failure, BytewaxRuntimeError) and failure.__cause__ is not None:
            failure = failure.__cause__
    if failure is not None:
        # Not from the engine's error, whose cause it is: a chain must not be a circle.
        raise failure


def _recovery(settings: Settings, *, recover: bool) -> RecoveryConfig | None:
    directory = settings.recovery_dir
    if not recover:
        if directory.exists():
            raise StateError(
                f"{settings.data_dir}: holds the state of an earlier run, which a run without "
                "recovery would overwrite; use another data directory"
            )
        return None
    shards = settings.data_dir / "shards"
    if not directory.exists():
        if any(settings.state_dir.glob("*.log")):
            raise StateError(
                f"{settings.data_dir}: its recovery store {directory.name!r} is gone, and without "
                "it the state beside it means nothing; restore it, or begin in another data "
                "directory"
            )
        with disk_errors(shards):
            shards.write_text(f"{settings.shards}\n")
        # Under another name until it is whole: a crash in between must not leave half of it.
        unfinished = directory.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        init_db_dir(unfinished, 1)  # type: ignore[no-untyped-call]  # the engine is untyped
        unfinished.rename(directory)
    # The engine would stop at the first key that is gone, or begin new ones beside the old.
    kept = shards.read_text().strip() if shards.exists() else "an unknown number of"
    if kept != str(settings.shards):
        raise StateError(
            f"{settings.data_dir}: its state is of {kept} shards, not {settings.shards}; "
            f"set NEXTBEST_SHARDS={kept}, or begin in another data directory"
        )
    return RecoveryConfig(directory)  # type: ignore[no-untyped-call]  # as above


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Hold the data directory: two workers in it would destroy each other's state."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(directory / "worker.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(f"{directory}: another worker runs in this directory") from None
        yield
    finally:
        os.close(descriptor)
