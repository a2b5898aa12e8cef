"""The dead letters file: NDJSON, each letter exactly once."""

from __future__ import annotations

import logging
import os
from io import FileIO
from pathlib import Path

import msgspec
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from ..dead_letters import DeadLetter
from ..disk import disk_errors

_log = logging.getLogger("nextbest.run")
_BLOCK_BYTES = 1 << 16


class DeadLetterSink(FixedPartitionedSink[DeadLetter, int]):
    """Appends dead letters to one file, whatever their key; without letters there is no file.

    The state is the file's size: on a resume the file is cut back to it, because what
    follows will come again. The file grows with every refused event, without a bound; where the
    disk is full the run ends. It may be removed, moved or emptied at any time: nothing is made
    of it, and the next run begins another one.

    Parameters
    ----------
    path
        The file; its directory is made if need be.

    Raises
    ------
    StateError
        The disk is full or fails.

    Examples
    --------
    >>> sink = DeadLetterSink(".nextbest/dead_letters/dead_letters.ndjson")
    >>> sink.list_parts()
    ['0']
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def list_parts(self) -> list[str]:
        """One partition."""
        return ["0"]

    def build_part(
        self, step_id: str, for_part: str, resume_state: int | None
    ) -> _DeadLetterPartition:
        """The file, cut back to `resume_state` bytes."""
        return _DeadLetterPartition(self._path, resume_state or 0)


class _DeadLetterPartition(StatefulSinkPartition[DeadLetter, int]):
    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._encoder = msgspec.json.Encoder()
        with disk_errors(path):
            found = path.stat().st_size if path.exists() else 0
            if found < size:
                _log.warning(
                    "%s: %d bytes, but %d were written; it was moved, or made shorter. It goes on "
                    "from there",
                    path, found, size,
                )  # fmt: skip
                size = _whole_lines(path, found)
            if found > size:
                os.truncate(path, size)

    def write_batch(self, items: list[DeadLetter]) -> None:
        if not items:
            return
        with disk_errors(self._path):
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = FileIO(self._path, "ab")
            rest = memoryview(self._encoder.encode_lines(items))
            while rest:
                rest = rest[self._file.write(rest) :]

    def snapshot(self) -> int:
        if self._file is None:
            return self._path.stat().st_size if self._path.exists() else 0
        with disk_errors(self._path):
            os.fsync(self._file.fileno())
            return self._file.tell()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        # The engine closes partitions at the end of input, not after a failure.
        if getattr(self, "_file", None) is not None:
            self.close()


def _whole_lines(path: Path, size: int) -> int:
    """Return how many of a file's bytes are whole lines: a letter must not begin within one."""
    if not size:
        return 0
    with path.open("rb") as file:
        while size:
            begin = max(0, size - _BLOCK_BYTES)
            file.seek(begin)
            newline = file.read(size - begin).rfind(b"\n")
            if newline >= 0:
                return begin + newline + 1
            size = begin
    return 0
