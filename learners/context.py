"""Where the weights of context categories are: one block of weights for each category."""

from collections.abc import Iterator, Mapping, Sequence

from .errors import LearnerError

MISSING = "(missing)"
"""The category of a context that is None or not given."""
OTHER = "(other)"
"""The category of all values that came after a context had its most categories."""


class ContextBlocks:
    """A bounded table from (context, category) to the first weight of its block.

    Parameters
    ----------
    contexts
        Names of the categorical contexts.
    max_categories
        Bound of the categories of one context; later ones share `OTHER`.

    Raises
    ------
    LearnerError
        If `max_categories` is below 1.

    Examples
    --------
    >>> blocks = ContextBlocks(["hour"], max_categories=1)
    >>> blocks.active({"hour": "morning"})
    ([], [('hour', 'morning')])
    >>> blocks.add("hour", "morning", 7)
    >>> blocks.active({"hour": "morning"}), blocks.active({"hour": "noon"})
    (([7], []), ([], [('hour', '(other)')]))
    """

    def __init__(self, contexts: Sequence[str], max_categories: int) -> None:
        if max_categories < 1:
            raise LearnerError(f"max_categories must be at least 1, got {max_categories}")
        self._first: dict[str, dict[str, int]] = {name: {} for name in contexts}
        self._max = max_categories

    def active(self, context: Mapping[str, str | None]) -> tuple[list[int], list[tuple[str, str]]]:
        """Return the blocks of a context's categories, and the categories that have none yet.

        Raises
        ------
        LearnerError
            If a category is neither a string nor None.
        """
        blocks = []
        new = []
        for name, known in self._first.items():
            value = context.get(name)
            block = known.get(MISSING if value is None else value)
            if block is None:
                category = self.category(name, value)
                block = known.get(category)
                if block is None:
                    new.append((name, category))
                    continue
            blocks.append(block)
        return blocks, new

    def category(self, name: str, value: str | None) -> str:
        """Return the category that a value of a context counts as.

        Raises
        ------
        LearnerError
            If the value is neither a string nor None.
        """
        if value is None:
            value = MISSING
        elif not isinstance(value, str):
            raise LearnerError(f"context {name!r} must be a string or None, got {value!r}")
        known = self._first[name]
        return value if value in known or len(known) < self._max else OTHER

    def add(self, name: str, category: str, first: int) -> None:
        """Give a category its block."""
        self._first[name][category] = first

    def __iter__(self) -> Iterator[tuple[str, str, int]]:
        """Yield (context, category, first weight) in the order of the weights."""
        entries = ((n, c, first) for n, known in self._first.items() for c, first in known.items())
        return iter(sorted(entries, key=lambda entry: entry[2]))
