"""From what is known of customers to the actions of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...learners.kernels.conclude import conclude
from .exploring import Exploring
from .ids import number_of
from .models import Foretelling
from .survey import Surveyed
from .worth import Worth

F64 = npt.NDArray[np.float64]


class Concluded(NamedTuple):
    """The actions of n answers, and what is logged of all eligible ones.

    Attributes
    ----------
    picks
        Of each answer, in order: the action's place, propensity, draw and worth; then its chances
        by objective, and its features.
    kept
        float64[n, (1 + objectives) K] as bytes: of each answer the worths of its eligible actions,
        then their chances by objective, end to end; the rest of its numbers say nothing.
    """

    picks: list[list[list[float]]]
    kept: bytes


class Concluding:
    """The last step of decisions; ``features`` says how many an action has."""

    def __init__(self, exploring: Exploring, worth: Worth, features: int) -> None:
        self._exploring, self._prices, self._features = exploring, worth.prices, features
        self._models, self._actions = len(worth.prices) - 3, worth.prices.shape[1]

    def conclude(
        self,
        foretelling: Foretelling,
        persons: Sequence[bytes],
        surveyed: Surveyed,
        wanted: Sequence[int],
        controls: Sequence[str | None],
        *,
        clock: int,
        decision_ids: Sequence[str],
        given: F64 | None = None,
    ) -> Concluded:
        """Ask the models about n customers, and choose as `Exploring.choose` does.

        Parameters
        ----------
        foretelling, persons
            Of `Models`, and what it was made of.
        wanted
            How many actions of each answer; at most as many as are eligible.
        controls
            Each customer who is in the control group.
        clock, decision_ids
            As of `Exploring.choose`.
        given
            What `Concluded.kept` is to have, but for the worths; None: the models are asked.

        Raises
        ------
        ModelError
            If a customer's own weights cannot be used.
        """
        n, models = len(wanted), self._models
        numbers: list[int] = []
        asked: list[int] = []
        ends: list[int] = []
        for i, own in enumerate(foretelling.rows):
            if controls[i] is None:
                numbers += [number_of(decision_ids[i], rank) for rank in range(wanted[i])]
            asked += own
            asked += foretelling.blocks[2 * models * i : 2 * models * (i + 1)]
            asked.append(len(numbers))
            ends.append(len(numbers))
        kept = np.empty((n, (1 + models) * self._actions)) if given is None else given
        picks = np.empty((len(numbers), 4 + models + self._features))
        found = np.empty(n, np.int64)
        method, strength, floor, share, seed = self._exploring.settings(clock)
        refused = conclude(
            *foretelling.models.arrays, self._prices, np.array(asked, np.int64).reshape(n, -1),
            np.array(numbers, np.int64), foretelling.words, surveyed.seen, surveyed.first,
            surveyed.eligible, given is None, foretelling.known, method, strength, floor, share,
            seed, kept, picks, found,
        )  # fmt: skip
        if refused >= 0:
            foretelling.models.refuse(persons[refused])
        listed, start = picks.tolist(), 0
        chosen: list[list[list[float]]] = []
        for end, many in zip(ends, found.tolist(), strict=True):
            chosen.append(listed[start : start + many])
            start = end
        for i, customer in enumerate(controls):
            if customer is not None and wanted[i]:
                chosen[i] = self._by_lot(
                    surveyed, kept[i], i, wanted[i], customer, clock, decision_ids[i]
                )
        return Concluded(chosen, kept.tobytes())

    def _by_lot(
        self,
        surveyed: Surveyed,
        kept: F64,
        i: int,
        wanted: int,
        customer: str,
        clock: int,
        decision_id: str,
    ) -> list[list[float]]:
        """Choose for a customer of the control group."""
        eligible, k = surveyed.eligible[i], self._actions
        m = int(eligible.sum())
        full = np.zeros((1 + self._models, k))
        full[:, eligible] = kept[: (1 + self._models) * m].reshape(-1, m)
        features = surveyed.features(i)
        picks = self._exploring.choose(
            full[0], eligible, wanted, control=customer, clock=clock, decision_id=decision_id
        )
        return [
            [place, chance, draw, *full[:, place].tolist(), *features[place].tolist()]
            for place, chance, draw in picks
        ]
