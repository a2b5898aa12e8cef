"""What a lookup answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..declaration import Feature, FeatureView
from ..errors import SettingsError
from ..rows import FeatureRows

STATES = {0: "present", 1: "missing", 2: "expired"}
Value = int | float | str | None
Id = str | tuple[str, ...]


class Column(NamedTuple):
    """One number of an answer: its name, feature, and which of the answer's entities has it."""

    name: str
    feature: Feature
    entity: int


class Layout:
    """What the columns of an answer are.

    Parameters
    ----------
    chosen
        The features, in the order of the answer.
    entities
        The names of the entities whose rows are read.
    customer
        Which of them is the customer; None: none is.
    """

    def __init__(
        self,
        chosen: Sequence[tuple[FeatureView, Feature]],
        entities: Sequence[str],
        customer: int | None,
    ) -> None:
        self.details = tuple(
            Column(f"{view.name}:{name}", feature, entities.index(view.entity.name))
            for view, feature in chosen
            for name in feature.columns
        )
        self.columns = tuple(column.name for column in self.details)
        self.customer = customer
        self.entity_of = np.array([column.entity for column in self.details], np.intp)

    def typed(self, values: Sequence[float]) -> dict[str, Value]:
        """Return a row of numbers as what they mean: words, integers, floats, None for NaN."""
        return {
            column.name: _typed(column.feature, value)
            for column, value in zip(self.details, values, strict=True)
        }


def _typed(feature: Feature, value: float) -> Value:
    if value != value:
        return None
    match feature.dtype:
        case "string":
            return feature.vocabulary[int(value)]
        case "int64":
            return int(value)
    return value


@dataclass(frozen=True, slots=True)
class Features:
    """What a lookup answers: features of n ids as of one time.

    Attributes
    ----------
    ids
        What was asked for: strings, or tuples of join keys in the order of the request.
    layout
        What the columns are.
    rows
        The numbers (`FeatureRows`); ages and positions are those of the customers' rows, or of
        the first entity's where no customer is read.
    ages
        int64[n] for each entity that is read.
    at
        The time that was asked for, microseconds.
    stale
        Did a customer's row not yet show the event of a receipt when the time to wait was over?
    older
        bool[n]: which of the rows that `rows` has the ages of were written under another
        declaration, so that what is new is missing; None: none of them was.
    """

    ids: tuple[Id, ...]
    layout: Layout
    rows: FeatureRows
    ages: tuple[npt.NDArray[np.int64], ...]
    at: int
    stale: bool = False
    older: npt.NDArray[np.bool_] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """``view:feature`` or ``view:feature[key]``, in the order that was asked for."""
        return self.layout.columns

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """float64[n, columns], NaN unless present; a word is its place in the vocabulary."""
        return self.rows.values

    @property
    def state(self) -> npt.NDArray[np.uint8]:
        """uint8[n, columns] of PRESENT, MISSING, EXPIRED (`nextbest.features.kernels.read`)."""
        return self.rows.state

    @property
    def age_ms(self) -> npt.NDArray[np.int64]:
        """int64[n, columns]: milliseconds since the newest event of the row, -1 if unknown."""
        return np.stack(self.ages, axis=1)[:, self.layout.entity_of]

    @property
    def positions(self) -> npt.NDArray[np.int64]:
        """int64[n]: how far the customer's row is in the log, -1 if unknown or not read."""
        if self.layout.customer is None:
            return np.full(len(self.ids), -1, np.int64)
        return self.rows.positions

    def to_dict(self, id_: Id) -> dict[str, Value]:
        """Return one id's values by column, words for strings; None where there is none.

        Raises
        ------
        SettingsError
            If it was not asked for.
        """
        return self.layout.typed(self.rows.values[self._place(id_)].tolist())

    def to_dicts(self) -> list[dict[str, Value]]:
        """Return the same for all ids, in their order."""
        return [self.layout.typed(row) for row in self.rows.values.tolist()]

    def states(self, id_: Id) -> dict[str, str]:
        """Return ``present``, ``missing`` or ``expired`` by column.

        Raises
        ------
        SettingsError
            If it was not asked for.
        """
        state = self.rows.state[self._place(id_)].tolist()
        return {c: STATES[s] for c, s in zip(self.columns, state, strict=True)}

    def _place(self, id_: Id) -> int:
        try:
            return self.ids.index(id_)
        except ValueError:
            raise SettingsError(f"{id_!r:.80} was not asked for") from None
