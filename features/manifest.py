"""What a shard's state consists of on disk: all that a dataflow's recovery store must keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from . import background, durable
from .errors import StateError

Manifest: TypeAlias = dict[str, Any]
"""Plain values only (str, int and lists of them), so that anything can keep it.

``format``, ``shard``, ``schema`` (the declaration), ``version`` and ``timeline`` of the state;
``runs``, newest first; ``logs`` as ``[name, end in bytes]``, oldest first, the last one open;
``files``, how many files were ever begun.
"""

FORMAT = 1
OBSOLETE_AFTER = 3
"""A file may go so many snapshots after the first one that does not name it: by then that one is
committed everywhere, even where one worker resumes an epoch behind another."""


@dataclass(frozen=True, slots=True)
class _Obsolete:
    path: Path
    since: int


class Retirement:
    """Removes files once no manifest that may still be resumed from names them.

    Examples
    --------
    >>> retirement = Retirement()
    >>> retirement.add(Path("an-old-file"))
    >>> for _ in range(4):
    ...     retirement.snapshot()
    """

    def __init__(self) -> None:
        self._snapshots = 0
        self._waiting: list[_Obsolete] = []

    def add(self, path: Path) -> None:
        """Say that the next snapshot does not name a file any more."""
        self._waiting.append(_Obsolete(path, self._snapshots + 1))

    def snapshot(self) -> None:
        """Count a snapshot; have removed what has waited long enough.

        Nobody waits for it: a large file takes long to remove, and one that stays goes when the
        state is opened again.
        """
        self._snapshots += 1
        kept = []
        for obsolete in self._waiting:
            if self._snapshots - obsolete.since < OBSOLETE_AFTER:
                kept.append(obsolete)
                continue
            background.submit(durable.remove, obsolete.path)
        self._waiting = kept


def check_manifest(manifest: Manifest, shard: int, schema_id: int) -> None:
    """Refuse a manifest that is not of this shard and declaration.

    Raises
    ------
    StateError
        Saying what it is of.
    """
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise StateError(f"shard {shard}: the manifest is of a format that is not known")
    if manifest["shard"] != shard:
        raise StateError(f"shard {shard}: the manifest is that of shard {manifest['shard']}")
    if manifest["schema"] != schema_id:
        raise StateError(
            f"shard {shard}: the state was written under another declaration "
            f"(schema {manifest['schema']:08x}, now {schema_id:08x})"
        )


def remove_others(directory: Path, pattern: str, named: set[str]) -> None:
    """Remove the files that match the pattern and are not named: nothing refers to them.

    Raises
    ------
    StateError
        If the system does not remove a file.
    """
    for path in _matching(directory, pattern):
        if path.name not in named:
            with durable.named_errors(path):
                durable.remove(path)


def _matching(directory: Path, pattern: str) -> Iterator[Path]:
    return iter(sorted(directory.glob(pattern)))
