"""Looking at one mark in the online store, and telling what must be published again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from .marks import Sighting
from .publication import Marks, Publication, Republish

Look: TypeAlias = Callable[[bytes], Sighting | None]
"""Returns what the store has under a mark's key, if it was looked at since; see `MarkReader`."""


class MarkWatch:
    """A publication, and a way to look at its mark.

    Parameters
    ----------
    look
        See `Look`.
    publication
        Of what is published under the mark.

    Examples
    --------
    >>> mark = Publication(b"k", "b2", resumed_timeline="a1", resumed_version=7)
    >>> watch = MarkWatch(lambda key: Sighting(None, 0.0), mark)
    >>> watch.resumed, watch.look(), watch.resumed
    (False, Republish(needed=True, since=None), True)
    """

    def __init__(self, look: Look, publication: Publication) -> None:
        self._look = look
        self._publication = publication
        self.resumed = False

    def look(self, *, force: bool = False) -> Republish | None:
        """Return what must be sent to the store again; None if nothing new is known of it.

        The first answer begins the publication. With ``force`` it begins in any case, as if the
        store had no mark.
        """
        sighting = self._look(self._publication.key)
        if self.resumed:
            if sighting is None:
                return None
            return self._publication.on_seen(sighting.found, sighting.at)
        if sighting is None and not force:
            return None
        self.resumed = True
        return self._publication.on_resume(None if sighting is None else sighting.found)

    def marks(self, version: int, position: int) -> Marks | None:
        """Return the marks of a flush (`Publication.command`); None before the beginning."""
        return self._publication.command(version, position) if self.resumed else None
