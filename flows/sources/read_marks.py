"""How far files have been read, and whether a file is still the one that was read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ...features.errors import SourceError
from .opening import is_whole

# The first 8 bytes of the SHA-256 of the absolute path, then size, offset and line.
_PLACE = struct.Struct("<8sqqq")
# The same 8 bytes, then the inode and the print. States of older versions have none of these.
_PRINT = struct.Struct("<8sQ8s")
_SEEN_BYTES = 4096


class Mark(NamedTuple):
    """How far one file has been read, how large it was then, and what tells it from others.

    Attributes
    ----------
    size
        Of a file of lines what was read of it, of another all of it; -1: it was never read.
    offset, line
        Where the next piece begins; see `Reader`.
    inode, print
        Of the file that was read; 0 and empty: not known.
    """

    size: int
    offset: int
    line: int
    inode: int = 0
    print: bytes = b""


UNREAD = Mark(-1, 0, 1)


class Held:
    """One open file: the same, whatever its path comes to name."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.inode = os.fstat(self._fd).st_ino

    @property
    def size(self) -> int:
        """Bytes now."""
        return os.fstat(self._fd).st_size

    def print_of(self, size: int) -> bytes:
        """Return 8 bytes that tell the first `size` bytes from others: of their two ends."""
        ends = hashlib.blake2b(digest_size=8)
        for begin in (0, max(0, size - _SEEN_BYTES)):
            ends.update(os.pread(self._fd, min(size, _SEEN_BYTES), begin))
        return ends.digest()

    def ends_a_line(self, offset: int) -> bool:
        """Whether a line may begin at `offset`."""
        return offset == 0 or os.pread(self._fd, 1, offset - 1) == b"\n"

    def close(self) -> None:
        """Close it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            self.close()


class Marks:
    """The marks of all files of a partition, by path.

    Parameters
    ----------
    places, prints
        What `places` and `prints` were; both empty: nothing was read.

    Examples
    --------
    >>> marks = Marks()
    >>> marks.note(Path("/a.ndjson"), Mark(8, 8, 2))
    >>> Marks(marks.places).get(Path("/a.ndjson")).line
    2
    """

    def __init__(self, places: bytes = b"", prints: bytes = b"") -> None:
        self._places = {one[:8]: one for (one,) in struct.iter_unpack(f"{_PLACE.size}s", places)}
        self._prints = {one[:8]: one for (one,) in struct.iter_unpack(f"{_PRINT.size}s", prints)}
        self._inodes = {inode for _, inode, _ in _PRINT.iter_unpack(prints)}

    @property
    def places(self) -> bytes:
        """How far each file has been read, for a snapshot."""
        return b"".join(self._places.values())

    @property
    def prints(self) -> bytes:
        """What tells them from others, for a snapshot."""
        return b"".join(self._prints.values())

    def get(self, file: Path) -> Mark:
        """Return a file's mark."""
        return self._of(digest(file))

    def note(self, file: Path, mark: Mark) -> None:
        """Keep how far a file was read; not yet which file that is."""
        key = digest(file)
        self._places[key] = _PLACE.pack(key, *mark[:3])

    def seal(self, file: Path, held: Held) -> None:
        """Keep which file it is that was read as far as was noted."""
        key = digest(file)
        size = self._of(key).size
        if size >= 0:
            self._prints[key] = _PRINT.pack(key, held.inode, held.print_of(size))
            self._inodes.add(held.inode)

    def finished(self, file: Path) -> bool:
        """Whether nothing is left to read.

        Raises
        ------
        SourceError
            What was read is no longer there.
        """
        mark = self.get(file)
        if mark.size < 0:
            return False
        try:
            with Held(file) as held:
                size = held.size
                same = not mark.print or held.print_of(mark.size) == mark.print
                grown = not is_whole(file) and size > mark.size and held.ends_a_line(mark.offset)
                if same and (size == mark.size or grown):
                    if not mark.print or mark.inode != held.inode:
                        self.seal(file, held)
                    return not grown
        except FileNotFoundError:
            return True  # it is gone, and its rest with it
        except PermissionError:
            return file.stat().st_size == mark.size  # else it is opened, and that says why not
        raise SourceError(
            f"{file}: has changed since it was read ({mark.size} bytes then, {size} now); "
            "put new events into a new file"
        )

    def is_another(self, file: Path) -> bool:
        """Whether a path may name a file that was read under another name."""
        inode, mark = _inode(file), self.get(file)
        return inode != mark.inode if mark.inode else inode in self._inodes

    def rename(self, file: Path, to: Path) -> None:
        """Let the mark of `file`, if it has one, be that of `to`."""
        self._move({digest(file): digest(to)})

    def follow(self, files: Iterable[Path]) -> dict[bytes, Path]:
        """Let marks go with files that were renamed; return these, by the old path's digest.

        Parameters
        ----------
        files
            All that there are now.
        """
        known: dict[int, list[bytes]] = defaultdict(list)
        for key, inode, _ in map(_PRINT.unpack, self._prints.values()):
            known[inode].append(key)
        if not known:
            return {}
        now = {digest(file): (_inode(file), file) for file in files}
        moved: dict[bytes, Path] = {}
        for key, (inode, file) in now.items():
            for old in known.get(inode, ()) if key not in known.get(inode, ()) else ():
                # Two names of one file are no renaming: the old one names another now, or none.
                named = old in now and now[old][0] == inode
                if not named and old not in moved and self._fits(file, self._of(old)):
                    moved[old] = file
                    break
        self._move({old: digest(file) for old, file in moved.items()})
        return moved

    def _of(self, key: bytes) -> Mark:
        place = self._places.get(key)
        if place is None:
            return UNREAD
        known = self._prints.get(key)
        more = _PRINT.unpack(known)[1:] if known is not None else ()
        return Mark(*_PLACE.unpack(place)[1:], *more)

    def _fits(self, file: Path, mark: Mark) -> bool:
        if mark.size <= 0:
            return False
        try:
            with Held(file) as held:
                size = held.size
                long = size == mark.size if is_whole(file) else size >= mark.size
                return long and held.print_of(mark.size) == mark.print
        except OSError:
            return False

    def _move(self, keys: dict[bytes, bytes]) -> None:
        for of in (self._places, self._prints):
            taken = {new: of.pop(old, None) for old, new in keys.items()}
            for new, one in taken.items():
                if one is not None:
                    of[new] = new + one[8:]
                else:
                    of.pop(new, None)


def digest(file: Path) -> bytes:
    """Return what stands for a path in a state: 8 bytes."""
    return hashlib.sha256(os.fsencode(file)).digest()[:8]


def _inode(file: Path) -> int:
    try:
        return file.stat().st_ino
    except OSError:
        return 0
