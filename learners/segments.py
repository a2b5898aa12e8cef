"""What segments differ by: one weight for each segment and arm, in bounded memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .context import ContextBlocks
from .errors import LearnerError
from .person import arm_key

Floats = NDArray[np.float64]
Evidence = tuple[float, float]
"""The information and the precision of a weight: see `kernels.levels`."""

NONE: Evidence = (0.0, 0.0)


class SegmentWeights:
    """Evidence on the arms, one row for each category of the contexts that are segments.

    A place belongs to the arm that had it last: if another arm takes it, it starts anew.

    Parameters
    ----------
    names
        Names of the contexts.
    max_categories
        Bound of the categories of one context; later ones share one.

    Raises
    ------
    LearnerError
        If a name is empty or given twice, or the bound is below 1.
    """

    def __init__(self, names: Sequence[str], max_categories: int) -> None:
        self.names = tuple(names)
        for i, name in enumerate(self.names):
            if not isinstance(name, str) or not name or name in self.names[:i]:
                raise LearnerError(f"segment {i} must be a name, given once, got {name!r}")
        self._blocks = [ContextBlocks([name], max_categories) for name in self.names]
        self._rows = 0
        self._arms: tuple[str, ...] = ()
        self._owners: list[str] = []
        self._evidence = np.zeros((2, 0, 0))
        self.keys = np.zeros(0, np.uint64)
        """uint64[K], the key of the arm at each place, 0 where there is none."""
        self.places: dict[int, int] = {}
        """The place of each arm, by its key."""

    def follow(self, arms: Sequence[str]) -> None:
        """Fit the columns to the arms' names."""
        arms = tuple(arms)
        if arms == self._arms:
            return
        evidence = np.zeros((2, self._evidence.shape[1], len(arms)))
        width = min(len(arms), self._evidence.shape[2])
        evidence[:, :, :width] = self._evidence[:, :, :width]
        owners = [*self._owners, *[""] * len(arms)][: len(arms)]
        for place, name in enumerate(arms):
            if name and owners[place] != name:
                evidence[:, :, place] = 0.0
                owners[place] = name
        self._evidence, self._owners, self._arms = evidence, owners, arms
        self._name_places()

    def active(self, context: Mapping[str, Any]) -> list[int]:
        """Return the row of each context's category, -1 for one that was not seen yet.

        Raises
        ------
        LearnerError
            If a category is neither a string nor None.
        """
        return [(blocks.active(context)[0] or [-1])[0] for blocks in self._blocks]

    def category(self, i: int, context: Mapping[str, Any]) -> str:
        """Return the category that a context counts as."""
        return self._blocks[i].category(self.names[i], context.get(self.names[i]))

    def row(self, row: int) -> Floats:
        """Return float64[2, K], information and precision by arm."""
        return self._evidence[:, row] if row >= 0 else np.zeros((2, len(self._arms)))

    def at(self, row: int, arm: int) -> Evidence:
        """Return the evidence on an arm."""
        if row < 0:
            return NONE
        return float(self._evidence[0, row, arm]), float(self._evidence[1, row, arm])

    def put(self, i: int, row: int, context: Mapping[str, Any], arm: int, new: Evidence) -> None:
        """Set the evidence on an arm, where `row` is as `active` gave it."""
        if row < 0:
            row = self._rows
            if row == self._evidence.shape[1]:
                more = np.zeros((2, max(4, row), len(self._arms)))
                self._evidence = np.concatenate((self._evidence, more), axis=1)
            self._blocks[i].add(self.names[i], self.category(i, context), row)
            self._rows += 1
        self._evidence[:, row, arm] = new

    def state(self) -> tuple[dict[str, Any], Floats]:
        """Return what `restore` needs: plain values and the evidence."""
        categories = [list(blocks) for blocks in self._blocks]
        values = {"arms": self._arms, "owners": self._owners, "categories": categories}
        return values, self._evidence[:, : self._rows]

    def restore(self, values: Mapping[str, Any], evidence: Floats) -> None:
        """Take over what `state` gave of weights of the same names.

        Raises
        ------
        LearnerError
            If the evidence is not that of the categories and arms.
        """
        rows = [row for categories in values["categories"] for *_, row in categories]
        shape = (2, len(rows), len(values["arms"]))
        if evidence.shape != shape or sorted(rows) != list(range(len(rows))):
            raise LearnerError(f"evidence{evidence.shape} is not of the segments' {shape}")
        owners = values["owners"]
        if len(owners) != shape[2] or not all(isinstance(owner, str) for owner in owners):
            raise LearnerError(f"the owners of {shape[2]} places are {owners!r:.40}")
        for blocks, categories in zip(self._blocks, values["categories"], strict=True):
            if len({category for _, category, _ in categories}) < len(categories):
                raise LearnerError(f"a segment is given twice among {categories!r:.40}")
            for name, category, row in categories:
                blocks.add(name, category, row)
        self._evidence, self._rows = evidence, evidence.shape[1]
        self._owners, self._arms = list(owners), tuple(values["arms"])
        self._name_places()

    def _name_places(self) -> None:
        keys = [arm_key(name) if name else 0 for name in self._arms]
        self.keys = np.array(keys, np.uint64)
        self.places = {key: place for place, key in enumerate(keys) if key}
