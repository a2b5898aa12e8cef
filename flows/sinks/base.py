"""What every sink shares: named partitions, and an item's key as the name of its partition."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from bytewax.outputs import FixedPartitionedSink

from ...features.errors import StateError

X = TypeVar("X")
S = TypeVar("S")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class KeyedSink(FixedPartitionedSink[X, S]):
    """A sink in which items `(key, value)` go to the partition called `key`.

    Parameters
    ----------
    parts
        The partitions' names, or how many there are: then `"0"`, `"1"` and so on. Every
        worker must be given the same.

    Raises
    ------
    StateError
        A name that cannot be part of a path, or later an item with an unknown key.
    """

    def __init__(self, parts: int | Sequence[str]) -> None:
        names = [str(p) for p in range(parts)] if isinstance(parts, int) else list(parts)
        for name in names:
            if not _NAME.fullmatch(name):
                raise StateError(f"{name!r} cannot be the name of a partition")
        # The engine numbers partitions by the order of their names as text.
        self._number = {name: number for number, name in enumerate(sorted(set(names)))}

    def list_parts(self) -> list[str]:
        """The partitions' names."""
        return list(self._number)

    def part_fn(self, item_key: str) -> int:
        """The number of the partition called `item_key`."""
        number = self._number.get(item_key)
        if number is None:
            raise StateError(f"an item for partition {item_key!r}; there are {self.list_parts()}")
        return number
