"""Where models keep what they know of customers' categories: in one call for many customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from weakref import WeakKeyDictionary

import numpy as np

from ...features.kernels.layout import I64
from . import category_kernels as k
from .inputs import Inputs
from .models import Models
from .record import Value
from .request import Request
from .room import Room

_FIRST, _MOST = 64, 4096
"""Places of a table: at first, and at most; half of them are used."""


class _Known:
    """Rows of numbers in the tables of `category_kernels.find`. Never changed, only replaced."""

    def __init__(self, programs: int, objectives: int, size: int = _FIRST) -> None:
        self.keys: I64 = np.full((programs, size), k.FREE, np.int64)
        self.rows: I64 = np.zeros((programs, size, objectives), np.int64)

    def grown(self, found: Mapping[tuple[int, int], I64]) -> _Known:
        """Return these with more, by program and number, as far as there is room."""
        programs, size, objectives = self.rows.shape
        used = (self.keys != k.FREE).sum(1)
        more = np.bincount([program for program, _ in found], minlength=programs)
        wanted = 2 * int((used + more).max(initial=0))
        while size < min(wanted, _MOST):
            size *= 2
        new = _Known(programs, objectives, size)
        for program, slot in np.argwhere(self.keys != k.FREE).tolist():
            key = self.keys[program, slot].item()
            k.insert(new.keys, new.rows, program, key, self.rows[program, slot])
        for (program, key), own in found.items():
            if used[program] < size // 2:
                k.insert(new.keys, new.rows, program, key, own)
                used[program] += 1
        return new


class Categories:
    """Finds the rows of contexts and segments in models; remembers them by number.

    Parameters
    ----------
    inputs
        Of the strategy.
    objectives
        How many models there are.
    """

    def __init__(self, inputs: Inputs, objectives: int) -> None:
        self._inputs, self._objectives = inputs, objectives
        places = inputs.categories()
        pairs = [(place, objectives * i) for i, place in enumerate(places) if place >= 0]
        self._programs: I64 = np.array(pairs, np.int64).reshape(-1, 2)
        self._named = [i for i, place in enumerate(places) if place >= 0]
        self._rows = Struct(f"<{objectives * len(places)}q")
        self._tables: WeakKeyDictionary[Models, _Known] = WeakKeyDictionary()

    def find(
        self,
        room: Room,
        models: Models,
        requests: Sequence[Request],
        unknown: Sequence[Mapping[str, float]],
    ) -> None:
        """Write the rows of n customers' categories to the beginning of `Room.told`.

        Parameters
        ----------
        unknown
            What `Survey.look` returned of them.
        """
        size, width = self._rows.size, 8 * room.told.shape[1]
        told, same, given = room.told_bytes, None, b""
        for i, request in enumerate(requests):
            context = request.context
            if context is not same:
                same = context
                given = self._rows.pack(*models.rows(self._inputs.given(context)))
            told[width * i : width * i + size] = given
        if not len(self._programs):
            return
        n = len(requests)
        known = self._tables.get(models)
        if known is None:
            known = self._tables[models] = _Known(len(self._programs), self._objectives)
        missed = room.missed
        count = k.find(
            room.seen, room.seen_bits, n, self._programs, known.keys, known.rows, room.told, missed
        )
        if count:
            found: dict[tuple[int, int], I64] = {}
            for at in missed[:count].tolist():
                i, p = divmod(at, len(self._programs))
                self._look_up(room, models, unknown[i], i, p, found)
            if found and not _full(known):
                self._tables[models] = known.grown(found)

    def put(self, room: Room, models: Models, inputs: Mapping[str, Value]) -> None:
        """Do as `find` for the one customer of a room, whose contexts and segments are known."""
        self._rows.pack_into(room.told_bytes, 0, *models.rows(inputs))

    def _look_up(
        self,
        room: Room,
        models: Models,
        unknown: Mapping[str, float],
        i: int,
        p: int,
        found: dict[tuple[int, int], I64],
    ) -> None:
        """Write the rows of one category; put them into ``found`` if its number stays its own."""
        place, first = self._programs[p].tolist()
        number = room.seen[i, place].item()
        name, category = self._inputs.category(self._named[p], number, unknown)
        rows = models.rows({name: category})[first : first + self._objectives]
        room.told[i, first : first + self._objectives] = rows
        if not self._inputs.is_word(self._named[p]) or number >= 0.0:
            found[p, room.seen_bits[i, place].item()] = np.array(rows, np.int64)


def _full(known: _Known) -> bool:
    """Whether the tables have no room for another number of any program."""
    used = (known.keys != k.FREE).sum(1)
    return bool((used >= _MOST // 2).all())
