"""The arrays of some decisions that are made together, and their bytes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .survey_kernels import A_ALL

EIGHT = 8
"""Bytes of a number."""


class Shape(NamedTuple):
    """How wide the arrays are.

    Attributes
    ----------
    columns
        Of a row of features.
    extras, seen, work
        Of a survey, see `survey_kernels`.
    actions, objectives
        Of the strategy.
    told
        Of what the models are told of a decision, see `learners.kernels.conclude`.
    pick
        Of a choice, see there.
    """

    columns: int
    extras: int
    seen: int
    work: int
    actions: int
    objectives: int
    told: int
    pick: int


class Room:
    """Memory for the decisions of up to so many customers; to be used by one at a time.

    Each array has a view of its bytes: to read or write a few numbers there costs a tenth of what
    it costs through the array.

    Attributes
    ----------
    values, state, extras, asked, work, eligible, excluded, capped, wanted, seen
        As of `survey_kernels.survey`.
    told, kept, numbers, picks, lots, found, tried
        As of `learners.kernels.conclude`; ``numbers`` and ``picks`` have room for one choice each.
    ends
        As of `person_kernels.unpack`.
    seen_bits, missed
        As of `category_kernels.find`.
    """

    def __init__(self, rows: int, shape: Shape) -> None:
        k = shape.actions
        self.rows = rows
        self.values, self.values_bytes = _made(rows, shape.columns)
        self.extras, self.extras_bytes = _made(rows, shape.extras)
        self.seen, self.seen_bytes = _made(rows, shape.seen)
        self.seen_bits = self.seen.view(np.int64)
        self.kept, self.kept_bytes = _made(rows, (1 + shape.objectives) * k)
        self.picks, self.picks_bytes = _made(rows, shape.pick)
        self.state = np.empty((rows, shape.columns), np.uint8)
        self.state_bytes = _bytes(self.state)
        self.eligible = np.empty((rows, k), np.bool_)
        self.eligible_bytes = _bytes(self.eligible)
        self.excluded = np.empty((rows, k), np.uint16)
        self.excluded_bytes = _bytes(self.excluded)
        self.asked = np.empty((rows, A_ALL), np.int64)
        self.asked_bytes = _bytes(self.asked)
        self.capped = np.empty((rows, k + 2), np.int64)
        self.capped_bytes = _bytes(self.capped)
        self.wanted = np.empty((rows, 2), np.int64)
        self.wanted_bytes = _bytes(self.wanted)
        self.told = np.empty((rows, shape.told), np.int64)
        self.told_bytes = _bytes(self.told)
        self.found = np.empty(rows, np.int64)
        self.missed = np.empty(rows * shape.told, np.int64)
        self.ends = np.empty(rows, np.int64)
        self.ends_bytes = _bytes(self.ends)
        self.numbers = np.empty(rows, np.int64)
        self.numbers_bytes = _bytes(self.numbers)
        self.lots = np.empty(rows, np.bool_)
        self.lots_bytes = _bytes(self.lots)
        self.tried = np.empty(rows, np.bool_)
        self.work = np.empty(shape.work)


def _made(rows: int, width: int) -> tuple[npt.NDArray[np.float64], memoryview]:
    array = np.empty((rows, width))
    return array, _bytes(array)


def _bytes(array: npt.NDArray[np.generic]) -> memoryview:
    # A view of no bytes at all cannot be cast.
    return bytes_of(array) if array.size else memoryview(bytearray())


def bytes_of(array: npt.NDArray[np.generic]) -> memoryview:
    """Return the bytes of an array, to be read and written."""
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # it is a buffer
