"""An append-only log of changes with checksums: what a shard's state is restored from.

    file      MAGIC (8 bytes), then records
    record    length (uint32), CRC-32 of the payload (uint32), payload

The pointer that `append` returns is kept elsewhere (by the dataflow's recovery store). What lies
behind the pointer was never committed: opening the log cuts it off. What lies before it must be
whole, or the log says where it is not.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from .durable import sync_path
from .errors import StateError

MAGIC = b"NBLOG\x00\x00\x01"
_RECORD = struct.Struct("<II")
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the stronger one


class DeltaLog:
    """One log file, open for appending.

    Parameters
    ----------
    path
        The file; its directory is made if need be.
    pointer
        The last committed end of the log in bytes, or None for a new log. What follows it is
        cut off.

    Raises
    ------
    StateError
        If the file is missing, shorter than the pointer, or not such a log.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "shard-0.log"
    >>> log = DeltaLog(path, None)
    >>> pointer = log.append(b"changes of one epoch")
    >>> list(DeltaLog(path, pointer).replay())
    [b'changes of one epoch']
    """

    def __init__(self, path: Path, pointer: int | None) -> None:
        self.path = path
        if pointer is None:
            with self._errors():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("w+b", buffering=0)
                self._write(MAGIC)
                sync_path(path.parent)
            self.pointer = len(MAGIC)
            return
        try:
            self._file = path.open("r+b", buffering=0)
        except FileNotFoundError:
            raise StateError(
                f"{path}: the state log is gone; it should hold {pointer} bytes"
            ) from None
        with self._errors():
            size = os.fstat(self._file.fileno()).st_size
            if not len(MAGIC) <= pointer <= size or self._file.read(len(MAGIC)) != MAGIC:
                self._file.close()
                raise StateError(
                    f"{path}: not a state log, or cut off ({size} bytes, {pointer} committed)"
                )
            self._file.truncate(pointer)
            self._file.seek(pointer)
        self.pointer = pointer

    def append(self, payload: bytes) -> int:
        """Write a record and wait until it is on disk; return the new pointer.

        Raises
        ------
        StateError
            If the disk is full or fails; the log must then be opened anew.
        """
        with self._errors():
            self._write(_RECORD.pack(len(payload), zlib.crc32(payload)))
            self._write(payload)
            _sync(self._file.fileno())
        self.pointer += _RECORD.size + len(payload)
        return self.pointer

    def replay(self) -> Iterator[bytes]:
        """Yield the payloads in order.

        Raises
        ------
        StateError
            Naming file and offset of a damaged record.
        """
        at = len(MAGIC)
        with self.path.open("rb") as file:
            file.seek(at)
            while at < self.pointer:
                head = file.read(_RECORD.size)
                length, checksum = _RECORD.unpack(head) if len(head) == _RECORD.size else (-1, 0)
                if not 0 <= length <= self.pointer - at - _RECORD.size:
                    raise StateError(f"{self.path}: the record at byte {at} is cut off")
                payload = file.read(length)
                if zlib.crc32(payload) != checksum:
                    raise StateError(f"{self.path}: the record at byte {at} is damaged (checksum)")
                yield payload
                at += _RECORD.size + length

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __del__(self) -> None:
        # The dataflow engine tells no step that it is over.
        with contextlib.suppress(AttributeError):
            self._file.close()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StateError(f"{self.path}: cannot be written: {error.strerror}") from error
