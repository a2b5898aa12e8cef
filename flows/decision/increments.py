"""Durable state as a full copy now and then, and what changed since with each snapshot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...features.log_series import LogSeries
from ...features.manifest import Manifest

LEAST_BYTES = 8 << 20
_FULL, _CHANGE = b"F", b"C"


class IncrementLog:
    """Changes in a `DeltaLog`, which is begun anew with a full copy when they outgrow it.

    A snapshot writes what changed since the one before. When the changes since the last full copy
    have more bytes than it (and more than `least_bytes`), a new file is begun with another one. So
    all that is written is at most about twice the changes, and a start reads at most twice a copy.

    Parameters
    ----------
    directory, name
        Where, and what the files' names begin with; no other state's may begin with it and "-".
    manifest
        What the last committed `save` returned; None: nothing was saved.
    least_bytes
        Of changes between two full copies.

    Raises
    ------
    StateError
        If the file that the manifest names is missing, cut off or not such a log.

    Examples
    --------
    >>> import tempfile
    >>> directory = Path(tempfile.mkdtemp())
    >>> log = IncrementLog(directory, "open-0", least_bytes=2)
    >>> for change in (b"one", b"two", None):
    ...     manifest = log.save(change, lambda: b"a copy with one")
    >>> IncrementLog(directory, "open-0", manifest).load()
    (b'a copy with one', [b'two'])
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        manifest: Manifest | None = None,
        *,
        least_bytes: int = LEAST_BYTES,
    ) -> None:
        self._series, self._least = LogSeries(directory, name, manifest), least_bytes
        self._changed = self._copied = 0

    def load(self) -> tuple[bytes | None, list[bytes]]:
        """Return the last full copy, None if there is none yet, and the changes after it.

        Raises
        ------
        StateError
            If a record is damaged, naming file and offset.
        """
        full: bytes | None = None
        changes: list[bytes] = []
        for record in self._series.log.replay():
            if record[:1] == _FULL:
                full, changes = record[1:], []
            else:
                changes.append(record[1:])
        self._copied = len(full or b"")
        self._changed = sum(map(len, changes))
        return full, changes

    def save(self, change: bytes | None, full: Callable[[], bytes]) -> Manifest:
        """Make a change durable, None if there is none; return what the next log begins from.

        Parameters
        ----------
        change
            Since the last call.
        full
            Returns a full copy, the change included.

        Raises
        ------
        StateError
            If the disk is full or fails. What the last manifest names is then still what it was.
        """
        if change is not None:
            self._changed += len(change)
            if self._changed > max(self._least, self._copied):
                self._begin_anew(full())
            else:
                self._series.log.append(_CHANGE, change)
        self._series.snapshot()
        return self._series.manifest()

    def close(self) -> None:
        """Close the file."""
        self._series.close()

    def _begin_anew(self, copy: bytes) -> None:
        self._series.begin_anew()
        self._series.log.append(_FULL, copy)
        self._copied, self._changed = len(copy), 0
