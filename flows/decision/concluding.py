"""From what is known of customers to the actions of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

import numpy as np

from ...learners.kernels.conclude import conclude
from .exploring import Exploring
from .ids import number_of
from .models import Models
from .room import Room, bytes_of
from .survey import Survey
from .worth import Worth

_NUMBER = Struct("<q")


class Concluding:
    """The last step of decisions: models, worth, exploration.

    Parameters
    ----------
    features
        How many an action has.
    """

    def __init__(self, exploring: Exploring, worth: Worth, survey: Survey, features: int) -> None:
        self._exploring, self._prices, self._survey = exploring, worth.prices, survey
        self._models, self._actions = len(worth.prices) - 3, worth.prices.shape[1]
        self._features = features
        self._pick = Struct(f"<{4 + self._models + features}d")

    def conclude(
        self,
        room: Room,
        models: Models,
        rows: Sequence[Sequence[int]],
        persons: Sequence[bytes],
        wanted: Sequence[int],
        controls: Sequence[str | None],
        decision_ids: Sequence[str],
        *,
        clock: int,
        foretold: bool,
    ) -> list[list[Sequence[float]]]:
        """Choose the actions of n answers among those that are eligible.

        Parameters
        ----------
        rows, persons
            Of each customer what `Models.rows` says, and the weights of their own.
        wanted
            How many actions of each answer; at most as many as are eligible.
        controls
            Each customer who is in the control group.
        clock, decision_ids
            As of `Exploring.choose`.
        foretold
            Whether the chances are in the room already; else the models are asked.

        Returns
        -------
        Of each answer, in order: the action's place, propensity, draw and worth; then its chances
        by objective, and its features.

        Raises
        ------
        ModelError
            If a customer's own weights cannot be used.
        """
        n, width = len(rows), 8 * room.told.shape[1]
        blocks, words = models.blocks(persons)
        numbers: list[int] = []
        step = 2 * self._models
        ends: list[int] = []
        for i, own in enumerate(rows):
            if controls[i] is None:
                numbers += [number_of(decision_ids[i], rank) for rank in range(wanted[i])]
            ends.append(len(numbers))
            models.told.pack_into(
                room.told_bytes, width * i, *own, *blocks[step * i : step * (i + 1)], len(numbers)
            )
        if len(numbers) <= room.rows:
            for place, number in enumerate(numbers):
                _NUMBER.pack_into(room.numbers_bytes, 8 * place, number)
            drawn, picks, picked = room.numbers, room.picks, room.picks_bytes
        else:
            drawn = np.array(numbers, np.int64)
            picks = np.empty((len(numbers), room.picks.shape[1]))
            picked = bytes_of(picks)
        method, strength, floor, share, seed = self._exploring.settings(clock)
        refused = conclude(
            *models.arrays, self._prices, n, room.told, drawn, words, room.seen,
            self._survey.first, room.eligible, not foretold, models.personal, method, strength,
            floor, share, seed, room.kept, picks, room.found,
        )  # fmt: skip
        if refused >= 0:
            models.refuse(persons[refused])
        chosen: list[list[Sequence[float]]] = []
        unpack, size, start = self._pick.unpack_from, self._pick.size, 0
        for end in ends:
            # As many as are wanted are eligible, and so are found.
            chosen.append([unpack(picked, size * p) for p in range(start, end)])
            start = end
        for i, customer in enumerate(controls):
            if customer is not None and wanted[i]:
                chosen[i] = self._by_lot(room, i, wanted[i], customer, clock, decision_ids[i])
        return chosen

    def _by_lot(
        self, room: Room, i: int, wanted: int, customer: str, clock: int, decision_id: str
    ) -> list[Sequence[float]]:
        """Choose for a customer of the control group."""
        eligible, k = room.eligible[i], self._actions
        m = int(eligible.sum())
        full = np.zeros((1 + self._models, k))
        full[:, eligible] = room.kept[i, : (1 + self._models) * m].reshape(-1, m)
        begin = self._survey.first + self._survey.numbers
        features = room.seen[i, begin : begin + k * self._features].reshape(k, self._features)
        picks = self._exploring.choose(
            full[0], eligible, wanted, control=customer, clock=clock, decision_id=decision_id
        )
        return [
            (place, chance, draw, *full[:, place].tolist(), *features[place].tolist())
            for place, chance, draw in picks
        ]
