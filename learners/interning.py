"""A bounded table of weights by name: the least recently used make room for new ones."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checkpoint import Arrays
from .errors import LearnerError
from .kernels.slots import SLOT_BITS

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

USED = 0
"""The column of a slot's state that says when it was last used."""
LONGEST_NAME = 1024
"""The most characters of a category, or of a feature's name if that is a string."""
NEVER = -1.0


_FIRST_SIZE = 64
_SWEEP = 16
_NUMBERS = 1 << (63 - SLOT_BITS)


class Interning:
    """A table from a feature, or a feature and one of its categories, to a slot of state.

    A slot is a row of a matrix. When the table is full, the least recently used sixteenth of its
    slots is freed in one sweep: recency lets new categories live where a rule by frequency would
    starve them behind what was popular long ago, and it costs one store a use. What is evicted
    forgets its state; if its name comes back it starts anew.

    Parameters
    ----------
    capacity
        Most slots, at most 16,777,216.
    fresh
        The state of a new slot; its place `USED` is when it was last used, as its user counts.

    Attributes
    ----------
    state
        float64[m, len(fresh)], m at most the capacity. Interning a name may replace this array
        by a longer one: read it again after every `intern`.
    handles
        int64[m], which name has a slot: ``number << SLOT_BITS | slot``, where each interned
        name got another number; -1 for a free slot. A handle kept elsewhere is good as long as
        its slot still has it.
    evicted
        How many names have been evicted.

    Raises
    ------
    LearnerError
        If the capacity is out of range.

    Examples
    --------
    >>> table = Interning(capacity=2, fresh=(NEVER, 0.5))
    >>> table.intern("visits"), table.intern("channel", "web"), table.find("channel", "app")
    (0, 1, -1)
    >>> table.state[0, USED], table.state[1, USED] = 8.0, 7.0
    >>> table.evict(1, now=9.0)
    >>> list(table), table.free
    ([('visits', None, 0)], 1)
    """

    def __init__(self, capacity: int, fresh: Sequence[float]) -> None:
        if not 1 <= capacity <= 1 << SLOT_BITS:
            raise LearnerError(f"a table has 1 to {1 << SLOT_BITS} slots, got {capacity}")
        self.capacity = capacity
        self.fresh = np.array(fresh, np.float64)
        self.state: Floats = np.empty((0, len(fresh)))
        self.handles: Indices = np.empty(0, np.int64)
        self.evicted = 0
        self.numeric: dict[Hashable, int] = {}
        self.categorical: dict[Hashable, dict[str, int]] = {}
        self._owners: list[tuple[Hashable, str | None] | None] = []
        self._freed: list[int] = []
        self._names = 0

    def __len__(self) -> int:
        return len(self._owners) - len(self._freed)

    @property
    def free(self) -> int:
        """How many names can be interned before some must be evicted."""
        return self.capacity - len(self)

    def find(self, name: Hashable, category: str | None = None) -> int:
        """Return the slot of a feature, or of one of its categories; -1 if it has none."""
        if category is None:
            return self.numeric.get(name, -1)
        known = self.categorical.get(name)
        return -1 if known is None else known.get(category, -1)

    def intern(self, name: Hashable, category: str | None = None) -> int:
        """Return the slot of a name, which is given one if it has none.

        Raises
        ------
        LearnerError
            If the table is full, or the name or the category is too long.
        """
        slot = self.find(name, category)
        if slot >= 0:
            return slot
        for text in (name, category):
            if isinstance(text, str) and len(text) > LONGEST_NAME:
                raise LearnerError(
                    f"feature {str(name)[:40]!r} has a name or category of {len(text)} "
                    f"characters, the most are {LONGEST_NAME}"
                )
        return self.add(name, category)

    def add(self, name: Hashable, category: str | None = None) -> int:
        """Give a slot to a name that has none and whose length was checked, as `intern` does.

        Raises
        ------
        LearnerError
            If the table is full.
        """
        if self._freed:
            slot = self._freed.pop()
            self._owners[slot] = (name, category)
        elif len(self._owners) < self.capacity:
            slot = len(self._owners)
            self._owners.append((name, category))
            if slot == len(self.handles):
                self._grow()
        else:
            raise LearnerError(f"the table is full: {self.capacity} names")
        self._give(slot, name, category)
        return slot

    def _give(self, slot: int, name: Hashable, category: str | None) -> None:
        self._names = (self._names + 1) % _NUMBERS
        self.handles[slot] = self._names << SLOT_BITS | slot
        if category is None:
            self.numeric[name] = slot
        else:
            known = self.categorical.get(name)
            if known is None:
                known = self.categorical[name] = {}
            known[str(category)] = slot

    def evict(self, needed: int, now: float) -> None:
        """Free the least recently used slots: a sixteenth of the table, or as many as needed.

        Of slots last used at the same time the lowest goes first.

        Parameters
        ----------
        needed
            How many slots must be free afterwards.
        now
            Slots with this time or a later one in `USED` are kept.

        Raises
        ------
        LearnerError
            If there would be fewer than needed; nothing is evicted then.
        """
        used = self.state[: len(self._owners), USED]
        taken = np.flatnonzero((self.handles[: len(used)] >= 0) & (used < now))
        wanted = max(needed - self.free, self.capacity // _SWEEP)
        if self.free + len(taken) < needed:
            raise LearnerError(f"no room for {needed} names at once among {self.capacity}")
        oldest = taken[np.argsort(used[taken], kind="stable")[:wanted]]
        for slot in sorted(oldest.tolist(), reverse=True):
            self._forget(slot)
        self._freed.sort(reverse=True)

    def written(self) -> tuple[list[Hashable], Arrays]:
        """Return the features' names and arrays of n slots, of which `restore` makes the same.

        `feature` int32[n] is the place of a slot's feature among the names, -1 for a free slot;
        `lengths` int64[n] those of the categories in `texts`, as UTF-8, -1 for a number; `state`
        is float64[n, len(fresh)].

        Raises
        ------
        LearnerError
            If the name of a feature is neither a string nor an integer.
        """
        n = len(self._owners)
        places: dict[Hashable, int] = {}
        feature, lengths = np.full(n, -1, np.int32), np.full(n, -1, np.int64)
        texts: list[bytes] = []
        for name, category, slot in self:
            if not isinstance(name, str) and type(name) is not int:
                raise LearnerError(f"feature {name!r:.60} is neither string nor integer")
            feature[slot] = places.setdefault(name, len(places))
            if category is not None:
                texts.append(category.encode("utf-8", "surrogatepass"))
                lengths[slot] = len(texts[-1])
        return list(places), {
            "feature": feature,
            "lengths": lengths,
            "texts": np.array(bytearray(b"".join(texts)), np.uint8),
            "state": self.state[:n],
        }

    def restore(self, features: Sequence[Hashable], arrays: Arrays, evicted: int) -> None:
        """Take over what an empty table of the same kind had written.

        Raises
        ------
        LearnerError
            If the arrays are not those of such a table.
        """
        feature, lengths, texts, state = (
            _shaped(arrays, name, type_, ndim)
            for name, type_, ndim in (
                ("feature", np.int32, 1), ("lengths", np.int64, 1), ("texts", np.uint8, 1),
                ("state", np.float64, 2),
            )
        )  # fmt: skip
        n = len(feature)
        if n > self.capacity or len(lengths) != n or state.shape != (n, len(self.fresh)):
            raise LearnerError(f"a table of {n} slots of {self.capacity}, state{state.shape}")
        if ((feature < -1) | (feature >= len(features)) | (lengths < -1)).any():
            raise LearnerError("a table with a slot of a feature that it does not have")
        if int(lengths[lengths > 0].sum()) != len(texts):
            raise LearnerError(f"a table with {len(texts)} bytes of categories")
        if not np.isfinite(state).all() or evicted < 0:
            raise LearnerError("a table with numbers that are not finite")
        self.state, self.handles = state.copy(), np.full(n, -1, np.int64)
        self._owners, self._freed, self.evicted = [None] * n, [], evicted
        joined, at = texts.tobytes(), 0
        for slot, (f, length) in enumerate(zip(feature.tolist(), lengths.tolist(), strict=True)):
            text = joined[at : at + max(length, 0)].decode("utf-8", "surrogatepass")
            at += max(length, 0)
            if f >= 0:
                self._own(slot, features[f], text if length >= 0 else None)
        self._freed = np.flatnonzero(feature < 0)[::-1].tolist()

    def _own(self, slot: int, name: Hashable, category: str | None) -> None:
        if not isinstance(name, str) and type(name) is not int:
            raise LearnerError(f"feature {name!r:.60} is neither string nor integer")
        if self.find(name, category) >= 0:
            raise LearnerError(f"feature {name!r:.60} has two slots")
        self._owners[slot] = (name, category)
        self._give(slot, name, category)

    def _forget(self, slot: int) -> None:
        owner = self._owners[slot]
        if owner is not None:
            name, category = owner
            if category is None:
                del self.numeric[name]
            else:
                del self.categorical[name][category]
                if not self.categorical[name]:
                    del self.categorical[name]
        self._owners[slot] = None
        self._freed.append(slot)
        self.handles[slot] = -1
        self.state[slot] = self.fresh
        self.evicted += 1

    def _grow(self) -> None:
        size = min(max(_FIRST_SIZE, 2 * len(self.handles)), self.capacity)
        more = size - len(self.handles)
        self.state = np.concatenate((self.state, np.tile(self.fresh, (more, 1))))
        self.handles = np.concatenate((self.handles, np.full(more, -1, np.int64)))

    def __iter__(self) -> Iterator[tuple[Hashable, str | None, int]]:
        """Yield (feature, category or None, slot) in order of the slots."""
        for slot, owner in enumerate(self._owners):
            if owner is not None:
                yield *owner, slot


def order_in_row(name: Hashable, category: str | None) -> tuple[bool, str, str, str]:
    """Return by what a row's new names are put in order before they get slots.

    Numbers come first, then each by its name: which slots are evicted, where several were last
    used at the same time, so does not depend on the order in which a row names its features.

    Examples
    --------
    >>> sorted([("b", "x"), ("c", None), ("a", None)], key=lambda new: order_in_row(*new))
    [('a', None), ('c', None), ('b', 'x')]
    """
    return category is not None, type(name).__name__, str(name), category or ""


def _shaped(arrays: Arrays, name: str, type_: type, ndim: int) -> NDArray[Any]:
    array = arrays[name]
    if array.dtype != type_ or array.ndim != ndim:
        raise LearnerError(f"array {name!r} of a table is {array.dtype}{array.shape}")
    return array
