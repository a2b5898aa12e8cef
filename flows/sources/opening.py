"""What a file is by its name, and its bytes, packed or not."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import BinaryIO, Literal, cast

from ...features.errors import SourceError

Kind = Literal["ndjson", "csv", "parquet"]
KINDS: dict[str, Kind] = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
    ".ndjson.gz": "ndjson",
    ".jsonl.gz": "ndjson",
    ".csv.gz": "csv",
    ".parquet": "parquet",
}
SUFFIXES = tuple(KINDS)
UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a file raises, packed or not."""


def kind_of(path: Path) -> Kind | None:
    """Return what a file holds, None if its name does not say.

    >>> kind_of(Path("orders.csv.gz")), kind_of(Path("orders.txt"))
    ('csv', None)
    """
    return next((kind for suffix, kind in KINDS.items() if path.name.endswith(suffix)), None)


def is_whole(path: Path) -> bool:
    """Whether a file cannot grow: its size is no place in what it holds.

    >>> is_whole(Path("a.parquet")), is_whole(Path("a.csv.gz")), is_whole(Path("a.csv"))
    (True, True, False)
    """
    return path.suffix in (".parquet", ".gz")


def open_bytes(path: Path, *, buffering: int = 0) -> BinaryIO:
    """Open a file for reading; what is packed reads as if it were not."""
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb", buffering=buffering)


def unreadable(path: Path | None, error: BaseException) -> SourceError:
    """Return the error of a file that cannot be read, from one of `UNREADABLE`."""
    if isinstance(error, OSError) and error.strerror:
        return SourceError(f"{path}: cannot be read: {error.strerror}")
    return SourceError(f"{path}: cannot be read: the packed file is damaged: {error}")
