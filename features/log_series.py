"""Delta logs of which the latest counts: the files of a state that is written anew now and then."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex

from .delta_log import DeltaLog
from .errors import StateError
from .manifest import FORMAT, Manifest, Retirement, remove_others


class LogSeries:
    """One `DeltaLog` after the other; older files go a few snapshots after they were replaced.

    Parameters
    ----------
    directory, name
        Where, and what the files' names begin with; no other state's may begin with it and "-".
    manifest
        What the last committed `manifest` returned; None: begin.

    Attributes
    ----------
    log
        The file that is written to.

    Raises
    ------
    StateError
        If the file that the manifest names is missing, cut off or not such a log.

    Examples
    --------
    >>> import tempfile
    >>> directory = Path(tempfile.mkdtemp())
    >>> series = LogSeries(directory, "weights")
    >>> _ = series.log.append(b"first")
    >>> series.begin_anew()
    >>> _ = series.log.append(b"second")
    >>> [*LogSeries(directory, "weights", series.manifest()).log.replay()]
    [b'second']
    """

    def __init__(self, directory: Path, name: str, manifest: Manifest | None = None) -> None:
        self._directory, self._name = directory, name
        self._incarnation = token_hex(4)  # no two ever write to a file of one name
        self._retirement = Retirement()
        self._begun = 0
        if manifest is None:
            self.log = self._new_log()
        else:
            if manifest.get("format") != FORMAT or manifest["name"] != name:
                raise StateError(f"{name}: the manifest is of another state or format")
            self._begun = int(manifest["files"])
            self.log = DeltaLog(directory / manifest["log"], manifest["end"])
        remove_others(directory, f"{name}-*.log", {self.log.path.name})

    def begin_anew(self) -> None:
        """Begin another file."""
        self._retirement.add(self.log.path)
        self.log.close()
        self.log = self._new_log()

    def snapshot(self) -> None:
        """Count a snapshot, after some of which replaced files go."""
        self._retirement.snapshot()

    def manifest(self) -> Manifest:
        """Return what the next series begins from."""
        return {
            "format": FORMAT,
            "name": self._name,
            "log": self.log.path.name,
            "end": self.log.pointer,
            "files": self._begun,
        }

    def close(self) -> None:
        """Close the file."""
        self.log.close()

    def _new_log(self) -> DeltaLog:
        self._begun += 1
        name = f"{self._name}-{self._begun:08d}-{self._incarnation}.log"
        return DeltaLog(self._directory / name, None)
