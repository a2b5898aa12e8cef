"""Rows of the shop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.flows.strategy.shop import COLUMNS


@pytest.fixture
def row() -> Any:
    """Make a row of the named columns; all others are missing."""

    def make(**given: float) -> tuple[np.ndarray, np.ndarray]:
        values, state = np.full(len(COLUMNS), np.nan), np.ones(len(COLUMNS), np.uint8)
        for name, value in given.items():
            column, _, key = name.partition("__")
            place = COLUMNS.index(f"visits:{column}[{key}]" if key else f"visits:{column}")
            values[place], state[place] = value, 0
        return values, state

    return make
