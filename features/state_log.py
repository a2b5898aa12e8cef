"""Durable state that is one blob, of which the latest counts: a learner's weights."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex

from .delta_log import MAGIC, DeltaLog
from .errors import StateError
from .manifest import FORMAT, Manifest, Retirement, remove_others

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
        self._directory, self._name, self._seal_bytes = directory, name, seal_bytes
        self._incarnation = token_hex(4)  # no two ever write to a file of one name
        self._retirement = Retirement()
        self._at: int | None = None
        self._latest: bytes | None = None
        self._begun = 0
        if manifest is None:
            self._log = self._new_log()
        else:
            if manifest.get("format") != FORMAT or manifest["name"] != name:
                raise StateError(f"{name}: the manifest is of another state or format")
            self._begun = int(manifest["files"])
            self._log = DeltaLog(directory / manifest["log"], manifest["end"])
            self._at = manifest["at"]
        remove_others(directory, f"{name}-*.log", {self._log.path.name})

    def load(self) -> bytes | None:
        """Return the latest blob; None if there is none.

        Raises
        ------
        StateError
            If it is damaged, naming file and offset.
        """
        if self._at is None:
            return None
        return self._log.read(self._at, self._log.pointer - self._at - DeltaLog.HEAD_BYTES)

    def save(self, blob: bytes) -> Manifest:
        """Make a blob durable, unless it is the latest; return what the next log begins from.

        Raises
        ------
        StateError
            If the disk is full or fails. What the last manifest names is then still what it was.
        """
        if blob == self._latest:
            return self._manifest()
        if self._log.pointer > max(self._seal_bytes, len(MAGIC)):
            self._retirement.add(self._log.path)
            self._log.close()
            self._log = self._new_log()
        self._at = self._log.pointer
        self._log.append(blob)
        self._latest = blob
        self._retirement.snapshot()
        return self._manifest()

    def _manifest(self) -> Manifest:
        return {
            "format": FORMAT,
            "name": self._name,
            "log": self._log.path.name,
            "at": self._at,
            "end": self._log.pointer,
            "files": self._begun,
        }

    def close(self) -> None:
        """Close the file."""
        self._log.close()

    def _new_log(self) -> DeltaLog:
        self._begun += 1
        name = f"{self._name}-{self._begun:08d}-{self._incarnation}.log"
        return DeltaLog(self._directory / name, None)
