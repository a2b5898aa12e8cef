"""Durable state as a full copy now and then, and what changed since with each snapshot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

from ...features.delta_log import DeltaLog
from ...features.errors import StateError
from ...features.manifest import FORMAT, Manifest, Retirement, remove_others

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
        self._directory, self._name, self._least = directory, name, least_bytes
        self._incarnation = token_hex(4)  # no two ever write to a file of one name
        self._retirement = Retirement()
        self._begun = self._changed = self._copied = 0
        if manifest is None:
            self._log = self._new_log()
        else:
            if manifest.get("format") != FORMAT or manifest["name"] != name:
                raise StateError(f"{name}: the manifest is of another state or format")
            self._begun = int(manifest["files"])
            self._log = DeltaLog(directory / manifest["log"], manifest["end"])
        remove_others(directory, f"{name}-*.log", {self._log.path.name})

    def load(self) -> tuple[bytes | None, list[bytes]]:
        """Return the last full copy, None if there is none yet, and the changes after it.

        Raises
        ------
        StateError
            If a record is damaged, naming file and offset.
        """
        full: bytes | None = None
        changes: list[bytes] = []
        for record in self._log.replay():
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
                self._log.append(_CHANGE, change)
        self._retirement.snapshot()
        return {
            "format": FORMAT,
            "name": self._name,
            "log": self._log.path.name,
            "end": self._log.pointer,
            "files": self._begun,
        }

    def close(self) -> None:
        """Close the file."""
        self._log.close()

    def _begin_anew(self, copy: bytes) -> None:
        self._retirement.add(self._log.path)
        self._log.close()
        self._log = self._new_log()
        self._log.append(_FULL, copy)
        self._copied, self._changed = len(copy), 0

    def _new_log(self) -> DeltaLog:
        self._begun += 1
        name = f"{self._name}-{self._begun:08d}-{self._incarnation}.log"
        return DeltaLog(self._directory / name, None)
