"""What workers and services show alike: what they are, and the last audit of their directory."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import msgspec

from ..settings import Settings
from . import names as n
from .meter import Meter


class Audited(msgspec.Struct, frozen=True):
    """What the last audit of a data directory found.

    Attributes
    ----------
    values, differing
        How many were compared, and differed.
    at
        When it ended, unix time.
    """

    values: int
    differing: int
    at: float


def begin(meter: Meter, role: str, catalog: str, worker: int = 0) -> None:
    """Say what this process is."""
    ours = version("nextbest")
    meter.set(n.BUILD_INFO, 1, ours, platform.python_version(), role, str(worker), catalog)


def audit_refresher(meter: Meter, settings: Settings) -> Callable[[], None]:
    """Return what sets the metrics of the last audit of a data directory."""

    def refresh() -> None:
        found = last_audit(settings)
        if found is not None:
            meter.set(n.AUDIT_VALUES, found.values)
            meter.set(n.AUDIT_DIFFERING, found.differing)
            meter.set(n.AUDIT_TIME, found.at)

    return refresh


def remember_audit(settings: Settings, values: int, differing: int) -> None:
    """Keep what an audit found, for workers and services of the same data directory."""
    path = _audit_file(settings)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(Audited(values, differing, time.time())))
    fresh.rename(path)


def last_audit(settings: Settings) -> Audited | None:
    """Return what the last audit found; None: there was none."""
    try:
        return msgspec.json.decode(_audit_file(settings).read_bytes(), type=Audited)
    except FileNotFoundError:
        return None


def _audit_file(settings: Settings) -> Path:
    return settings.data_dir / "audit.json"
