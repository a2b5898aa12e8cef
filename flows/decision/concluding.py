"""From what is known of customers to the actions of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from struct import Struct
from typing import NamedTuple

import numpy as np

from ...features.kernels.layout import F64, I64
from ...learners.kernels.conclude import conclude
from .exploring import Exploring
from .ids import digests_of
from .models import Models
from .person_kernels import U32, unpack
from .room import Room
from .survey import Survey
from .worth import Worth

_WORD = Struct("<q")
_NO_BYTES = np.frombuffer(b"", np.uint8)
_NO_WORDS: U32 = np.frombuffer(b"", np.uint32)


class Chosen(NamedTuple):
    """The actions of n answers, one after the other.

    Attributes
    ----------
    ends
        Where those of each answer end.
    picks
        float64[actions, .]: the action's place, propensity, draw and worth; then its chances by
        objective, and its features.
    """

    ends: list[int]
    picks: F64


class Concluding:
    """The last step of decisions: models, worth, exploration.

    Parameters
    ----------
    objectives
        How many there are.
    """

    def __init__(self, exploring: Exploring, worth: Worth, survey: Survey, objectives: int) -> None:
        self._exploring, self._prices, self._survey = exploring, worth.prices, survey
        self._blocks = 2 * objectives + 1
        words = Struct(f"<{2 * objectives}q")
        self._nobody = words.pack(*(-1, 0) * objectives)

    def conclude(
        self,
        room: Room,
        models: Models,
        persons: Sequence[bytes],
        wanted: Sequence[int],
        decision_ids: Sequence[str],
        *,
        clock: int,
        foretold: bool,
    ) -> Chosen:
        """Choose the actions of n answers among those that are eligible.

        What `Categories.find` writes is in the room, and who is in the control group.

        Parameters
        ----------
        persons
            Of each customer the weights of their own.
        wanted
            How many actions of each answer; at most as many as are eligible.
        clock, decision_ids
            As of `Exploring.choose`.
        foretold
            Whether the chances are in the room already; else the models are asked.

        Raises
        ------
        ModelError
            If a customer's own weights cannot be used.
        """
        n = len(persons)
        words = self._own(room, models, persons)
        digests = digests_of(decision_ids, wanted)
        ends = list(accumulate(wanted))
        picks, numbers = room.picks, room.numbers
        if ends[-1] <= room.rows:
            room.numbers_bytes[: len(digests)] = digests
        else:
            picks = np.empty((ends[-1], picks.shape[1]))
            numbers = np.frombuffer(digests, np.int64).copy()
        if n == 1:
            _WORD.pack_into(room.told_bytes, 8 * room.told.shape[1] - 8, ends[0])
        else:
            room.told[:n, -1] = ends
        refused = self._run(room, models, n, words, numbers, picks, clock, not foretold)
        if refused >= 0:
            models.refuse(persons[refused])
        # As many as are wanted are eligible, and so are found.
        return Chosen(ends, picks[: ends[-1]])

    def conclude_one(
        self, room: Room, models: Models, persons: bytes, wanted: int, decision_id: str
    ) -> list[list[float]]:
        """Do as `conclude` for the one customer of a room; return the picks."""
        wide = 8 * room.told.shape[1]
        if not persons and (models.leveled or not models.personal):
            room.told_bytes[wide - 8 * self._blocks : wide - 8] = self._nobody
            words = _NO_WORDS
        else:
            words = self._own(room, models, (persons,))
        picks, numbers = room.picks, room.numbers
        if wanted == 1:
            room.numbers_bytes[:] = blake2b(f"{decision_id}/0".encode(), digest_size=8).digest()
        elif wanted:
            picks = np.empty((wanted, picks.shape[1]))
            numbers = np.frombuffer(digests_of((decision_id,), (wanted,)), np.int64).copy()
        _WORD.pack_into(room.told_bytes, wide - 8, wanted)
        refused = self._run(room, models, 1, words, numbers, picks, models.clock, True)
        if refused >= 0:
            models.refuse(persons)
        found: list[list[float]] = picks[:wanted].tolist()
        return found

    def _run(
        self,
        room: Room,
        models: Models,
        n: int,
        words: U32,
        numbers: I64,
        picks: F64,
        clock: int,
        asks: bool,
    ) -> int:
        """Choose for n customers; return the first whose own weights are refused, or -1."""
        method, strength, floor, share, seed = self._exploring.settings(clock)
        refused: int = conclude(
            *models.arrays, self._prices, n, room.told, numbers, words, room.seen,
            self._survey.first, room.eligible, asks, models.personal, method, strength,
            floor, share, room.lots, self._exploring.fixed, seed, room.kept, picks, room.found,
            room.tried,
        )  # fmt: skip
        return refused

    def _own(self, room: Room, models: Models, persons: Sequence[bytes]) -> U32:
        """Say in the room where each customer's own weights are; return these."""
        n, first = len(persons), room.told.shape[1] - self._blocks
        takes = models.personal and models.leveled
        joined = b"" if not takes else persons[0] if n == 1 else b"".join(persons)
        if n == 1:
            _WORD.pack_into(room.ends_bytes, 0, len(joined))
        elif joined:
            np.cumsum(np.fromiter(map(len, persons), np.int64, n), out=room.ends[:n])
        else:
            room.ends[:n] = 0
        words: U32 = np.empty(len(joined) // 4, np.uint32)
        data = np.frombuffer(joined, np.uint8) if joined else _NO_BYTES
        known = unpack(data, n, room.ends, *models.person_keys, room.told, first, words)
        if known and (takes or not models.personal):
            words.flags.writeable = False  # to a kernel, one that can be written is another type
            return words
        # Odd bytes, which may be good all the same; or it is said what is wrong.
        where, found = models.blocks(persons)
        room.told[:n, first:-1] = np.array(where, np.int64).reshape(n, -1)
        return found
