"""Durable state that is one blob, of which the latest counts: a learner's weights."""

from __future__ import annotations

from pathlib import Path

from .delta_log import MAGIC, DeltaLog
from .log_series import LogSeries
from .manifest import Manifest

SEAL_BYTES = 64 << 20


class StateLog:
    """The blobs that a step saved, in a `DeltaLog`.

    Parameters
    ----------
    directory, name
        Where, and what the files' names begin with; no other state's may begin with it and "-".
    manifest
        What the last committed `save` returned; None: nothing was saved.
    seal_bytes
        Length at which a new file is begun; the old one goes a few saves later.

    Raises
    ------
    StateError
        If the file that the manifest names is missing, cut off or not such a log.

    Examples
    --------
    >>> import tempfile
    >>> directory = Path(tempfile.mkdtemp())
    >>> manifest = StateLog(directory, "learner").save(b"weights")
    >>> StateLog(directory, "learner", manifest).load()
    b'weights'
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        manifest: Manifest | None = None,
        *,
        seal_bytes: int = SEAL_BYTES,
    ) -> None:
        self._series = LogSeries(directory, name, manifest)
        self._seal_bytes = seal_bytes
        self._at: int | None = None if manifest is None else manifest["at"]
        self._latest: bytes | None = None

    def load(self) -> bytes | None:
        """Return the latest blob; None if there is none.

        Raises
        ------
        StateError
            If it is damaged, naming file and offset.
        """
        if self._at is None:
            return None
        log = self._series.log
        return log.read(self._at, log.pointer - self._at - DeltaLog.HEAD_BYTES)

    def save(self, blob: bytes) -> Manifest:
        """Make a blob durable, unless it is the latest; return what the next log begins from.

        Raises
        ------
        StateError
            If the disk is full or fails. What the last manifest names is then still what it was.
        """
        if blob == self._latest:
            return self._manifest()
        if self._series.log.pointer > max(self._seal_bytes, len(MAGIC)):
            self._series.begin_anew()
        self._at = self._series.log.pointer
        self._series.log.append(blob)
        self._latest = blob
        self._series.snapshot()
        return self._manifest()

    def _manifest(self) -> Manifest:
        return {**self._series.manifest(), "at": self._at}

    def close(self) -> None:
        """Close the file."""
        self._series.close()
