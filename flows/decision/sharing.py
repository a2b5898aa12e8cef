"""Equal texts kept once: what waits has the same few words in it very many times."""

from __future__ import annotations

from .record import Value

MOST = 65_536
"""Texts that are known at a time; of more, all are forgotten, and learned anew."""


class Sharing:
    """Makes equal texts the same object.

    Examples
    --------
    >>> shared = Sharing()
    >>> one, other = "".join(["north", "ern"]), "".join(["nor", "thern"])
    >>> one is other, shared(one) is shared(other)
    (False, True)
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: dict[str, str] = {}
        self._tags: dict[tuple[tuple[str, Value], ...], dict[str, Value]] = {}

    def __call__(self, text: str) -> str:
        """Return the text that is kept for all that are equal to this one."""
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= self._most:
                self._known.clear()
            found = self._known[text] = text
        return found

    def tags(self, tags: dict[str, Value]) -> dict[str, Value] | None:
        """Return the dictionary that is kept for all that are equal; None: it is empty."""
        if not tags:
            return None
        key = tuple(tags.items())
        found = self._tags.get(key)
        if found is None:
            if len(self._tags) >= self._most:
                self._tags.clear()
            found = self._tags[key] = tags
        return found
