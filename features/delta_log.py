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
from io import FileIO
from pathlib import Path

from . import durable
from .errors import StateError

MAGIC = b"NBLOG\x00\x00\x01"
_RECORD = struct.Struct("<II")


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
        If the file is missing, shorter than the pointer, or not such a log, or one of another
        version.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "shard-0.log"
    >>> log = DeltaLog(path, None)
    >>> pointer = log.append(b"changes of one epoch")
    >>> list(DeltaLog(path, pointer).replay())
    [b'changes of one epoch']
    """

    HEAD_BYTES = _RECORD.size
    """What a record takes besides its payload."""

    def __init__(self, path: Path, pointer: int | None) -> None:
        self.path = path
        if pointer is None:
            with durable.named_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = durable.create(path)
                durable.write(self._file, MAGIC)
                durable.sync(self._file)
                durable.sync_path(path.parent)
            self.pointer = len(MAGIC)
            return
        try:
            self._file = FileIO(path, "r+b")
        except FileNotFoundError:
            raise StateError(
                f"{path}: the state log is gone; it should hold {pointer} bytes"
            ) from None
        except OSError as error:
            raise StateError(f"{path}: cannot be opened: {error.strerror}") from error
        with durable.named_errors(path):
            size = os.fstat(self._file.fileno()).st_size
            head = self._file.read(len(MAGIC))
            if not len(MAGIC) <= pointer <= size or head != MAGIC:
                self._file.close()
                if len(head) == len(MAGIC) and head[:-1] == MAGIC[:-1] and head != MAGIC:
                    raise StateError(
                        f"{path}: a state log of version {head[-1]}; this release reads version "
                        f"{MAGIC[-1]}. Go on with the release that wrote it, or make the state "
                        "anew from the archive with `nextbest rebuild`"
                    )
                raise StateError(
                    f"{path}: not a state log, or cut off ({size} bytes, {pointer} committed)"
                )
            durable.truncate(self._file, pointer)
        self.pointer = pointer

    def append(self, *parts: bytes) -> int:
        """Write a record and wait until it is on disk; return the new pointer.

        Raises
        ------
        StateError
            If the disk is full or fails; the log must then be opened anew.
        """
        self.write(*parts)
        return self.sync()

    def write(self, *parts: bytes) -> None:
        """Write a record, whose payload is the parts together, without waiting for the disk.

        Raises
        ------
        StateError
            As `append`.
        """
        length, checksum = 0, 0
        for part in parts:
            length += len(part)
            checksum = zlib.crc32(part, checksum)
        with durable.named_errors(self.path):
            durable.write(self._file, _RECORD.pack(length, checksum))
            for part in parts:
                durable.write(self._file, part)
        self.pointer += _RECORD.size + length

    def sync(self) -> int:
        """Wait until all that was written is on disk; return the pointer.

        Raises
        ------
        StateError
            As `append`.
        """
        with durable.named_errors(self.path):
            durable.sync(self._file)
        return self.pointer

    def replay(self) -> Iterator[bytes]:
        """Yield the payloads in order.

        Raises
        ------
        StateError
            Naming file and offset of a damaged record.
        """
        for at, length in self.bounds():
            yield self.read(at, length)

    def bounds(self) -> Iterator[tuple[int, int]]:
        """Yield where each record begins and how long its payload is, in bytes.

        Raises
        ------
        StateError
            If a record reaches behind the pointer.
        """
        at = len(MAGIC)
        while at < self.pointer:
            head = os.pread(self._file.fileno(), _RECORD.size, at)
            length = _RECORD.unpack(head)[0] if len(head) == _RECORD.size else -1
            if not 0 <= length <= self.pointer - at - _RECORD.size:
                raise StateError(f"{self.path}: the record at byte {at} is cut off")
            yield at, length
            at += _RECORD.size + length

    def peek(self, at: int, size: int) -> bytes:
        """Return the first bytes of the payload of the record that begins at byte ``at``."""
        return os.pread(self._file.fileno(), size, at + _RECORD.size)

    def read(self, at: int, length: int) -> bytes:
        """Return the payload of the record that begins at byte ``at``.

        Raises
        ------
        StateError
            If it is damaged.
        """
        record = os.pread(self._file.fileno(), _RECORD.size + length, at)
        payload = record[_RECORD.size :]
        if len(payload) != length or zlib.crc32(payload) != _RECORD.unpack_from(record)[1]:
            raise StateError(f"{self.path}: the record at byte {at} is damaged (checksum)")
        return payload

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __del__(self) -> None:
        # The dataflow engine tells no step that it is over.
        with contextlib.suppress(AttributeError):
            self._file.close()
