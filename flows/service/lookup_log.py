"""A sample of what lookups answered, kept so that it can be compared with a recomputation.

The files are ``{data_dir}/lookups/lookups-{start}-{pid}.ndjson``: ``start`` is when the file was
begun (microseconds since 1970), ``pid`` the process that wrote it. Each line is one `ServedLookup`
as JSON. A last line without a newline is one that was being written when the machine or the process
died: it is to be passed over. A file is followed by a new one at 64 MiB; 64 of them are kept.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import random
import threading
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from ...features.kernels.layout import F64, U8
from ...features.served_lookups import ServedLookup

FILE_BYTES = 64 << 20
KEPT_FILES = 64
_QUEUED = 10_000
_GATHER_SECONDS = 0.05
_log = logging.getLogger("nextbest.service")


class Asked(NamedTuple):
    """What the rows of an answer are of."""

    catalog: str
    declaration: str
    entity: str
    features: list[str] | None


_Item = tuple[Asked, str, int, int, F64, U8, bool]


class LookupLog:
    """Writes a share of all looked up rows, in a thread of its own.

    Parameters
    ----------
    directory
        Where the files are; made with the first line.
    share
        Of the rows, 0 to 1.
    file_bytes, kept_files
        When a file is followed by the next, and how many are kept.

    Attributes
    ----------
    written, dropped
        Rows that are in a file; rows that are not as the writer did not keep up, or the disk
        refused them.
    """

    def __init__(
        self,
        directory: Path,
        share: float,
        *,
        file_bytes: int = FILE_BYTES,
        kept_files: int = KEPT_FILES,
    ) -> None:
        self._directory = directory
        self._share = share
        self._file_bytes = file_bytes
        self._kept_files = kept_files
        self._waiting: queue.Queue[_Item | None] = queue.Queue(_QUEUED)
        self._fd = -1
        self._size = 0
        self._encoder = msgspec.json.Encoder()
        self._random = random.Random()  # noqa: S311  # a sample guards nothing
        self._complained = False
        self.written = 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="lookup-log", daemon=True)
        self._thread.start()

    def wants(self) -> bool:
        """Say whether the next row is of the sample."""
        return self._random.random() < self._share

    def put(
        self, asked: Asked, id_: str, at: int, position: int, values: F64, state: U8,
        *, older: bool = False,
    ) -> None:  # fmt: skip
        """Log a row (float64[columns], uint8[columns]); never waits."""
        try:
            self._waiting.put_nowait((asked, id_, at, position, values, state, older))
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits, and end."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            taken = [self._waiting.get()]
            if taken[0] is not None:
                time.sleep(_GATHER_SECONDS)  # one write for many rows leaves the lookups alone
            with contextlib.suppress(queue.Empty):
                while True:
                    taken.append(self._waiting.get_nowait())
            ended = None in taken
            lines = [_line(*item) for item in taken if item is not None]
            try:
                self._write(lines)
            except OSError as error:
                self.dropped += len(lines)
                self._shut()
                if not self._complained:
                    self._complained = True
                    _log.error("%s: lookups are not logged: %s", self._directory, error.strerror)
        self._shut()

    def _write(self, lines: list[ServedLookup]) -> None:
        for begin in range(0, len(lines), 256):
            part = lines[begin : begin + 256]
            data = self._encoder.encode_lines(part)
            if self._fd < 0 or self._size + len(data) > self._file_bytes:
                self._open()
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
            self._size += len(data)
            self.written += len(part)
            self._complained = False

    def _open(self) -> None:
        self._shut()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = sorted(self._directory.glob("lookups-*.ndjson"), key=_begun)
        for old in files[: max(0, len(files) - self._kept_files + 1)]:
            old.unlink(missing_ok=True)
        name = f"lookups-{time.time_ns() // 1000}-{os.getpid()}.ndjson"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self._directory / name, flags, 0o600)
        self._size = os.fstat(self._fd).st_size

    def _shut(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _begun(path: Path) -> int:
    start = path.name.split("-")[1]
    return int(start) if start.isdecimal() else 0


def _line(
    asked: Asked, id_: str, at: int, position: int, values: F64, state: U8, older: bool
) -> ServedLookup:
    # A value that is not present is NaN, which is encoded as null.
    return ServedLookup(
        at,
        asked.catalog,
        asked.declaration,
        asked.entity,
        id_,
        position,
        asked.features,
        values.tolist(),
        state.tolist(),
        older,
    )
